"""Whatever fails for a moment: in the end every mirror is right, and nothing else was touched."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest

from .cases import CASES, Case
from .conftest import ALL
from .running import COLUMNS, Row, line, run, total
from .world import World

#: Under this name it is told what came of all cases, and which are left.
IN_ALL = "chaos: in all"


@pytest.mark.timeout(300)
def test_mirrors_are_right_after(
    case: Case,
    world: World,
    rows: list[Row],
    lasting: float,
    record_property: Callable[[str, object], None],
) -> None:
    """And within its bound; meanwhile the other source's change arrived in time."""
    row = run(world, case, seed=zlib.crc32(case.name.encode()), seconds=lasting)
    rows.append(row)
    record_property(f"chaos: {COLUMNS}", line(row))


def test_what_became_of_them_is_told(
    rows: list[Row], record_property: Callable[[str, object], None]
) -> None:
    if rows:
        record_property(IN_ALL, total(rows))
    left = [] if ALL else [case for case in CASES if not case.quick]
    record_property(IN_ALL, f"{len(left)} cases are left to `make chaos`")
