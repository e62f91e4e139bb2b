"""Where a Kubernetes API server's programs are on this machine."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_BUILT_VERSION = "1.20.2"


class BinariesMissing(Exception):
    """There is no kube-apiserver or no etcd here; `reason` says how to get them."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the programs are. The optional ones are of the same version as kube-apiserver."""

    etcd: Path
    kube_apiserver: Path
    kube_controller_manager: Path | None
    kube_proxy: Path | None
    kubectl: Path | None


def find_binaries() -> Binaries:
    """Look in ``$KUBEBUILDER_ASSETS``, then on ``$PATH``, then where ``make envtest`` puts them.

    The first folder with a kube-apiserver decides: its neighbours match its version. Only etcd and
    kubectl, which work across versions, are taken from another folder where it lacks them.

    :raise BinariesMissing: There is no kube-apiserver, or no etcd.
    """
    folders = list(_folders())

    def first(name: str, among: Sequence[Path]) -> Path | None:
        paths = (folder / name for folder in among)
        return next((path for path in paths if path.is_file() and os.access(path, os.X_OK)), None)

    kube_apiserver = first("kube-apiserver", folders)
    if kube_apiserver is None:
        raise _missing("kube-apiserver", folders)
    home = [kube_apiserver.parent]
    etcd = first("etcd", home + folders)
    if etcd is None:
        raise _missing("etcd", folders)
    return Binaries(
        etcd=etcd,
        kube_apiserver=kube_apiserver,
        kube_controller_manager=first("kube-controller-manager", home),
        kube_proxy=first("kube-proxy", home),
        kubectl=first("kubectl", home + folders),
    )


def _folders() -> Iterator[Path]:
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        yield Path(assets)
    yield from map(Path, filter(None, os.environ.get("PATH", "").split(os.pathsep)))
    cache = os.environ.get("SERVICE_REFLECTOR_ENVTEST_CACHE")
    if not cache:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        cache = os.path.join(home, "service-reflector")
    yield Path(cache) / "envtest" / _BUILT_VERSION / "bin"


def _missing(name: str, folders: Sequence[Path]) -> BinariesMissing:
    return BinariesMissing(
        f"no {name} in $KUBEBUILDER_ASSETS, on $PATH or in {folders[-1]}: run `make envtest`"
        " (builds them on Debian 12), or set KUBEBUILDER_ASSETS to a folder that has kube-apiserver"
        " and etcd, such as the one that `setup-envtest use -p path` prints"
    )
