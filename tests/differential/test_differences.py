"""The differences that are meant: both answers are as they are written down."""

from __future__ import annotations

import pytest

from .conftest import minor_version
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
