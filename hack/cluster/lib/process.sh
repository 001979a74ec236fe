# shellcheck shell=bash
# Sourced. Starts and stops the cluster's processes; never touches one that it did not start.
#
# A process writes its own record before it becomes the program, so there is no moment in which it runs unrecorded.
# The record holds the boot, the pid, its start time and a hash of command and configuration: a pid that was used
# again after a crash or reboot is not taken for ours, and a changed command or configuration is noticed.

BOOT_ID=$(cat /proc/sys/kernel/random/boot_id)

# start_time PID  prints when the process started, in ticks since boot.
start_time() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  # The program's name may hold blanks and brackets; the fields after it do not.
  stat=${stat##*) }
  # shellcheck disable=SC2086 # the fields are words
  set -- $stat
  [ "$1" != Z ] || return 1
  echo "${20}"
}

# process_pid NAME  prints the pid if the process that we started still runs.
process_pid() {
  local boot pid started hash
  [ -s "$PIDS/$1" ] && read -r boot pid started hash <"$PIDS/$1" && [ -n "$hash" ] || return 1
  [ "$boot" = "$BOOT_ID" ] && [ "$(start_time "$pid")" = "$started" ] || return 1
  echo "$pid"
}

process_running() { process_pid "$1" >/dev/null; }

process_hash() { awk '{print $4}' "$PIDS/$1" 2>/dev/null; }

# command_hash FILES COMMAND...  hashes a command and the configuration files that it reads.
command_hash() {
  local files=$1
  shift
  {
    printf '%s\n' "$@"
    # shellcheck disable=SC2086 # a list of files
    [ -z "$files" ] || cat $files
  } | sha256sum | cut -c1-16
}

# process_up NAME FILES COMMAND...  makes the process run with this command and these configuration files.
process_up() {
  local name=$1 files=$2 hash
  shift 2
  hash=$(command_hash "$files" "$@")
  if process_running "$name"; then
    [ "$(process_hash "$name")" != "$hash" ] || return 0
    say "$name: its command or configuration changed; starting it again"
    process_down "$name"
  fi
  mkdir -p "$LOG" "$PIDS"
  [ ! -f "$LOG/$name.log" ] || mv "$LOG/$name.log" "$LOG/$name.log.1"
  # shellcheck disable=SC2016 # expanded by the inner shell
  setsid bash -c '
    record=$1 boot=$2 hash=$3; shift 3
    stat=$(cat "/proc/$$/stat"); stat=${stat##*) }; set -- "$stat" "$@"
    fields=($1); shift
    echo "$boot $$ ${fields[19]} $hash" >"$record.tmp" && mv "$record.tmp" "$record"
    exec "$@"' bash "$PIDS/$name" "$BOOT_ID" "$hash" "$@" \
    >"$LOG/$name.log" 2>&1 </dev/null 8>&- 9>&- &
  disown
  # The record is there within milliseconds; without it, the waiting that follows would take the process for dead.
  local tries=0
  until [ "$(process_hash "$name")" = "$hash" ] || [ $((tries += 1)) -gt 100 ]; do sleep 0.05; done
}

# process_down NAME  ends the process, if it is still the one that we started.
process_down() {
  local pid tries=0
  if pid=$(process_pid "$1"); then
    kill "$pid" 2>/dev/null || true
    while process_running "$1"; do
      [ $((tries += 1)) -le 100 ] || kill -9 "$pid" 2>/dev/null || true
      sleep 0.1
    done
  fi
  rm -f "$PIDS/$1"
}
