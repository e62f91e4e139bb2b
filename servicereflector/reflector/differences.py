"""Where a store and a list of the same objects disagree. Values in, values out.

The two are not of one moment. What counts is an object of which the store has told nothing since
the list was asked for, and of which it must know: its version has reached what the list told of the
object or, where the list lacks it, the list's own; or it had more time than a watch may lag.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import NamedTuple


class Verdict(NamedTuple):
    """
    :ivar wrong: the keys of which the store holds what the API does not have.
    :ivar undecided: how many others may be wrong, or have changed lately.
    """

    wrong: tuple[str, ...]
    undecided: int


def judge(
    listed: Mapping[str, int],
    list_version: int,
    held: Mapping[str, int],
    held_version: int,
    *,
    changed: Container[str],
    late: bool,
) -> Verdict:
    """
    :param listed: the version of each object in the list, by its key.
    :param held: the same of the store.
    :param held_version: up to which version the store has followed the API.
    :param changed: of what the store has told a change since the list was asked for.
    :param late: whether that is longer ago than a watch may lag.
    """
    wrong, undecided = [], 0
    for key in {key for key, _ in listed.items() ^ held.items()}:
        if key in changed:
            continue
        if late or held_version >= listed.get(key, list_version):
            wrong.append(key)
        else:
            undecided += 1
    return Verdict(tuple(sorted(wrong)), undecided)
