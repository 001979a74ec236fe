# shellcheck shell=bash
# Sourced. The node's own interface, kernel settings, and taking both back.

# setting=least value wanted
SYSCTLS="net.ipv4.ip_forward=1 net.bridge.bridge-nf-call-iptables=1 fs.inotify.max_user_instances=1024"
# Settings that the kubelet changes by itself.
KUBELET_SYSCTLS="vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys
  kernel.keys.root_maxbytes"
# Folders that containerd and the kubelet use whatever they are told.
FIXED_FOLDERS="/var/lib/kubelet /var/log/containers /var/log/pods /var/lib/cni /run/containerd /opt/containerd
  /usr/libexec/kubernetes"

# remember_before notes, once, what the machine was like, so that down can put it back.
remember_before() {
  [ ! -f "$STATE/before" ] || return 0
  local setting folder
  {
    for setting in $SYSCTLS $KUBELET_SYSCTLS; do
      echo "sysctl ${setting%%=*}=$(sysctl -n "${setting%%=*}" 2>/dev/null || true)"
    done
    for folder in $FIXED_FOLDERS; do
      [ -e "$folder" ] || echo "folder $folder"
    done
    nft list tables | sed 's/^table/had-table/'
  } | write_file "$STATE/before"
}

# after_reboot drops what the last boot left: mounts and processes are gone, their records are not.
after_reboot() {
  if [ -f "$STATE/boot" ] && [ "$(cat "$STATE/boot")" != "$BOOT_ID" ]; then
    say "the machine was started anew; starting the cluster on its old state"
    rm -rf "$PIDS" "$STATE/containerd/state"
    # Settings and tables went with the old boot; what is there now is how the machine is without us.
    rm -f "$STATE/before"
  fi
  write_file "$STATE/boot" <<<"$BOOT_ID"
}

network_up() {
  local setting name value
  for setting in $SYSCTLS; do
    name=${setting%%=*} value=${setting##*=}
    [ "$(sysctl -n "$name")" -ge "$value" ] || sysctl -qw "$setting" ||
      die "cannot set $setting: set it in this machine's sysctl configuration"
  done
  ip link show "$NODE_BRIDGE" >/dev/null 2>&1 || ip link add "$NODE_BRIDGE" type bridge
  ip addr replace "$NODE_IP/${NODE_NET##*/}" dev "$NODE_BRIDGE"
  ip link set "$NODE_BRIDGE" up
}

network_down() {
  local bridge table
  for bridge in "$POD_BRIDGE" "$NODE_BRIDGE"; do
    ip link del "$bridge" 2>/dev/null || true
  done
  nft delete table ip kube-proxy 2>/dev/null || true
  nft delete table ip6 kube-proxy 2>/dev/null || true
  nft delete table ip mre-netpol 2>/dev/null || true
  for table in iptables ip6tables; do
    iptables_clean $table
  done
  local family name
  nft list tables | while read -r _ family name; do
    # iptables makes these when it is first used; take back those that were not there and hold nothing now.
    case "$name" in filter | nat | mangle | raw) ;; *) continue ;; esac
    grep -qx "had-table $family $name" "$STATE/before" 2>/dev/null && continue
    nft list table "$family" "$name" | grep -qE '^\s+(counter|jump|ip |ip6 |meta|drop|accept|xt |ct |oif|iif)' ||
      nft delete table "$family" "$name"
  done
}

# iptables_clean COMMAND  removes the kubelet's chains, and those of our pods when the network plugin could not.
iptables_clean() {
  local table chain rules
  command -v "$1" >/dev/null || return 0
  for table in filter nat mangle; do
    rules=$("$1-save" -t $table 2>/dev/null | grep -E -- '^-A .*-j KUBE-|^-A .*mre-pods\\".* -j CNI-') || true
    iptables_delete "$1" $table "$rules"
    for chain in $("$1-save" -t $table 2>/dev/null | sed -nE 's/^:(KUBE-[A-Za-z0-9-]+) .*/\1/p') \
      $(sed -nE 's/.* -j (CNI-[a-z0-9]+)$/\1/p' <<<"$rules"); do
      "$1" -t $table -F "$chain" || true
      "$1" -t $table -X "$chain" || true
    done
  done
}

# iptables_delete COMMAND TABLE RULES
iptables_delete() {
  local rule
  [ -n "$3" ] || return 0
  while read -r rule; do
    # The rule is a line of iptables-save, which quotes for a shell.
    eval "$1 -t $2 -D ${rule#-A }"
  done <<<"$3"
}

# put_back restores what remember_before noted.
put_back() {
  local kind what
  [ -f "$STATE/before" ] || return 0
  while read -r kind what; do
    case $kind in
    sysctl) [ -z "${what#*=}" ] || sysctl -qw "$what" || true ;;
    folder) [ ! -d "$what" ] || rm -rf --one-file-system "$what" ;;
    esac
  done <"$STATE/before"
}
