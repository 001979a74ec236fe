# shellcheck shell=bash
# Sourced. Taking the cluster down: pods, processes, then what they leave behind.

cluster_down() {
  local part
  if [ ! -d "$STATE" ]; then
    say "nothing to take down"
    return 0
  fi
  # The kubelet first, or it would start again what is being stopped.
  for part in netpol kube-proxy kubelet kube-scheduler kube-controller-manager; do process_down $part; done
  containers_down
  for part in kube-apiserver etcd containerd; do process_down $part; done
  shims_down
  unmount_all
  cgroups_down
  network_down
  log_links_down
  put_back
  rm -rf --one-file-system "$STATE"
  say "cluster is down"
}

# containers_down stops the containers through containerd, which also takes down their networks.
containers_down() {
  local id
  process_running containerd && [ -S "$CONTAINERD_SOCKET" ] || return 0
  for id in $(node_ctr tasks ls -q 2>/dev/null); do node_ctr tasks kill -s SIGKILL "$id" 2>/dev/null || true; done
  for id in $(node_ctr tasks ls -q 2>/dev/null); do node_ctr tasks rm -f "$id" >/dev/null 2>&1 || true; done
  for id in $(node_ctr containers ls -q 2>/dev/null); do node_ctr containers rm "$id" >/dev/null 2>&1 || true; done
}

# shims_down ends what a containerd that died has left: shims that carry our socket in their arguments, and the
# processes in the cgroups of containers that our state names.
shims_down() {
  local dir pid cgroup
  for dir in /proc/[0-9]*; do
    pid=${dir#/proc/}
    case $(readlink "$dir/exe" 2>/dev/null) in
    */containerd-shim-*)
      tr '\0' '\n' <"$dir/cmdline" 2>/dev/null | grep -qxF "$CONTAINERD_SOCKET" && kill -9 "$pid" 2>/dev/null
      ;;
    esac
  done || true
  for dir in "$STATE"/containerd/state/io.containerd.runtime.v2.task/k8s.io/*/; do
    [ -d "$dir" ] || continue
    find /sys/fs/cgroup -maxdepth 6 -type d -path '*/kubepods/*' -name "$(basename "$dir")" 2>/dev/null |
      while read -r cgroup; do xargs -r kill -9 <"$cgroup/cgroup.procs" 2>/dev/null || true; done
  done
}

unmount_all() {
  local round mount
  # Mounts lie upon each other; the deepest go first, and a killed process may hold one for a moment.
  for round in 1 2 3 4 5; do
    awk -v s="$STATE/" 'index($2, s) == 1 {print $2}' /proc/mounts | sort -r | while read -r mount; do
      umount "$mount" 2>/dev/null || true
    done
    grep -q " $STATE/" /proc/mounts || return 0
    sleep "0.$round"
  done
  awk -v s="$STATE/" 'index($2, s) == 1 {print $2}' /proc/mounts | sort -r | while read -r mount; do
    umount -l "$mount" || true
  done
}

cgroups_down() {
  local top
  for top in /sys/fs/cgroup/kubepods /sys/fs/cgroup/*/kubepods; do
    [ ! -d "$top" ] || find "$top" -depth -type d -exec rmdir {} \; 2>/dev/null || true
  done
}

# log_links_down removes the links that the kubelet makes in a folder of fixed name.
log_links_down() {
  [ ! -d /var/log/containers ] || find /var/log/containers -lname "$STATE/*" -delete
}
