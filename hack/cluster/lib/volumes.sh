# shellcheck shell=bash
# Sourced. Local persistent volumes on folders of the node.

# cluster_volumes makes the volumes that are missing. One whose claim is gone stays Released for ever, as nothing
# provisions local volumes: it is emptied and made anew.
cluster_volumes() {
  local n name phase
  [ -n "${BINARY[kubectl]:-}" ] || build_programs kubectl
  for n in $(seq $VOLUME_COUNT); do
    name=mre-local-$n
    phase=$(k get pv "$name" --ignore-not-found -o jsonpath='{.status.phase}')
    case $phase in
    Released | Failed)
      k delete pv "$name" --wait=true --timeout=30s >/dev/null
      rm -rf "${STATE:?}/volumes/$n"
      ;;
    ?*) [ ! -d "$STATE/volumes/$n" ] || continue ;;
    esac
    mkdir -p "$STATE/volumes/$n"
    persistent_volume "$name" "$STATE/volumes/$n" | k apply --server-side -f - >/dev/null
  done
}

persistent_volume() {
  cat <<Y
apiVersion: v1
kind: PersistentVolume
metadata: {name: $1}
spec:
  capacity: {storage: 50Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: mre-local
  local: {path: $2}
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [$NODE_NAME]}]
Y
}
