# shellcheck shell=bash
# Sourced. Images that the node itself needs, and importing archives.

node_ctr() { ctr --address "$CONTAINERD_SOCKET" --namespace k8s.io "$@"; }

image_there() { [ -n "$(node_ctr images ls -q "name==$1")" ]; }

import_image() {
  [ -f "${1:-}" ] || die "no such image archive: ${1:-}"
  [ -S "$CONTAINERD_SOCKET" ] || die "the node does not run: hack/cluster/cluster up"
  node_ctr images import "$1" >/dev/null
}

# make_system_images builds the images of one program each and sets PAUSE_IMAGE and COREDNS_IMAGE.
make_system_images() {
  build_programs imagetool pause coredns
  PAUSE_IMAGE=$(system_image pause)
  COREDNS_IMAGE=$(system_image coredns)
}

# system_image NAME  prints the image's name; its archive is $STATE/images/NAME.tar. The name is kept beside it, with
# the program that it was made of.
system_image() {
  local archive=$STATE/images/$1.tar made_of image
  made_of="${BINARY[imagetool]} ${BINARY[$1]}"
  if [ ! -s "$archive" ] || [ "$(head -n 1 "$archive.txt" 2>/dev/null)" != "$made_of" ]; then
    mkdir -p "$STATE/images"
    image=$("${BINARY[imagetool]}" -name "mre.local/$1" -file "${BINARY[$1]}:/$1" -entrypoint "/$1" -out "$archive")
    printf '%s\n%s\n' "$made_of" "$image" | write_file "$archive.txt"
  fi
  tail -n 1 "$archive.txt"
}

import_system_images() {
  image_there "$PAUSE_IMAGE" || import_image "$STATE/images/pause.tar"
  image_there "$COREDNS_IMAGE" || import_image "$STATE/images/coredns.tar"
}
