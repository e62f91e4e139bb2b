"""Whole meshes under drawn faults: see docs/failure.md. The search here is short and the same in
every run of CI; ``make simulate`` goes on as long as one likes."""

from __future__ import annotations

import pytest
from hypothesis import Phase, given, settings
from simulation.runner import Run
from simulation.schedule import Schedule, schedules

#: What was wrong once, and the least that showed it.
PAST: dict[str, Schedule] = {}


@settings(max_examples=60, derandomize=True, database=None, phases=[Phase.generate, Phase.shrink])
@given(schedules())
def test_whatever_fails_in_the_end_every_mirror_is_right(schedule: Schedule) -> None:
    assert schedule.faults
    Run(schedule).execute()


@pytest.mark.parametrize("name", PAST)
def test_what_was_wrong_once_is_right(name: str) -> None:
    Run(PAST[name]).execute()
