# shellcheck shell=bash
# Sourced. Installs the Debian packages that the cluster and the images need, when they are missing.

# PROGRAM:PACKAGE pairs; a program that is there is not installed again, wherever it came from.
NEEDED="containerd:containerd runc:runc ctr:containerd iptables:iptables nft:nftables conntrack:conntrack ip:iproute2
  ethtool:ethtool socat:socat jq:jq openssl:openssl mmdebstrap:mmdebstrap ffmpeg:ffmpeg ffprobe:ffmpeg flock:util-linux"
CNI_BIN=/usr/lib/cni

missing_packages() {
  local pair
  for pair in $NEEDED; do
    command -v "${pair%%:*}" >/dev/null || echo "${pair##*:}"
  done
  [ -x "$CNI_BIN/bridge" ] || echo containernetworking-plugins
}

install_packages() {
  local missing
  missing=$(missing_packages | sort -u | tr '\n' ' ')
  [ -n "${missing// /}" ] || return 0
  command -v apt-get >/dev/null || die "install these by hand, as this is not Debian: $missing"
  say "installing $missing"
  # shellcheck disable=SC2086 # a list of packages
  apt_install $missing || { apt-get update -qq >&2 && apt_install $missing; } ||
    die "could not install $missing: see apt's message above"
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
