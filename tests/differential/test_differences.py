"""The differences that are meant: both answers are as they are written down."""

from __future__ import annotations

from pathlib import Path

import pytest
from versions import minor_version

from .differences import DIFFERENCES, Difference, Told
from .sides import Side
from .world import World

_HERE = [one for one in DIFFERENCES if minor_version() <= one.until]


@pytest.mark.parametrize("difference", _HERE, ids=lambda one: one.case.name)
def test_the_difference_is_what_is_written_down(
    difference: Difference, worlds: dict[str, World]
) -> None:
    world, case = worlds["services"], difference.case
    target = world.target(case.path, case.query)

    def hold(side: Side, told: Told) -> None:
        if told.status:
            answer = side.send(case.method, target, case.headers).raw()
            assert answer[0] == told.status, answer
            assert told.text.encode() in answer[1]

    hold(world.real, difference.real)
    hold(world.emitter, difference.emitter)


def test_every_difference_is_documented() -> None:
    """A row of docs/api.md each, and no row besides."""
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    table = text.partition("| request |")[2].partition("\n\n")[0]
    rows = {line for line in table.splitlines() if line.startswith("| ")}
    assert rows == {f"| {one.case.name} | {one.why} | {_versions(one)} |" for one in DIFFERENCES}


def _versions(difference: Difference) -> str:
    return "all" if difference.until == 1000 else f"up to 1.{difference.until}"
