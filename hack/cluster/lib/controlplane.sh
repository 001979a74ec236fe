# shellcheck shell=bash
# Sourced. etcd, API server, controller manager, scheduler.

k() { "${BINARY[kubectl]}" --kubeconfig "$ADMIN_KUBECONFIG" "$@"; }

controlplane_up() {
  # Without fsync: what a crash of the whole machine may cost is a cluster that can be made anew in seconds.
  process_up etcd "" "${BINARY[etcd]}" --data-dir "$STATE/etcd" --unsafe-no-fsync \
    --listen-client-urls $ETCD_CLIENT --advertise-client-urls $ETCD_CLIENT \
    --listen-peer-urls $ETCD_PEER --initial-advertise-peer-urls $ETCD_PEER --initial-cluster default=$ETCD_PEER
  audit_policy | write_file "$CONF/audit.yaml"
  process_up kube-apiserver "$CONF/audit.yaml" "${BINARY[kube-apiserver]}" \
    --etcd-servers=$ETCD_CLIENT --bind-address=$NODE_IP --advertise-address=$NODE_IP --secure-port=6443 \
    --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
    --client-ca-file="$PKI/ca.crt" \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$PKI/sa.pub" --service-account-signing-key-file="$PKI/sa.key" \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --service-cluster-ip-range=$SERVICE_NET --allow-privileged=true \
    --kubelet-client-certificate="$PKI/kubelet-client.crt" --kubelet-client-key="$PKI/kubelet-client.key" \
    --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP \
    --audit-policy-file="$CONF/audit.yaml" --audit-log-path="$AUDIT_LOG" \
    --audit-log-maxsize=500 --audit-log-maxbackup=3
  wait_for 120 "the API server to be ready" kube-apiserver k get --raw /readyz
  # The default client limits hold back clusters that start many Jobs.
  process_up kube-controller-manager "" "${BINARY[kube-controller-manager]}" --bind-address=127.0.0.1 \
    --kubeconfig="$PKI/controller-manager.kubeconfig" \
    --authentication-kubeconfig="$PKI/controller-manager.kubeconfig" \
    --authorization-kubeconfig="$PKI/controller-manager.kubeconfig" \
    --service-account-private-key-file="$PKI/sa.key" --root-ca-file="$PKI/ca.crt" \
    --use-service-account-credentials --leader-elect=false \
    --kube-api-qps=300 --kube-api-burst=600 --concurrent-job-syncs=20 --concurrent-gc-syncs=30 \
    --cluster-cidr=$CLUSTER_NET --allocate-node-cidrs=true \
    --flex-volume-plugin-dir="$STATE/kubelet/volume-plugins" \
    --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key"
  process_up kube-scheduler "" "${BINARY[kube-scheduler]}" --bind-address=127.0.0.1 \
    --kubeconfig="$PKI/scheduler.kubeconfig" --authentication-kubeconfig="$PKI/scheduler.kubeconfig" \
    --authorization-kubeconfig="$PKI/scheduler.kubeconfig" --leader-elect=false
}

# audit_policy: every write of everyone and every read of those who are not part of Kubernetes, without bodies.
audit_policy() {
  cat <<'Y'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi*", "/metrics"]
- level: None
  users: [system:apiserver, system:kube-controller-manager, system:kube-scheduler, system:kube-proxy]
  verbs: [get, list, watch]
- level: None
  userGroups: [system:nodes, system:serviceaccounts:kube-system]
  verbs: [get, list, watch]
- level: None
  userGroups: [system:nodes]
  resources: [{group: coordination.k8s.io, resources: [leases]}]
- level: None
  users: [system:apiserver]
  resources: [{group: coordination.k8s.io, resources: [leases]}]
- level: Metadata
Y
}
