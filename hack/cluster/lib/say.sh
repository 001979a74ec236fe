# shellcheck shell=bash
# Sourced. Messages and waiting.

say() { echo "cluster: $*" >&2; }

die() {
  echo "cluster: $*" >&2
  exit 1
}

need_root() {
  [ "$(id -u)" -eq 0 ] ||
    die "needs root, as it mounts, makes network interfaces and starts containers: run it with sudo, or" \
      "set CLUSTER=current to use the cluster of your kubeconfig"
}

# wait_for SECONDS WHAT PROCESS COMMAND...  waits until the command succeeds; gives up early when PROCESS (may be
# empty) has ended, and shows the end of its log.
wait_for() {
  local end=$((SECONDS + $1)) what=$2 process=$3
  shift 3
  until "$@" >/dev/null 2>&1; do
    if [ -n "$process" ] && ! process_running "$process"; then
      tail -n 15 "$LOG/$process.log" >&2 || true
      die "$process ended while waiting for $what; its log is $LOG/$process.log. If its data is damaged" \
        "(a machine that was switched off), run: hack/cluster/cluster down, then up"
    fi
    if [ "$SECONDS" -ge "$end" ]; then
      [ -z "$process" ] || tail -n 15 "$LOG/$process.log" >&2 || true
      die "gave up waiting for $what; logs are in $LOG, and hack/cluster/cluster status shows what runs"
    fi
    sleep 0.2
  done
}

# write_file PATH  writes standard input to a file at once or not at all.
write_file() {
  mkdir -p "${1%/*}"
  cat >"$1.tmp" && mv "$1.tmp" "$1"
}
