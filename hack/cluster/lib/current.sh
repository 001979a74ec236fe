# shellcheck shell=bash
# Sourced. CLUSTER=current: the cluster of the kubeconfig in hand, which is looked at and never changed.

current_up() {
  build_programs kubectl
  "${BINARY[kubectl]}" get --raw /readyz >/dev/null ||
    die "CLUSTER=current, but the cluster of your kubeconfig does not answer: check KUBECONFIG and the current context"
  say "using the cluster of context $("${BINARY[kubectl]}" config current-context)"
}

current_status() { current_up; }

current_down() { say "CLUSTER=current: this cluster was not started here and is left alone"; }

current_volumes() { say "CLUSTER=current: volumes are this cluster's own affair"; }

current_load() {
  die "CLUSTER=current: push the image to a registry that the cluster pulls from, and name it by IMAGE=..."
}

current_ctr() { die "CLUSTER=current: its containerd cannot be reached from here"; }
