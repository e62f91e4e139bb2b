"""What the real kube-apiserver of this machine has: only for that it is asked."""

from __future__ import annotations

from functools import cache

from servicereflector.testing.envtest import ApiServer, BinariesMissing, find_binaries


@cache
def minor_version() -> int:
    """Of the kube-apiserver that is to be found here; 20 where there is none."""
    try:
        return int(ApiServer(binaries=find_binaries()).version().split(".")[1])
    except BinariesMissing:
        return 20


def kinds_since(minor: int) -> list[str]:
    """The parameters of the contract's fixture ``real`` for what came with this minor version."""
    return ["embedded", "real"] if minor_version() >= minor else ["embedded"]
