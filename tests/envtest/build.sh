#!/usr/bin/env bash
# Builds a real Kubernetes 1.20.2 control plane for the tests, from Debian 12's own packages:
# kube-apiserver, kube-controller-manager, kube-proxy and kubectl out of Debian's source package
# "kubernetes", and etcd out of "etcd-server" (unpacked, not installed: installing starts a service).
#
# The binaries go to $SERVICE_REFLECTOR_ENVTEST_CACHE/envtest/1.20.2/bin (default for the first
# part: ~/.cache/service-reflector), all at once or not at all. Does nothing when they are there,
# or when KUBEBUILDER_ASSETS names a folder that already holds kube-apiserver and etcd.
set -euo pipefail

readonly VERSION=1.20.2
readonly BUILT=(kube-apiserver kube-controller-manager kube-proxy kubectl)
readonly CACHE="${SERVICE_REFLECTOR_ENVTEST_CACHE:-${XDG_CACHE_HOME:-${HOME:?is not set}/.cache}/service-reflector}"
readonly ROOT="$CACHE/envtest"
readonly BIN="$ROOT/$VERSION/bin"
work=''   # where all is fetched and built, removed at the end
staged='' # the finished binaries beside their place, until they are renamed into it

say() { printf 'envtest: %s\n' "$*"; }
fail() { printf 'envtest: error: %s\n' "$*" >&2; exit 1; }

runs() { # runs PROGRAM: whether it is there and of a version that it can tell
  local tell=(--version)
  [[ ${1##*/} == kubectl ]] && tell=(version --client)
  [[ -x $1 ]] && "$1" "${tell[@]}" >/dev/null 2>&1
}

all_there() {
  local name
  for name in "${BUILT[@]}" etcd; do
    runs "$BIN/$name" || return 1
  done
}

clean_up() {
  cd / # out of the folder to be removed
  rm -rf "$work" "$staged"
}

as_root() {
  if [[ $EUID -eq 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo -- "$@"
  else
    fail "must be root, or have sudo, to run: $*"
  fi
}

install_tools() { # the build's own needs; nothing is asked of root when they are there
  local missing=()
  [[ -x /usr/bin/go ]] || missing+=(golang-go)
  command -v rsync >/dev/null || missing+=(rsync)
  command -v make >/dev/null || missing+=(make)
  command -v dpkg-source >/dev/null || missing+=(dpkg-dev)
  if ((${#missing[@]})); then
    say "installing ${missing[*]}"
    as_root apt-get update -q || fail "apt-get update failed"
    as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get install -q -y --no-install-recommends "${missing[@]}" ||
      fail "could not install ${missing[*]}"
  fi
}

# private_apt TOOL ARGUMENT...: apt with sources, lists and cache of its own below $work; the
# machine's are not touched, and no root is needed.
private_apt() {
  local tool=$1
  shift
  "$tool" -q -o Dir::Etc::SourceList="$work/apt/sources.list" -o Dir::Etc::SourceParts=- \
    -o Dir::State::Lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" \
    -o APT::Sandbox::User=root "$@"
}

write_sources() { # the Debian archives that this machine uses, with their source packages
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg options='' uri suite component kind
  [[ ! -r $keyring ]] || options="[signed-by=$keyring] "
  apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' \
    'Created-By: Packages' | sed -n 's/^Debian|//p' | sort -u |
    while IFS='|' read -r uri suite component; do
      for kind in deb deb-src; do
        printf '%s %s%s %s %s\n' "$kind" "$options" "$uri" "$suite" "$component"
      done
    done >"$work/apt/sources.list"
  [[ -s $work/apt/sources.list ]] ||
    fail "apt knows no Debian archive here (Debian 12 is needed; is 'apt-get update' still to be run?)"
}

fetch() { # the sources to $work/source/kubernetes-*, etcd to $work/bin
  local version
  mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/source" "$work/etcd"
  write_sources
  private_apt apt-get update || fail "apt-get update failed"
  version=$(private_apt apt-cache showsrc --only-source kubernetes |
    sed -n 's/^Version: //p' | grep -E "(^|really)${VERSION//./\\.}-" | head -n 1) ||
    fail "no source package kubernetes $VERSION in this machine's archives: it is Debian 12's"
  cd "$work/source"
  private_apt apt-get source --only-source "kubernetes=$version" ||
    fail "could not fetch kubernetes $version"
  cd "$work/etcd"
  private_apt apt-get download etcd-server || fail "could not fetch etcd-server"
  dpkg-deb --extract etcd-server_*.deb .
  install -m 0755 usr/bin/etcd "$work/bin/etcd"
}

build() { # Kubernetes' own makefile, which wants the tree at its place in a GOPATH
  local tree commit=0000000000000000000000000000000000000000 targets=("${BUILT[@]/#/cmd/}")
  tree=$(find "$work/source" -mindepth 1 -maxdepth 1 -type d -name 'kubernetes-*')
  mkdir -p "$work/go/src/k8s.io" "$work/home"
  mv "$tree" "$work/go/src/k8s.io/kubernetes"
  cat >"$work/version" <<END
KUBE_GIT_COMMIT='$commit'
KUBE_GIT_TREE_STATE='clean'
KUBE_GIT_VERSION='v$VERSION'
KUBE_GIT_MAJOR='1'
KUBE_GIT_MINOR='20'
END
  cd "$work/go/src/k8s.io/kubernetes"
  # A bare environment: a GOFLAGS, GOOS or newer Go of the caller's would change the build.
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME="$work/home" TMPDIR="$work" GOPATH="$work/go" \
    GOCACHE="$work/gocache" KUBE_GIT_VERSION_FILE="$work/version" CGO_ENABLED=0 \
    make WHAT="${targets[*]}" || fail "the build failed (it needs some 5 GB in ${TMPDIR:-/tmp})"
  install -m 0755 "${BUILT[@]/#/_output/bin/}" "$work/bin"
}

publish() { # copied beside its place first: the rename is then within one file system
  staged=$(mktemp -d "$ROOT/.$VERSION.XXXXXX")
  chmod 0755 "$staged"
  cp -R "$work/bin" "$staged/bin"
  rm -rf "${ROOT:?}/$VERSION"
  mv -T "$staged" "$ROOT/$VERSION"
}

if [[ -n ${KUBEBUILDER_ASSETS:-} ]]; then
  if [[ -x $KUBEBUILDER_ASSETS/kube-apiserver && -x $KUBEBUILDER_ASSETS/etcd ]]; then
    say "KUBEBUILDER_ASSETS holds kube-apiserver and etcd: nothing to build"
    printf '%s\n' "$KUBEBUILDER_ASSETS"
    exit 0
  fi
  say "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS lacks kube-apiserver or etcd; $VERSION is used"
fi

if ! all_there; then
  command -v apt-get >/dev/null || fail "needs Debian 12, or KUBEBUILDER_ASSETS set (no apt-get here)"
  mkdir -p "$ROOT"
  exec 9>"$ROOT/.lock"
  flock 9 # of two builds at once, the second finds the first one's binaries
  if ! all_there; then
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    work=$(mktemp -d)
    mkdir "$work/bin" "$work/apt"
    install_tools
    fetch
    build
    publish
    all_there || fail "the binaries in $BIN do not run"
  fi
fi

say "Kubernetes $VERSION (${BUILT[*]}) and etcd are in"
printf '%s\n' "$BIN"
