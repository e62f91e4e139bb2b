"""Which of a source's APIs is read: EndpointSlices where and as long as they are to be had."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from test_informer import ScriptedApi
from twisted.internet.task import Clock

from servicereflector.kube.lists import encode_list
from servicereflector.kube.resources import ENDPOINTS, ENDPOINTSLICES
from servicereflector.kube.status import ApiError, not_ready, unknown_path
from servicereflector.listwatch.informer import Informer
from servicereflector.listwatch.probe import REFRESH
from servicereflector.reflector.following import PATIENCE, SliceFollower
from servicereflector.reflector.slices import Slices
from servicereflector.store.versioned import Store

EMPTY = encode_list(ENDPOINTSLICES, (), 7)


class World:
    """A running follower, its clock and its source."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.api = ScriptedApi()
        self.slices = Slices()
        self.informers: list[Informer] = []
        self.follower = SliceFollower(
            self.clock,
            self.api,
            self.slices,
            follow=self.follow,
            unfollow=self.unfollow,
            random=lambda: 0.5,
            source="east",
            namespace="shop",
        )
        self.follower.startService()

    def follow(self, store: Store, troubled: Callable[[Exception], None]) -> Informer:
        informer = Informer(
            self.clock,
            self.api,
            store,
            random=lambda: 0.5,
            source="east",
            troubled=troubled,
        )
        self.informers.append(informer)
        informer.startService()
        return informer

    def unfollow(self, informer: Informer) -> None:
        self.informers.remove(informer)
        informer.stopService()

    def answer(self, answer: bytes | Exception) -> None:
        call = self.api.last
        if isinstance(answer, bytes):
            call.answer.callback(answer)
        else:
            call.fails(answer)

    def refuse_until(self, seconds: float, error: ApiError) -> None:
        """Every request fails until so much time has passed."""
        end = self.clock.seconds() + seconds
        while self.clock.seconds() < end:
            if not self.api.last.answer.called:
                self.answer(error)
            self.clock.advance(0.5)

    def stop(self) -> list[Any]:
        self.follower.stopService()
        for informer in self.informers:
            informer.stopService()
        return self.clock.getDelayedCalls()


def test_one_slice_is_asked_for_where_we_may_look() -> None:
    """It tells whether they are served and whether we may list them; discovery tells but one."""
    world = World()
    assert world.api.made == "list"
    asked = world.api.last.arguments
    assert (asked["resource"], asked["namespace"], asked["limit"]) == (ENDPOINTSLICES, "shop", 1)
    assert not world.slices.known


def test_what_is_served_is_followed() -> None:
    """And known with its first list, not before; nothing is asked twice."""
    world = World()
    world.answer(EMPTY)
    assert (len(world.informers), world.slices.known) == (1, False)
    world.answer(EMPTY)
    assert world.slices.synced
    world.clock.advance(80)
    assert world.api.made == "list list watch"
    assert world.stop() == []


@pytest.mark.parametrize(
    "answer",
    [
        *(ApiError(code, "no") for code in (401, 403, 404, 405, 406)),
        encode_list(ENDPOINTS, (), 7),
        b"{}",
        b"<html>",
    ],
)
def test_a_no_is_known_and_asked_again_each_minute(answer: bytes | Exception) -> None:
    """A source is upgraded while we run."""
    world = World()
    world.answer(answer)
    assert (world.slices.known, world.informers) == (True, [])
    world.clock.advance(REFRESH - 1)
    assert world.api.made == "list"
    world.clock.advance(1)
    assert world.api.made == "list list"
    world.answer(EMPTY)
    world.answer(EMPTY)
    assert world.slices.synced
    assert world.stop() == []


@pytest.mark.parametrize("error", [OSError("away"), ApiError(500, "no"), not_ready()])
def test_no_answer_is_no_no(error: Exception) -> None:
    """It is asked again soon, and nothing is known meanwhile."""
    world = World()
    world.answer(error)
    assert not world.slices.known
    world.clock.advance(2)
    assert world.api.made == "list list"
    assert world.stop() == []


def test_a_first_list_that_is_refused_is_believed_at_once() -> None:
    """Nothing was mirrored from slices."""
    world = World()
    world.answer(EMPTY)
    world.answer(unknown_path())
    assert (world.slices.known, world.slices.synced, world.informers) == (True, False, [])
    world.clock.advance(REFRESH)
    assert world.api.made == "list list list"


def test_a_source_that_no_longer_serves_them_falls_back() -> None:
    """Once it has said so for a while; and moves up again when they are back."""
    world = World()
    world.answer(EMPTY)
    world.answer(EMPTY)
    world.api.last.opens()
    world.clock.advance(5)
    world.api.last.ends()
    world.refuse_until(PATIENCE / 2, unknown_path())
    assert world.slices.synced
    world.refuse_until(PATIENCE * 4, unknown_path())
    assert (world.slices.known, world.slices.synced, world.informers) == (True, False, [])
    world.clock.advance(REFRESH)
    world.answer(EMPTY)
    world.answer(EMPTY)
    assert world.slices.synced
    assert world.stop() == []


def test_a_source_that_starts_may_refuse_for_a_moment() -> None:
    """An API server knows its roles some seconds after its first answer. What it refuses later is
    another refusal."""
    world = World()
    world.answer(EMPTY)
    world.answer(EMPTY)
    for _ in range(3):
        world.api.last.opens()
        world.clock.advance(5)
        world.api.last.ends()
        world.refuse_until(PATIENCE / 2, ApiError(403, "no"))
        while world.api.last.what == "list" or world.api.last.answer.called:
            if not world.api.last.answer.called:
                world.answer(EMPTY)
            world.clock.advance(0.5)
    assert world.slices.synced
    assert world.stop() == []


def test_stopping_ends_the_question() -> None:
    """And starting asks again, unless the answer is known."""
    world = World()
    asked = world.api.last
    assert world.stop() == []
    assert asked.cancelled
    world.follower.startService()
    world.answer(EMPTY)
    world.answer(EMPTY)
    assert world.stop() == []
    made = world.api.made
    world.follower.startService()
    assert world.api.made == made
