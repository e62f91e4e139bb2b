"""One fault in the world, from before it to after it, with all that must hold."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from .cases import Case
from .world import World

#: Seconds within which the healthy source's change must be seen, whatever befalls the others.
IN_TIME = 10.0


@dataclass(frozen=True, slots=True)
class Row:
    """What became of a case.

    :ivar compared: how many objects, after it.
    :ivar recovery: seconds from the fault's end until every mirror was what it should be. A
        restarted server counts from when it was ready, a program from its start.
    :ivar delay: seconds that the healthy source's change took meanwhile; None where it may wait.
    """

    case: Case
    changes: int
    compared: int
    recovery: float
    delay: float | None


def run(world: World, case: Case, seed: int, seconds: float) -> Row:
    """Have it happen.

    :param seconds: how long it lasts.
    :raises AssertionError: there are differences after its bound, or something was touched or
        deleted that should not have been.
    """
    with world.changing(seed) as churn:
        end = case.begin(world)
        try:
            lasted_until = time.monotonic() + seconds
            delay = world.pulse(IN_TIME) if case.apart else None
            threading.Event().wait(max(0.0, lasted_until - time.monotonic()))
            churn.stop()
        finally:
            end()
        ended = time.monotonic()
    _, compared = world.recovered(case.bound)
    recovery = time.monotonic() - ended
    assert not (told := world.violations()), told
    return Row(case, churn.changes, compared, recovery, delay)


#: What the columns of :func:`line` are.
COLUMNS = "case; changes, objects compared, differences, recovery, delay of the healthy source"


def line(row: Row) -> str:
    """To print."""
    delay = "" if row.delay is None else f"{row.delay:.2f} s"
    return (
        f"{row.case.name:<58} {row.changes:>6} {row.compared:>6} {0:>6}"
        f" {row.recovery:>6.1f} s {delay:>8}"
    )


def total(rows: list[Row]) -> str:
    worst = max(rows, key=lambda row: row.recovery)
    return (
        f"{len(rows)} cases, {sum(row.compared for row in rows)} objects compared, 0 differences;"
        f" worst recovery {worst.recovery:.1f} s ({worst.case.name})"
    )
