"""What the log of a mesh tells, read as whoever is called at night reads it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from servicereflector.kube.resources import ENDPOINTS, SERVICES
from servicereflector.listwatch.backoff import Backoff
from servicereflector.reasons import Code
from servicereflector.reflector.failing import MOST_TOLD
from servicereflector.testing.clusters import Mesh, Node, endpoints, service

KEY = "shop/cart"

#: Seconds between two tries at most, and for which a success has to last.
LONGEST, HEALTHY = 30.0, 10.0


class Watched(Mesh):
    """A mesh, and the lines of its log that people see.

    :ivar lines: level, reason and message.
    :ivar events: what they were made of.
    """

    def __init__(self) -> None:
        super().__init__()
        self.events: list[LogEvent] = []
        globalLogPublisher.addObserver(self._observe)

    def _observe(self, event: LogEvent) -> None:
        told_by = event["log_namespace"]
        ours = told_by.startswith("servicereflector.") and "ops.channels" not in told_by
        if ours and event["log_level"] >= LogLevel.info:
            self.events.append(event)

    @property
    def lines(self) -> list[tuple[str, Code, str]]:
        return [(e["log_level"].name, e["reason"], str(formatEvent(e))) for e in self.events]

    def of(self, name: str) -> list[tuple[str, Code, str]]:
        """The lines that begin with the name of a source, or with ``host``."""
        return [line for line in self.lines if line[2].startswith(f"{name}: ")]

    def stop(self) -> None:
        super().stop()
        globalLogPublisher.removeObserver(self._observe)


@pytest.fixture
def mesh() -> Iterator[Watched]:
    mesh = Watched()
    yield mesh
    mesh.stop()


def pair(mesh: Watched) -> tuple[Node, Node]:
    east = mesh.join("east")
    west = mesh.join("west", ["east"])
    mesh.advance(2)
    export(east)
    mesh.advance(10)
    return east, west


def export(node: Node, key: str = KEY) -> None:
    node.cluster.put(SERVICES, service(key))
    node.cluster.put(ENDPOINTS, endpoints(key, ["10.9.0.1"]))


def cut(node: Node) -> None:
    assert node.emitter is not None
    node.emitter.refuse()
    node.emitter.cut()


def test_a_source_that_is_cut_is_told_once_then_now_and_then_and_when_it_is_back(
    mesh: Watched,
) -> None:
    """One line for its three watches: the failure, reminders after 1, 5 and 15 minutes, and the end
    with its figures."""
    east, _ = pair(mesh)
    mesh.events.clear()
    began = mesh.network.clock.seconds()
    cut(east)
    mesh.advance(1200)
    assert east.emitter is not None
    east.emitter.refuse(False)
    mesh.advance(LONGEST + HEALTHY + 1)
    levels, reasons, messages = zip(*mesh.lines, strict=True)
    assert levels == ("warn", "warn", "warn", "warn", "info")
    assert reasons == (*[Code.UNREACHABLE] * 4, Code.RECOVERED)
    assert all(message.startswith("east: ") for message in messages)
    failure, *reminders, recovery = mesh.events
    assert (failure["attempts"], failure["lasted_seconds"]) == (1, 0.0)
    for reminder, message, due in zip(reminders, messages[1:], (60, 300, 900), strict=False):
        assert due <= reminder["lasted_seconds"] < due + LONGEST
        assert f"east: still failing after {reminder['attempts']} attempts in " in message
    attempts = [event["attempts"] for event in mesh.events]
    assert attempts == sorted(attempts)
    # The last watch is back as soon as its delay is over, and settles for a while.
    assert 1200 <= recovery["lasted_seconds"] < 1200 + LONGEST
    assert recovery["log_format"].startswith("{source}: answers again")
    assert messages[-1] == (
        f"east: answers again, after {recovery['attempts']} failed attempts in 20 min"
    )
    told_after = mesh.network.clock.seconds() - began
    assert recovery["lasted_seconds"] + HEALTHY <= told_after
    # All retries were counted: three watches, each with a delay of 15 s in the middle.
    assert 3 * 1200 / LONGEST < recovery["attempts"] < 3 * 1200 / 5


def test_the_attempts_that_are_told_are_those_that_failed(mesh: Watched) -> None:
    east, west = pair(mesh)
    assert west.program is not None
    before = sum(i.stats.troubles for i in west.program.informers if i.source == "east")
    mesh.events.clear()
    cut(east)
    mesh.advance(100)
    assert east.emitter is not None
    east.emitter.refuse(False)
    mesh.advance(LONGEST + HEALTHY + 1)
    after = sum(i.stats.troubles for i in west.program.informers if i.source == "east")
    assert mesh.events[-1]["reason"] is Code.RECOVERED
    assert mesh.events[-1]["attempts"] == after - before


def test_another_kind_of_failure_is_told(mesh: Watched) -> None:
    """Once: who comes back broken is not just away any more."""
    east, _ = pair(mesh)
    mesh.events.clear()
    cut(east)
    mesh.advance(40)
    assert east.emitter is not None
    east.emitter.refuse(False)
    east.emitter.silence()
    mesh.advance(59 + 90)
    assert {reason for _, reason, _ in mesh.of("east")} == {Code.UNREACHABLE, Code.TIMED_OUT}
    assert [reason for _, reason, _ in mesh.of("east")].count(Code.TIMED_OUT) <= 2
    east.emitter.silence(False)


def test_a_host_that_is_away_is_told_as_one(mesh: Watched) -> None:
    """Whatever asks it: the watches, its version."""
    _, west = pair(mesh)
    mesh.events.clear()
    west.api.refuse()
    west.api.cut()
    mesh.advance(30)
    (line,) = mesh.of("host")
    assert line[:2] == ("warn", Code.UNREACHABLE)
    west.api.refuse(False)
    mesh.advance(LONGEST + HEALTHY + 1)
    assert [reason for _, reason, _ in mesh.of("host")] == [Code.UNREACHABLE, Code.RECOVERED]


def test_many_names_that_cannot_be_written_do_not_fill_the_log(mesh: Watched) -> None:
    """So many are told in a minute; how many there are is told with the reminder."""
    east, west = pair(mesh)
    mesh.events.clear()
    west.api.refuse()
    west.api.cut()
    for number in range(3 * MOST_TOLD):
        export(east, f"shop/s{number}")
    mesh.advance(50)
    told = [event for event in mesh.events if event.get("state") == "Failed"]
    assert len(told) == MOST_TOLD
    assert "only counted" in str(formatEvent(told[-1]))
    assert not any("only counted" in str(formatEvent(event)) for event in told[:-1])
    mesh.advance(60)
    sums = [event for event in mesh.events if "could not be written" in str(formatEvent(event))]
    assert [event["count"] for event in sums] == [3 * MOST_TOLD]
    west.api.refuse(False)
    mesh.advance(120)
    (back,) = [e for e in mesh.events if e["log_format"].startswith("what could not be written")]
    assert back["reason"] is Code.RECOVERED
    assert back["attempts"] >= 3 * MOST_TOLD


def test_the_figures_of_the_retries_are_those_of_the_backoff() -> None:
    """What the tests above take for the longest delay."""
    backoff = Backoff(lambda: 1.0)
    assert max(backoff.delay(float(now)) for now in range(60)) == LONGEST
