"""Whole meshes under drawn faults: see docs/failure.md. The search here is short and the same in
every run of CI; ``make simulate`` goes on as long as one likes."""

from __future__ import annotations

import pytest
from hypothesis import Phase, given, settings
from simulation.mutants import MUTANTS, SHOWN_BY
from simulation.schedule import Schedule, schedules
from simulation.search import execute
from simulation.world import Broken

from servicereflector.kube.status import ApiError

#: What was wrong once, and the least that showed it.
PAST: dict[str, Schedule] = {}


@settings(max_examples=60, derandomize=True, database=None, phases=[Phase.generate, Phase.shrink])
@given(schedules())
def test_whatever_fails_in_the_end_every_mirror_is_right(schedule: Schedule) -> None:
    assert schedule.faults
    execute(schedule)


@pytest.mark.parametrize("name", PAST)
def test_what_was_wrong_once_is_right(name: str) -> None:
    execute(PAST[name])


def test_every_bug_made_on_purpose_has_its_schedule() -> None:
    assert MUTANTS.keys() == SHOWN_BY.keys()


@pytest.mark.parametrize("name", SHOWN_BY)
def test_a_bug_made_on_purpose_is_found(name: str) -> None:
    schedule = SHOWN_BY[name]
    assert schedule.faults or name == "the program never stops"
    execute(schedule)
    with MUTANTS[name](), pytest.raises((Broken, ApiError)):
        execute(schedule)
