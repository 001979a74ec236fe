# shellcheck shell=bash
# Sourced. Installs Debian packages when the programs they hold are missing.

# need_programs PROGRAM:PACKAGE...  A program that is there is not installed again, wherever it came from.
need_programs() {
  local pair missing
  missing=$(for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || echo "${pair##*:}"
  done | sort -u | tr '\n' ' ')
  [ -n "${missing// /}" ] || return 0
  if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "missing: $missing- install them (on Debian, as root: apt-get install $missing)" >&2
    return 1
  fi
  echo "installing $missing" >&2
  # shellcheck disable=SC2086 # a list of packages
  apt_install $missing || { apt-get update -qq >&2 && apt_install $missing; }
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
