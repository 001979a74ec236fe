# shellcheck shell=bash
# Sourced. containerd, kubelet, kube-proxy, and what enforces NetworkPolicies.

node_up() {
  make_system_images
  cni_config | write_file "$CONF/cni/10-mre.conflist"
  containerd_config | write_file "$CONF/containerd.toml"
  process_up containerd "$CONF/containerd.toml $CONF/cni/10-mre.conflist" containerd --config "$CONF/containerd.toml"
  wait_for 60 "containerd to answer" containerd node_ctr version
  import_system_images
  kubelet_config | write_file "$CONF/kubelet.yaml"
  process_up kubelet "$CONF/kubelet.yaml" "${BINARY[kubelet]}" --config="$CONF/kubelet.yaml" \
    --kubeconfig="$PKI/kubelet.kubeconfig" --hostname-override=$NODE_NAME --node-ip=$NODE_IP \
    --root-dir="$STATE/kubelet" --v=2
  proxy_config | write_file "$CONF/proxy.yaml"
  process_up kube-proxy "$CONF/proxy.yaml" "${BINARY[kube-proxy]}" --config="$CONF/proxy.yaml"
  # The bridge plugin knows nothing of NetworkPolicies.
  process_up netpol "" "${BINARY[netpol]}" --kubeconfig="$ADMIN_KUBECONFIG"
}

node_ready() {
  process_running kubelet &&
    k get node $NODE_NAME -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' | grep -qx True
}

cni_config() {
  cat <<Y
{"cniVersion": "1.0.0", "name": "mre-pods", "plugins": [
  {"type": "bridge", "bridge": "$POD_BRIDGE", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$POD_NET"}]], "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": "$STATE/cni"}}
]}
Y
}

# restrict_oom_score_adj: root may lack CAP_SYS_RESOURCE in a container or micro-VM, and then no pod would start.
containerd_config() {
  cat <<Y
version = 2
root = "$STATE/containerd/root"
state = "$STATE/containerd/state"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.internal.v1.opt"]
[grpc]
  address = "$CONTAINERD_SOCKET"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE_IMAGE"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$CNI_BIN"
    conf_dir = "$CONF/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "$STATE/containerd/runc"
Y
}

kubelet_config() {
  cat <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE_IP
failCgroupV1: false
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix://$CONTAINERD_SOCKET
failSwapOn: false
tlsCertFile: $PKI/kubelet.crt
tlsPrivateKeyFile: $PKI/kubelet.key
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
resolvConf: ""
maxPods: 110
podPidsLimit: 1024
serializeImagePulls: false
evictionHard: {memory.available: 200Mi, nodefs.available: 2%, imagefs.available: 2%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
kubeAPIQPS: 100
kubeAPIBurst: 200
podLogsDir: $STATE/podlogs
volumePluginDir: $STATE/kubelet/volume-plugins
Y
}

# conntrack sizes are left alone, as the setting may not be writable.
proxy_config() {
  cat <<Y
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: {kubeconfig: $PKI/proxy.kubeconfig}
clusterCIDR: $CLUSTER_NET
hostnameOverride: $NODE_NAME
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
nodePortAddresses: [$NODE_NET]
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
Y
}
