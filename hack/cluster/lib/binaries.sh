# shellcheck shell=bash
# Sourced. The programs built from Go modules.

declare -A BINARY

kubernetes_ldflags() {
  local v=k8s.io/component-base/version minor=${KUBERNETES_VERSION#v1.}
  echo "-s -w -X $v.gitVersion=$KUBERNETES_VERSION -X $v.gitMajor=1 -X $v.gitMinor=${minor%%.*}" \
    "-X $v.gitTreeState=clean -X $v.gitCommit=modproxy -X $v.buildDate=2026-01-01T00:00:00Z"
}

# program_build FUNCTION NAME  calls gobuild or gobuild_path for a program of the cluster.
program_build() {
  case $2 in
  etcd | netpol) "$1" "$2" "$here/$2" . -ldflags '-s -w' ;;
  coredns) "$1" coredns "$here/coredns" github.com/coredns/coredns -ldflags '-s -w' ;;
  imagetool | pause) "$1" "$2" "$here/../image" "./$2" -ldflags '-s -w' ;;
  *) "$1" "$2" "$here/kubernetes" "k8s.io/kubernetes/cmd/$2" -ldflags "$(kubernetes_ldflags)" ;;
  esac
}

# binary_folder  prints the folder with links to all programs, named by what they are.
binary_folder() { echo "$MRE_CACHE/cluster-bin"; }

# build_programs NAME...  builds what is not cached; sets BINARY[NAME] and the links of the folder.
build_programs() {
  local name folder
  folder=$(binary_folder)
  mkdir -p "$folder"
  for name in "$@"; do
    BINARY[$name]=$(program_build gobuild_path "$name")
    # The kernel keeps a running program's file from being written: it need not be checked again.
    if [ "$(readlink "/proc/$(process_pid "$name" || echo none)/exe")" != "${BINARY[$name]}" ]; then
      program_build gobuild "$name" >/dev/null || die "cannot go on without $name"
    fi
    ln -sfn "${BINARY[$name]}" "$folder/$name.new.$$"
    mv -T "$folder/$name.new.$$" "$folder/$name"
  done
}

# build_missing checks and builds everything the cluster runs.
build_missing() {
  # shellcheck disable=SC2086 # a list of names
  build_programs etcd netpol $KUBERNETES_PROGRAMS
  PATH=$(binary_folder):$PATH
}

# assets [NAME...]  builds what envtest starts, or the named programs, and prints the folder: for KUBEBUILDER_ASSETS.
assets() {
  [ $# -gt 0 ] || set -- etcd kube-apiserver kubectl
  build_programs "$@"
  binary_folder
}

print_env() {
  if [ "${CLUSTER:-}" != current ]; then
    echo "export KUBECONFIG=$ADMIN_KUBECONFIG"
    echo "export MRE_AUDIT_LOG=$AUDIT_LOG"
  fi
  echo "export KUBEBUILDER_ASSETS=$(binary_folder)"
  # shellcheck disable=SC2016 # for the shell that evaluates it
  echo "export PATH=$(binary_folder):"'$PATH'
}
