# shellcheck shell=bash
# Sourced. What runs.

PARTS="etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet kube-proxy netpol"

status() {
  local part pid bad=0
  printf '%-24s %-9s %-8s %s\n' PART STATE PID MEMORY
  for part in $PARTS; do
    if pid=$(process_pid "$part"); then
      printf '%-24s %-9s %-8s %s\n' "$part" running "$pid" "$(memory_of "$pid")"
    else
      printf '%-24s %-9s\n' "$part" stopped
      bad=1
    fi
  done
  if ! process_running kube-apiserver; then
    say "the cluster is not up: hack/cluster/cluster up"
    return 1
  fi
  build_programs kubectl
  echo
  k get nodes -o wide && echo && k get pods -A -o wide && echo && k get pv || bad=1
  node_ready && dns_ready || bad=1
  return $bad
}

memory_of() { awk '/^VmRSS/ {printf "%d MiB", $2 / 1024}' "/proc/$1/status"; }
