"""Which namespaces are mirrored: by shell globs."""

from __future__ import annotations

from collections.abc import Sequence

from ..kube.globs import matches_any


def refused_namespace(
    source_namespace: str, host_namespace: str, allowed: Sequence[str], denied: Sequence[str]
) -> str:
    """Why nothing is mirrored from the one namespace into the other, ``""`` if it is.

    :param allowed: globs of the source's namespaces; none for all.
    :param denied: globs of the source's namespaces and of the host's. They go before ``allowed``.
    """
    if matches_any(source_namespace, denied):
        return f"the source's namespace {source_namespace!r} is denied"
    if matches_any(host_namespace, denied):
        return f"the host's namespace {host_namespace!r} is denied"
    if allowed and not matches_any(source_namespace, allowed):
        return f"the source's namespace {source_namespace!r} is not among those to mirror"
    return ""
