"""Whole meshes under drawn faults: see docs/failure.md. The search here is short and the same in
every run of CI; ``make simulate`` goes on as long as one likes."""

from __future__ import annotations

import sys
from functools import partial

import pytest
from simulation.mutants import MUTANTS, SHOWN_BY
from simulation.schedule import Schedule, read
from simulation.search import execute, search
from simulation.world import Broken

from servicereflector.kube.status import ApiError

#: Half a minute to a minute of one core.
RUNS = 150

_least = partial(Schedule, seed=0, timing=0, page=500, watched=-1)

#: What was wrong once, in the program or in what is asked of it, and the least that shows it.
PAST = {
    "a host whose lists lack the Endpoints that somebody made cannot know of them": _least(
        sources=((), (0,)),
        there=((0, 0),),
        seed=1,
        acts=(
            ("cut", 0, 0, 0, 1),
            ("many", 0, 0, 0, 0),
            ("wait", 5, 0, 0, 0),
            ("cut", 0, 0, 0, 1),
            ("cut", 0, 1, 0, 1),
            ("delete", 0, 0, 1, 0),
            ("tamper", 0, 0, 1, 6),
            ("wait", 5, 0, 0, 0),
            ("short_list", 0, 1, 1, 1),
            ("put", 0, 0, 0, 0),
            ("wait", 5, 0, 0, 0),
        ),
    ),
    "what somebody makes in place of a mirror is exported on": _least(
        sources=((), (0,), (0, 1)),
        there=((0, 0), (0, 1), (0, 3), (1, 0)),
        acts=(
            ("wait", 30, 0, 0, 0),
            ("short_list", 0, 0, 2, 1),
            ("tamper", 0, 0, 1, 7),
            ("wait", 5, 0, 0, 0),
        ),
    ),
    "a source that takes a name over has fewer mirrors left to the other": _least(
        sources=((), (), (0, 1)),
        there=((1, 0), (1, 1), (1, 2)),
        acts=(
            ("refuse", 0, 0, 0, 1),
            ("short_list", 0, 1, 2, 1),
            ("put", 0, 0, 0, 0),
            ("wait", 5, 0, 0, 0),
        ),
    ),
    "a mirror is not deleted for what was known before a question that took a minute": _least(
        sources=((), (0,), (0,)),
        there=((0, 0),),
        acts=(
            ("cut", 0, 0, 0, 1),
            ("put", 0, 0, 0, 0),
            ("wait", 5, 0, 0, 0),
            ("half_open", 0, 1, 1, 1),
            ("short_list", 0, 0, 0, 1),
            ("put", 0, 0, 0, 0),
            ("wait", 5, 0, 0, 0),
        ),
    ),
    "a name that another source takes over is not among those that are held": _least(
        sources=((), (), (0, 1)),
        timing=2,
        there=((0, 0), (0, 1), (0, 4), (1, 1)),
        acts=(("wait", 30, 0, 0, 0), ("short_list", 300, 0, 1, 34)),
    ),
    "what one list lacks is held no longer where the next one lacks little": _least(
        seed=5,
        sources=((), (0,)),
        there=((0, 0), (0, 1), (0, 2)),
        acts=(
            ("cut", 0, 0, 0, 1),
            ("short_list", 0, 0, 2, 1),
            ("short_list", 0, 0, 1, 1),
            ("put", 0, 0, 0, 0),
            ("wait", 5, 0, 0, 0),
        ),
    ),
    "a mirror that somebody takes away is not among those of which most are held": _least(
        sources=((), (0,)),
        there=((0, 0), (0, 1), (0, 2)),
        acts=(
            ("wait", 30, 0, 0, 0),
            ("short_list", 0, 0, 2, 1),
            ("take", 0, 0, 0, 0),
            ("wait", 5, 0, 0, 0),
        ),
    ),
    "what a watch tells again is not among those that a list lacks": _least(
        sources=((), (0,)),
        there=((0, 0), (0, 1), (0, 3)),
        acts=(
            ("wait", 30, 0, 0, 0),
            ("short_list", 0, 0, 0, 1),
            ("cut", 5, 0, 0, 1),
            ("put", 0, 0, 0, 0),
            ("wait", 5, 0, 0, 0),
        ),
    ),
    "slices whose Service went while their source was away are deleted when it is back": _least(
        sources=((), (0,)),
        there=((0, 3),),
        acts=(
            ("cut", 0, 0, 0, 1),
            ("kill", 0, 1, 0, 1),
            ("put", 0, 0, 0, 0),
            ("wait", 5, 0, 0, 0),
            ("cut", 0, 0, 0, 1),
            ("cut", 0, 0, 0, 1),
            ("stop", 0, 0, 0, 1),
            ("put", 0, 0, 0, 0),
            ("put", 0, 0, 0, 0),
            ("tamper", 0, 0, 3, 1),
            ("wait", 5, 0, 0, 0),
            ("cut", 0, 0, 0, 1),
            ("delete", 0, 0, 8, 0),
            ("wait", 5, 0, 0, 0),
        ),
    ),
    "after going back once versions are soon reached again": _least(
        sources=((), (0,)),
        there=((0, 0),),
        acts=(
            ("rewind", 0, 0, 0, 1),
            ("put", 0, 0, 0, 0),
            ("wait", 20, 0, 0, 0),
            ("rewind", 0, 0, 1, 1),
            ("put", 0, 0, 1, 0),
            ("wait", 5, 0, 0, 0),
        ),
    ),
    "Endpoints that somebody made unseen do not go with the mirror": _least(
        sources=((), (0,)),
        there=((0, 1),),
        acts=(
            ("wait", 0, 0, 0, 0),
            ("tamper", -2, 0, 1, 0),
            ("sabotage", -2, 1, 0, 0),
            ("truncate", 0, 1, 0, 0),
            ("delete", 0, 0, 1, 0),
        ),
    ),
    "nor do those of which the watch tells while it is asked for them": _least(
        sources=((), (0,)),
        there=((0, 0),),
        acts=(
            ("wait", 30, 0, 0, 0),
            ("truncate", 0, 3, 0, 1),
            ("lost_answer", 0, 0, 0, 1),
            ("delete", 0, 0, 0, 0),
            ("wait", 5, 0, 0, 0),
            ("cut", 0, 0, 0, 1),
            ("put", 0, 0, 7, 0),
            ("put", 150, 11, 11, 0),
            ("put", 0, 0, 0, 0),
            ("wait", 5, 0, 0, 0),
            ("replay", 0, 1, 8, 1),
            ("tamper", 0, 0, 7, 6),
            ("delete", 0, 0, 2, 0),
            ("wait", 5, 0, 0, 0),
        ),
    ),
    "what a host's own lists lack is not known to be mirrored": _least(
        sources=((), (0,)),
        there=((0, 0), (0, 1), (0, 4)),
        acts=(
            ("wait", 30, 0, 0, 0),
            ("short_list", 0, 0, 1, 1),
            ("short_list", 0, 1, 0, 1),
            ("put", 0, 0, 0, 0),
            ("wait", 5, 0, 0, 0),
        ),
    ),
    "what a source that fails has deleted, it has for all that others know": _least(
        sources=((1, 2), (2, 0), (0, 1)),
        there=((1, 2), (2, 2)),
        acts=(
            ("cut", 0, 1, 0, 1),
            ("withdraw", 0, 1, 2, 0),
            ("put", 150, 0, 0, 1),
            ("wait", 5, 0, 0, 0),
            ("too_many", 0, 1, 0, 3),
            ("put", 0, 0, 0, 0),
            ("delete", 0, 1, 2, 0),
            ("delete", 0, 2, 7, 0),
            ("wait", 5, 0, 0, 0),
        ),
    ),
    "where a first list is still expected things are not quiet": _least(
        sources=((), (), (0, 1)),
        there=((1, 0),),
        acts=(
            ("silence", 0, 0, 0, 2),
            ("put", 0, 0, 0, 0),
            ("put", 0, 0, 0, 0),
            ("put", 0, 1, 0, 0),
            ("wait", 5, 0, 0, 0),
        ),
    ),
}


@pytest.mark.timeout(900)
def test_whatever_fails_in_the_end_every_mirror_is_right(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sums, found = search(1, seconds=800.0, runs=RUNS)
    with capsys.disabled():
        sys.stdout.write(f"\n{sums.line()}\n")
    assert not found, "\n".join(f"{each.told}\n{each.command}" for each in found)
    assert sums.runs >= RUNS


@pytest.mark.parametrize("name", PAST)
def test_what_was_wrong_once_is_right(name: str) -> None:
    execute(PAST[name])


def test_a_schedule_is_read_as_it_was_written() -> None:
    for schedule in SHOWN_BY.values():
        assert read(schedule.blob()) == read(schedule.text()) == schedule


def test_every_bug_made_on_purpose_has_its_schedule() -> None:
    assert MUTANTS.keys() == SHOWN_BY.keys()


@pytest.mark.parametrize("name", SHOWN_BY)
def test_a_bug_made_on_purpose_is_found(name: str) -> None:
    schedule = SHOWN_BY[name]
    assert schedule.faults
    execute(schedule)
    with MUTANTS[name](), pytest.raises((Broken, ApiError)):
        execute(schedule)
