# shellcheck shell=bash
# Sourced. Images that the node itself needs, and importing archives.

node_ctr() { ctr --address "$CONTAINERD_SOCKET" --namespace k8s.io "$@"; }

image_there() { [ -n "$(node_ctr images ls -q "name==$1")" ]; }

import_image() {
  [ -f "${1:-}" ] || die "no such image archive: ${1:-}"
  [ -S "$CONTAINERD_SOCKET" ] || die "the node does not run: hack/cluster/cluster up"
  # It says: unpacking NAME (DIGEST)...done
  node_ctr images import "$1" | sed -nE 's/^unpacking ([^ ]+) .*/\1/p' >>"$STATE/images/imported"
  forget_images
}

KEEP_IMAGES=5

# forget_images removes images of older builds of mre, all but a few, unless a container uses them.
forget_images() {
  local name used digest
  used=$(node_ctr containers ls | awk 'NR > 1 {print $2}')
  for name in $(tac "$STATE/images/imported" | awk '/^mre.local\/mre:/ && !seen[$0]++' |
    tail -n +$((KEEP_IMAGES + 1))); do
    ! grep -qxF "$name" <<<"$used" || continue
    digest=$(node_ctr images ls "name==$name" | awk 'NR > 1 {print $3}')
    [ -n "$digest" ] || continue
    # The kubelet's side of containerd refers to the same image by its configuration's digest.
    node_ctr images ls | awk -v d="$digest" '$3 == d {print $1}' | xargs -r ctr --address "$CONTAINERD_SOCKET" \
      --namespace k8s.io images rm >/dev/null
  done
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
