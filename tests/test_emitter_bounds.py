"""A long body goes to its transport in pieces, as fast as that takes them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from servicereflector.emitter.bounds import (
    PATIENCE,
    PIECE,
    UNLIMITED,
    ListPlace,
    Reads,
    Sender,
)
from servicereflector.emitter.refusals import Refusals


class Taker:
    """A request whose transport stops its producer after so many bytes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.had: list[bytes] = []
        self.producer: Any = None
        self.aborted = False
        self.transport = self

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def write(self, data: bytes) -> None:
        self.had.append(data)
        self.most -= len(data)
        if self.most <= 0:
            self.producer.pauseProducing()

    def abortConnection(self) -> None:
        self.aborted = True


class Sending:
    def __init__(self, data: bytes, most: int = 1 << 30) -> None:
        self.clock = Clock()
        self.taker = Taker(most)
        reads = Reads(self.clock, UNLIMITED, Refusals(self.clock.seconds))
        reads.lists.take("c")
        place = ListPlace(reads.lists, "c")
        self.sender = Sender(self.clock, self.taker, data, place, reads)  # type: ignore[arg-type]
        self.sender.start()


def test_others_have_their_turn_between_two_pieces() -> None:
    """Whatever the transport would take."""
    sending = Sending(b"x" * (3 * PIECE))
    had = sending.taker.had
    assert len(had) == 1
    seen: list[int] = []
    sending.clock.callLater(0, lambda: seen.append(len(had)))
    sending.clock.advance(0)
    assert seen == [2]
    assert had == 3 * [b"x" * PIECE]
    assert sending.sender.done.called
    assert sending.clock.getDelayedCalls() == []


@given(st.integers(1, 5 * PIECE), st.lists(st.integers(1, 2 * PIECE), min_size=1))
def test_all_arrives_however_often_the_transport_stops(size: int, takes: list[int]) -> None:
    """In order, no more than one piece at a time, and no timer is left."""
    data = bytes(range(256)) * (size // 256 + 1)
    sending = Sending(data, takes[0])
    for turn in range(1, 1000):
        if sending.sender.done.called:
            break
        sending.clock.advance(0.001)
        if sending.taker.most <= 0:
            before = len(sending.taker.had)
            sending.taker.most = takes[turn % len(takes)]
            sending.taker.producer.resumeProducing()
            assert len(sending.taker.had) <= before + 1
    assert b"".join(sending.taker.had) == data
    assert sending.taker.producer is None
    assert sending.clock.getDelayedCalls() == []


def test_who_takes_nothing_is_hung_up_on() -> None:
    sending = Sending(b"x" * (3 * PIECE), PIECE)
    sending.clock.advance(PATIENCE - 0.1)
    assert not sending.taker.aborted
    sending.clock.advance(0.2)
    assert sending.taker.aborted
    assert sending.taker.had == [b"x" * PIECE]
    assert sending.clock.getDelayedCalls() == []


def test_who_goes_gets_nothing_more() -> None:
    """Also between two turns."""
    sending = Sending(b"x" * (3 * PIECE))
    sending.taker.producer.stopProducing()
    sending.clock.advance(1)
    assert len(sending.taker.had) == 1
    assert sending.clock.getDelayedCalls() == []
