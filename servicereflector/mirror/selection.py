"""Which namespaces are mirrored, and which keys are copied: by shell globs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from functools import lru_cache


def matches_any(text: str, patterns: Sequence[str]) -> bool:
    """
    :param patterns: globs as of ``fnmatch.fnmatchcase``; one that ends with a slash stands for all
        that is below it.
    """
    return bool(patterns) and _matcher(tuple(patterns))(text) is not None


@lru_cache(maxsize=64)
def _matcher(patterns: tuple[str, ...]) -> Callable[[str], re.Match[str] | None]:
    """One expression for all patterns: ten times as fast as one after the other."""
    globs = (pattern + "*" if pattern.endswith("/") else pattern for pattern in patterns)
    return re.compile("|".join(map(translate, globs))).match


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
