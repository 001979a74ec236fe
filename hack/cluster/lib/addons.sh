# shellcheck shell=bash
# Sourced. What is applied through the API: DNS and the storage class.

addons_up() {
  # Nothing can be created in a namespace before the controller manager has made its ServiceAccount.
  wait_for 60 "the controller manager to work" kube-controller-manager k -n kube-system get serviceaccount default
  sed -e "s|COREDNS_IMAGE|$COREDNS_IMAGE|" -e "s|DNS_IP|$DNS_IP|" "$here/manifests/coredns.yaml" |
    k apply --server-side --force-conflicts -f - >/dev/null
  k apply --server-side --force-conflicts -f "$here/manifests/storage.yaml" >/dev/null
}

dns_ready() {
  [ "$(k -n kube-system get deployment coredns \
    -o jsonpath='{.status.updatedReplicas}{.status.availableReplicas}')" = 11 ]
}
