"""The electors' rules: never two leaders, and a new one in time, whatever becomes of requests."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count, repeat

import pytest
from electorate import Fate, Replica, World
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.election.lease import LeaseSpec, new_lease, read_spec, with_spec
from servicereflector.election.machine import Create, Elector, Get, Timing, Update

TIMING = Timing()

#: Sums of such times are exact.
ticks = st.integers(0, 4 * 40).map(lambda n: n / 4)
delays = st.sampled_from((0.0, 0.0, 0.25, 1.0, 4.75, 5.0, 9.75, 14.0, 15.0, 16.25, 40.0))
fates = st.builds(Fate, st.none() | delays, st.none() | delays) | st.just(Fate())
timings = st.sampled_from(
    (TIMING, Timing(15.5, 15.25, 1.0), Timing(4.0, 3.0, 2.25), Timing(1.0, 0.75, 0.5))
)
offsets = st.sampled_from((0.0, -1e6, 3600.0, 0.125, 1e6))


class Story:
    """A world in which replicas come and go, until it is left in peace.

    :param deeds: at what time, which replica, and what becomes of it.
    """

    def __init__(
        self,
        timing: Timing,
        offsets: list[float],
        fates: list[Fate],
        deeds: list[tuple[float, int, str, float]],
    ) -> None:
        self.peaceful = False
        self.world = World(self._fates(fates))
        self._names = (f"replica-{n}" for n in count(1))
        self._timing = timing
        self._offsets = offsets
        self.slots = [self._replica(offset) for offset in offsets]
        for at, slot, deed, length in deeds:
            self.world.at(at, lambda s=slot, d=deed, n=length: self._do(s % len(offsets), d, n))  # type: ignore[misc]

    def _fates(self, fates: list[Fate]) -> Iterator[Fate]:
        for fate in chain.from_iterable(repeat(fates)):
            yield Fate() if self.peaceful else fate

    def _replica(self, offset: float) -> Replica:
        return Replica(self.world, next(self._names), self._timing, offset)

    def _do(self, slot: int, deed: str, length: float) -> None:
        replica = self.slots[slot]
        match deed:
            case "pause":
                replica.pause(self.world.now + length)
                return
            case "kill":
                replica.kill()
            case "stop":
                replica.stop()
        self.world.at(self.world.now + length, lambda: self._restart(slot))

    def _restart(self, slot: int) -> None:
        self.slots[slot].kill()
        self.slots[slot] = self._replica(self._offsets[slot])


deeds = st.tuples(ticks, st.integers(0, 3), st.sampled_from(("pause", "kill", "stop")), ticks)


@given(
    timings,
    st.lists(offsets, min_size=1, max_size=4),
    st.lists(fates, min_size=1, max_size=12),
    st.lists(deeds, max_size=6),
)
def test_never_two_lead_and_in_the_end_one_does(
    timing: Timing,
    offsets: list[float],
    fates: list[Fate],
    deeds: list[tuple[float, int, str, float]],
) -> None:
    """Requests and answers late or lost, processes that stand still, die and come back, clocks that
    are wrong. The world and its server check each step and each write."""
    story = Story(timing, offsets, fates, deeds)
    story.world.run(100.0)
    story.peaceful = True
    # The last of the late writes has come by then, and what it wrote has expired.
    story.world.run(100.0 + 40.0 + 16.0 + 2 * timing.retry_period + timing.request_timeout)
    assert len(story.world.leaders()) == 1


@given(ticks, st.integers(1, 3), st.sampled_from(("stop", "kill")), timings, offsets)
def test_a_new_leader_is_there_in_time(
    at: float, standbys: int, ending: str, timing: Timing, offset: float
) -> None:
    """After a release by the next look, after a death when the Lease has expired."""
    world = World(repeat(Fate()))
    first, *_ = [Replica(world, f"r{n}", timing, n * offset) for n in range(standbys + 1)]
    world.run(at)
    assert world.leaders() == ["r0"]
    first.stop() if ending == "stop" else first.kill()
    duration = read_spec(world.lease or {}).duration
    bound = timing.retry_period + (0 if ending == "stop" else duration)
    world.run(at + bound)
    ((began, _), (began_again, leader)) = world.terms
    assert (began, leader != "r0", world.leaders()) == (0.0, True, [leader])
    if ending == "kill":
        # Not sooner than the old one would have stopped: it might only have been cut off.
        assert began_again >= at + duration - timing.retry_period
    assert read_spec(world.lease or {}).transitions == 1


def elector(identity: str = "me", timing: Timing = TIMING) -> Elector:
    return Elector(identity, "shop", "it", timing)


def lease(holder: str, duration: int = 15, version: str = "7", **spec: object) -> dict[str, object]:
    return {
        "metadata": {"namespace": "shop", "name": "it", "uid": "u", "resourceVersion": version},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": duration, **spec},
    }


def test_the_first_creates_the_lease() -> None:
    """With the API's members, the first term being no transition."""
    me = elector(timing=Timing(15.5))
    assert me.begin(0.0, "T0") == Get()
    step = me.found(None, 1.0, "T1")
    assert isinstance(step, Create)
    assert step.document == {
        "metadata": {"namespace": "shop", "name": "it"},
        "spec": {
            "holderIdentity": "me",
            "leaseDurationSeconds": 16,  # no sooner than 15.5 s
            "acquireTime": "T1",
            "renewTime": "T1",
            "leaseTransitions": 0,
        },
    }
    assert not me.leads(1.0)
    me.written(step.document, 1.0)
    assert me.leads(10.9)
    assert not me.leads(11.0)


def test_a_renewal_says_only_when_it_was() -> None:
    """And carries what it found: its uid, its version, what others wrote beside the term."""
    me = elector()
    held = lease("me", acquireTime="T0", leaseTransitions=4, strategy="x")
    me.written(held, 0.0)
    step = me.begin(2.0, "T2")
    assert isinstance(step, Update)
    assert step.document["metadata"] == held["metadata"]
    assert step.document["spec"] == {
        "holderIdentity": "me",
        "leaseDurationSeconds": 15,
        "acquireTime": "T0",
        "renewTime": "T2",
        "leaseTransitions": 4,
        "strategy": "x",
    }


def test_a_renewal_without_an_answer_is_none() -> None:
    """The next look is before the next write; the time counts from when the write began."""
    me = elector()
    me.written(lease("me"), 0.0)
    assert isinstance(me.begin(2.0, "T2"), Update)
    assert me.begin(4.0, "T4") == Get()
    step = me.found(lease("me", version="8"), 4.5, "T4")
    assert isinstance(step, Update)
    me.written(step.document, 5.0)
    assert me.leads(14.9)
    assert not me.leads(15.0)


def test_a_lease_expires_by_when_it_was_seen_to_change() -> None:
    """Not by the times in it, nor by those that only touched the object."""
    me = elector()
    told = {"renewTime": "1970-01-01T00:00:00.000000Z"}
    assert me.found(lease("other", **told), 100.0, "T") is None
    assert me.found(lease("other", version="8", **told), 114.9, "T") is None
    assert isinstance(me.found(lease("other", version="8", **told), 115.0, "T"), Update)
    told = {"renewTime": "1970-01-01T00:00:01.000000Z"}
    assert me.found(lease("other", version="9", **told), 116.0, "T") is None


def test_the_leader_says_for_how_long_others_wait() -> None:
    """Replicas with other flags are no danger to each other."""
    me = elector(timing=Timing(4.0, 3.0, 1.0))
    assert me.found(lease("other", 60), 0.0, "T") is None
    assert me.found(lease("other", 60), 59.0, "T") is None
    assert me.found(lease("other", 60), 60.0, "T") is not None


@pytest.mark.parametrize("told", [lease(""), lease("", 1), {"metadata": {}, "spec": None}])
def test_a_lease_that_nobody_holds_is_taken_at_once(told: dict[str, object]) -> None:
    """Also one that a person made and left empty."""
    step = elector().found(told, 0.0, "T")
    assert isinstance(step, Update)
    assert read_spec(step.document) == LeaseSpec("me", 15, "T", "T", 1)


def test_a_leader_that_finds_another_in_the_lease_leads_no_longer() -> None:
    """Somebody wrote that into it."""
    me = elector()
    me.written(lease("me"), 0.0)
    assert me.found(lease("other", version="8"), 1.0, "T") is None
    assert not me.leads(1.0)


def test_a_lease_that_was_deleted_counts_until_it_would_have_expired() -> None:
    """Its leader goes on for so long; it may itself make it anew at once."""
    me = elector()
    me.found(lease("other"), 0.0, "T")
    assert me.found(None, 14.9, "T") is None
    assert isinstance(me.found(None, 15.0, "T"), Create)
    me.written(lease("me"), 20.0)
    assert isinstance(me.found(None, 21.0, "T"), Create)


def test_a_release_leaves_nobody() -> None:
    """For a second, so that also those take it at once which look at the duration alone."""
    me = elector()
    me.written(lease("me", leaseTransitions=3, acquireTime="T0"), 0.0)
    step = me.release(lease("me", leaseTransitions=3, acquireTime="T0"), "T5")
    assert not me.leads(0.0)
    assert isinstance(step, Update)
    assert read_spec(step.document) == LeaseSpec("", 1, "T5", "T5", 3)


@pytest.mark.parametrize("told", [None, lease("other"), lease("")])
def test_what_is_another_s_is_not_released(told: dict[str, object] | None) -> None:
    """Nor what is gone."""
    me = elector()
    me.written(lease("me"), 0.0)
    assert me.release(told, "T") is None
    assert not me.leads(0.0)


@given(
    st.builds(LeaseSpec, st.text(), st.integers(), st.text(), st.text(), st.integers()),
)
def test_a_spec_is_read_as_it_was_written(spec: LeaseSpec) -> None:
    """New or in another's document."""
    assert read_spec(new_lease("a", "b", spec)) == spec
    assert read_spec(with_spec({"metadata": {}, "spec": {"x": 1}}, spec)) == spec


@pytest.mark.parametrize(
    ("timing", "renews", "retries"),
    [
        (Timing(), True, True),
        (Timing(10, 10, 2), False, True),
        (Timing(15, 10, 10 / 1.2), True, False),
        (Timing(15, 10, 8.3), True, True),
        (Timing(15, 10, 0), True, False),
    ],
)
def test_which_times_fit_together(timing: Timing, renews: bool, retries: bool) -> None:
    """As client-go has it."""
    assert (timing.renews_in_time(), timing.retries_in_time()) == (renews, retries)
