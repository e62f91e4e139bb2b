"""A long first sync is told from time to time, a short one and what comes later is not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from servicereflector.kube.resources import ENDPOINTS, SERVICES
from servicereflector.ops.progress import PERIOD, Counts, Progress, ProgressLog, counts_of
from servicereflector.testing.clusters import Mesh, endpoints, service


def told(*course: tuple[float, Counts]) -> list[str]:
    progress = Progress()
    return [line for now, counts in course for line in progress.tell(counts, now)]


def listing(count: int) -> Counts:
    return Counts((("east", "services", count),))


def test_a_long_list_is_told_with_its_objects() -> None:
    """Once it has taken longer than a moment."""
    course = [(0.0, listing(500)), (1.0, listing(6000)), (2.0, listing(12000))]
    assert told(*course) == ["east: services: 12,000 objects listed so far"]


def test_the_mirrors_of_a_list_are_counted() -> None:
    """Until none waits."""
    course = [(0.0, listing(500))]
    course += [(float(s), Counts((), 1, 600 * s, 5000 - 600 * s)) for s in range(1, 8)]
    assert told(*course, (8.0, Counts((), 1, 5000, 0))) == [
        "mirrored 1,200 of 5,000",
        "mirrored 4,200 of 5,000",
    ]


def test_what_changes_after_the_first_sync_is_not_told() -> None:
    """Names wait then, too, however long."""
    synced = [(0.0, Counts((), 1, 0, 10)), (1.0, Counts((), 1, 10, 0))]
    assert not told(*synced, *((float(s), Counts((), 1, 10, 900)) for s in range(2, 60)))


def test_a_standstill_is_told_once() -> None:
    """The same line says nothing new."""
    assert len(told(*((float(s), listing(500)) for s in range(60)))) == 1


@given(st.lists(st.tuples(st.floats(0, 3), st.integers(0, 9), st.integers(0, 3)), max_size=40))
def test_there_are_never_two_tellings_within_the_period(
    steps: list[tuple[float, int, int]],
) -> None:
    """Of one sync, whatever the counts do."""
    progress, now, last = Progress(), 0.0, float("-inf")
    for delay, count, synced in steps:
        now += delay
        if progress.tell(Counts((("east", "services", 1 + count),), synced, 0, count), now):
            assert now - last >= PERIOD
            last = now


def test_the_program_knows_how_far_it_is() -> None:
    """When all is mirrored; a small fleet is done before anything is told."""
    mesh, lines = Mesh(), []

    def observe(event: LogEvent) -> None:
        if "progress" in event.get("log_namespace", ""):
            lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    try:
        east = mesh.join("east")
        for number in range(20):
            east.cluster.put(SERVICES, service(f"shop/s{number}"))
            east.cluster.put(ENDPOINTS, endpoints(f"shop/s{number}", ("10.9.0.1",)))
        mesh.advance(2)
        west = mesh.join("west", ["east"])
        assert west.program is not None
        watching = ProgressLog(mesh.network.clock, west.program)
        watching.startService()
        mesh.advance(30)
        watching.stopService()
        counts = counts_of(west.program)
        assert (counts.listing, counts.mirrored, counts.waiting) == ((), 20, 0)
        assert counts.synced >= 6
    finally:
        globalLogPublisher.removeObserver(observe)
        mesh.stop()
    assert not lines
