# shellcheck shell=bash disable=SC2034
# Sourced. Versions, places and addresses of the cluster.

KUBERNETES_VERSION=v1.37.1
KUBERNETES_PROGRAMS="kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl"

STATE=${MRE_STATE:-/var/lib/mre-cluster}
PKI=$STATE/pki
CONF=$STATE/conf
LOG=$STATE/log
PIDS=$STATE/pids
# The sockets' paths must stay short: the kernel takes 107 characters.
CONTAINERD_SOCKET=$STATE/containerd.sock

NODE_NAME=mre-node
# The node's address lives on a bridge of its own (dummy interfaces are not in every kernel), so that nothing of the
# cluster listens on an address that other machines can reach.
NODE_BRIDGE=mre0
NODE_IP=10.97.0.1
NODE_NET=10.97.0.0/24
CNI_BIN=/usr/lib/cni
POD_BRIDGE=mre-pods
POD_NET=10.244.0.0/24
CLUSTER_NET=10.244.0.0/16
SERVICE_NET=10.96.0.0/16
API_SERVICE_IP=10.96.0.1
DNS_IP=10.96.0.10
ETCD_CLIENT=http://127.0.0.1:2379
ETCD_PEER=http://127.0.0.1:2380
API_URL=https://$NODE_IP:6443

VOLUME_COUNT=4

# Debian's programs that the node needs, with their packages.
NODE_PROGRAMS="containerd:containerd ctr:containerd runc:runc $CNI_BIN/bridge:containernetworking-plugins
  iptables:iptables nft:nftables conntrack:conntrack ip:iproute2 ethtool:ethtool socat:socat openssl:openssl
  sysctl:procps mount:mount"

ADMIN_KUBECONFIG=$PKI/admin.kubeconfig
AUDIT_LOG=$LOG/audit.log
