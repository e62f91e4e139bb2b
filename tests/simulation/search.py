"""Runs, one after the other, of schedules that Hypothesis draws, and shrinks where one fails."""

from __future__ import annotations

import gc
import time
from collections import Counter
from dataclasses import dataclass, field
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, given, seed, settings
from twisted.internet.defer import DebugInfo

from .runner import Report, Run
from .schedule import Schedule, schedules

#: Runs for which Hypothesis remembers what it has tried; then it begins anew.
ROUND = 400


#: Runs after which what they have left is collected: it is full of circles, and to look for them
#: all the time would take as long as the runs themselves.
COLLECTED = 16

_uncollected = 0


def execute(schedule: Schedule) -> Report:
    """
    :raises Broken: a promise is.
    """
    global _uncollected  # noqa: PLW0603
    enabled = gc.isenabled()
    gc.disable()
    try:
        return Run(schedule).execute()
    except Exception:
        forget_failures()
        raise
    finally:
        _uncollected += 1
        if _uncollected >= COLLECTED:
            _uncollected = 0
            gc.collect()
        if enabled:
            gc.enable()


def forget_failures() -> None:
    """Collect what a run has left that ended in the middle: that nobody waits for its results any
    more is no news, and must not be told later, when another one runs."""
    with patch.object(DebugInfo, "__del__", lambda _self: None):
        gc.collect()


@dataclass
class Sums:
    """Of many runs."""

    runs: int = 0
    hours: float = 0.0
    events: int = 0
    writes: int = 0
    cpu: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)

    def count(self, report: Report) -> None:
        self.runs += 1
        self.hours += report.seconds / 3600
        self.events += report.events
        self.writes += report.writes
        self.faults += report.faults
        self.effects += report.effects

    def add(self, more: Sums) -> None:
        self.runs += more.runs
        self.hours += more.hours
        self.events += more.events
        self.writes += more.writes
        self.cpu += more.cpu
        self.faults += more.faults
        self.effects += more.effects

    def line(self) -> str:
        rate = self.runs / self.cpu if self.cpu else 0.0
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        effects = ", ".join(f"{name} {count}" for name, count in sorted(self.effects.items()))
        return (
            f"{self.runs} runs, {self.hours:.1f} simulated hours, {self.events} events,"
            f" {self.writes} writes, {rate:.1f} runs per second of CPU; faults:"
            f" {sum(self.faults.values())} ({faults}); met: {effects}"
        )


@dataclass
class Found:
    """A schedule that breaks a promise, as small as it became."""

    schedule: Schedule
    told: str

    @property
    def command(self) -> str:
        """What replays it."""
        return f"make simulate REPLAY='{self.schedule.blob()}'"


def search(first: int, seconds: float, runs: int = 0) -> tuple[Sums, list[Found]]:
    """
    :param first: the seed.
    :param seconds: of this process's clock on the wall.
    :param runs: at most, 0 for any number.
    """
    sums, found = Sums(), []
    gc.collect()
    gc.freeze()
    until = time.monotonic() + seconds
    began = time.process_time()
    number = 0
    while time.monotonic() < until and (not runs or sums.runs < runs):
        size = min(ROUND, runs - sums.runs) if runs else ROUND
        failure = _round(first * 10_007 + number, size, until, sums)
        if failure is not None:
            found.append(failure)
        number += 1
        if len(found) >= 5:
            break
    sums.cpu = time.process_time() - began
    return sums, found


class _TimeIsUp(BaseException):
    pass


def _round(number: int, size: int, until: float, sums: Sums) -> Found | None:
    last: list[Found] = []

    @seed(number)
    @settings(
        max_examples=size,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(schedules())
    def one(schedule: Schedule) -> None:
        if time.monotonic() > until and not last:
            raise _TimeIsUp
        try:
            report = execute(schedule)
        except Exception as error:
            last[:] = [Found(schedule, f"{type(error).__name__}: {error}")]
            raise
        if not last:
            sums.count(report)

    try:
        one()
    except _TimeIsUp:
        return None
    except BaseException:
        if not last:
            raise
        return last[0]
    return None
