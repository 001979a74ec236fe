# shellcheck shell=bash
# Sourced. Builds Go programs of pinned modules into a cache outside the tree.
#
# A cached binary is named by everything that went into it: the module's go.mod, go.sum and Go files, the Go
# version, the target and the flags. It is written beside its final name and renamed, its SHA-256 last, so that a
# build that was killed leaves nothing that could be taken for a finished one.

: "${MRE_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/mre-operator}"
export MRE_CACHE

# gobuild_key MODULE_DIR ARG...  prints the name of the cache folder for a build.
gobuild_key() {
  local dir=$1
  shift
  {
    go version
    go env GOOS GOARCH
    printf '%s\n' "$@"
    find "$dir" -type f \( -name 'go.mod' -o -name 'go.sum' -o -name '*.go' \) -printf '%P\n' |
      LC_ALL=C sort | while read -r f; do
      echo "$f"
      cat "$dir/$f"
    done
  } | sha256sum | cut -c1-16
}

# gobuild_ok FILE  says whether the cached file is there, whole and unchanged.
gobuild_ok() {
  [ -x "$1" ] && [ -s "$1.sha256" ] && [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$(cat "$1.sha256")" ]
}

# gobuild NAME MODULE_DIR PACKAGE [FLAG...]  builds unless cached and prints the binary's path.
gobuild() {
  local name=$1 dir=$2 pkg=$3 key out
  shift 3
  key=$(gobuild_key "$dir" "$name" "$pkg" "$@") || return 1
  out=$MRE_CACHE/bin/$name-$key/$name
  if ! gobuild_ok "$out"; then
    mkdir -p "${out%/*}" "$MRE_CACHE/locks" || return 1
    (
      flock 9
      # Whoever held the lock may have built it meanwhile.
      gobuild_ok "$out" || gobuild_now "$out" "$dir" "$pkg" "$@"
    ) 9>"$MRE_CACHE/locks/$name-$key" || {
      echo "could not build $name; go's message is above" >&2
      return 1
    }
  fi
  echo "$out"
}

# gobuild_now OUT MODULE_DIR PACKAGE [FLAG...]  chains its steps, as errexit does not hold where a result is tested.
gobuild_now() {
  local out=$1 dir=$2 pkg=$3
  shift 3
  echo "building ${out##*/} (once; kept in ${out%/*})" >&2
  rm -f "$out" "$out.sha256" "$out".tmp.* "$out".sha256.tmp.*
  (cd "$dir" && CGO_ENABLED=0 GOWORK=off GOFLAGS=-buildvcs=false go build -trimpath -o "$out.tmp.$$" "$@" "$pkg" >&2) &&
    sha256sum <"$out.tmp.$$" | cut -d' ' -f1 >"$out.sha256.tmp.$$" &&
    mv "$out.tmp.$$" "$out" &&
    mv "$out.sha256.tmp.$$" "$out.sha256"
}
