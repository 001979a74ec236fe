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
  case " $missing" in
  *" postgresql"*) without_cluster apt_get_installs "$missing" ;;
  *) apt_get_installs "$missing" ;;
  esac
}

# without_cluster COMMAND...  runs it while PostgreSQL's packages are told to make no cluster "main", which they would
# also start, now and with the machine: tests start servers of their own. Whoever installs a server for other ends,
# before or later, gets Debian's default.
without_cluster() {
  local folder=${MRE_CREATECLUSTER:-/etc/postgresql-common/createcluster.d} code=0
  mkdir -p "$folder" && echo "create_main_cluster = false" >"$folder/mre-operator.conf" || return 1
  "$@" || code=$?
  rm -f "$folder/mre-operator.conf"
  # An empty folder says the same as none.
  rmdir -p --ignore-fail-on-non-empty "$folder"
  return "$code"
}

# apt_get_installs "PACKAGE..."  knows the lists of packages to be old only once it has failed.
apt_get_installs() {
  # shellcheck disable=SC2086 # a list of packages
  apt_install $1 || { apt-get update -qq >&2 && apt_install $1; }
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
