"""Whatever fails for a moment: in the end every mirror is right, and nothing else was touched."""

from __future__ import annotations

import zlib

import pytest

from .cases import Case
from .running import Row, run
from .world import World


@pytest.mark.timeout(300)
def test_mirrors_are_right_after(case: Case, world: World, rows: list[Row], lasting: float) -> None:
    """And within its bound; meanwhile the other source's change arrived in time."""
    rows.append(run(world, case, seed=zlib.crc32(case.name.encode()), seconds=lasting))
