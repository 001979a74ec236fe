# shellcheck shell=bash
# Sourced. Builds Go programs of pinned modules into a cache outside the tree.
#
# A cached binary is named by everything that went into it: the module's go.mod, go.sum and Go files, the Go
# version, the target and the flags. It is written beside its final name and renamed, its SHA-256 last, so that a
# build that was killed leaves nothing that could be taken for a finished one.

: "${MRE_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/mre-operator}"
export MRE_CACHE

GO_TARGET=$(go version && go env GOOS GOARCH)

# gobuild_path NAME MODULE_DIR PACKAGE [FLAG...]  prints where the binary of this build is, or will be.
gobuild_path() {
  local name=$1 dir=$2
  echo "$MRE_CACHE/bin/$name-$(gobuild_key "$dir" "$@")/$name"
}

# gobuild_key MODULE_DIR NAME MODULE_DIR PACKAGE [FLAG...]  prints a hash of everything that goes into a build. The
# module's own code counts when the package is in it.
gobuild_key() {
  local dir=$1 files=(-name go.mod -o -name go.sum)
  shift
  [ "${3:0:1}" != . ] || files+=(-o -name '*.go' ! -name '*_test.go')
  {
    echo "$GO_TARGET"
    printf '%s\n' "$1" "${@:3}"
    (cd "$dir" && find . -type f \( "${files[@]}" \) -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
  } | sha256sum | cut -c1-16
}

# gobuild_ok FILE  says whether the cached file is there, whole and unchanged.
gobuild_ok() {
  [ -x "$1" ] && [ -s "$1.sha256" ] && [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$(cat "$1.sha256")" ]
}

# gobuild NAME MODULE_DIR PACKAGE [FLAG...]  builds unless cached and prints the binary's path.
gobuild() {
  local name=$1 dir=$2 pkg=$3 out lock
  out=$(gobuild_path "$@") || return 1
  shift 3
  if ! gobuild_ok "$out"; then
    lock=$(basename "${out%/*}")
    mkdir -p "${out%/*}" "$MRE_CACHE/locks" || return 1
    (
      flock 9
      # Whoever held the lock may have built it meanwhile.
      gobuild_ok "$out" || gobuild_now "$out" "$dir" "$pkg" "$@"
    ) 9>"$MRE_CACHE/locks/$lock" || {
      echo "could not build $name; go's message is above" >&2
      return 1
    }
  fi
  touch -c "${out%/*}" # says that it is used
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
    mv "$out.sha256.tmp.$$" "$out.sha256" &&
    gobuild_prune "${out%/*}"
}

# gobuild_prune FOLDER  removes older builds of the same program that nobody used for two weeks.
gobuild_prune() {
  local name=${1##*/}
  find "$MRE_CACHE/bin" -mindepth 1 -maxdepth 1 -name "${name%-*}-????????????????" ! -path "$1" -mtime +14 \
    -exec rm -rf {} +
}
