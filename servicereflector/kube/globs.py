"""Shell globs of namespaces, and of the keys of labels and annotations."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import translate
from functools import lru_cache

_GLOB = r"(?:[A-Za-z0-9._/*?-]|\[!?[A-Za-z0-9._/-]+\])+"


def is_glob(text: str) -> bool:
    """Whether it is made of what stands in label keys and namespaces, and of patterns."""
    return re.fullmatch(_GLOB, text) is not None


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
