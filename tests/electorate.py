"""A made world for electors: a Lease on a server, and replicas with clocks and faults of their own.

Each replica does what the Service does: it asks every retry period, with a deadline for each
request. Requests and answers take their time or are lost, also those of replicas that are gone.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from servicereflector.election.lease import LeaseSpec, read_spec
from servicereflector.election.machine import Create, Elector, Get, Timing, Update
from servicereflector.kube.objects import Json

#: Seconds for a release, as the Service has it.
RELEASE_TIMEOUT = 1.0


@dataclass(frozen=True, slots=True)
class Fate:
    """Of one request: seconds for the way there and back, None where it is lost on that way."""

    there: float | None = 0.0
    back: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Neither ok nor a conflict is a failure, or silence."""

    ok: bool = False
    conflict: bool = False
    lease: Json | None = None


Attempt = Generator[Get | Create | Update, Answer, None]


class World:
    """
    :ivar now: the true time, in seconds.
    :ivar lease: as the server has it.
    :ivar passed: how often it went to another holder.
    :ivar terms: when each new leader began to lead.
    """

    def __init__(self, fates: Iterator[Fate]) -> None:
        self.now = 0.0
        self.lease: Json | None = None
        self.passed = 0
        self.terms: list[tuple[float, str]] = []
        self.replicas: list[Replica] = []
        self.fates = fates
        self._numbers = count(1)
        self._events: list[tuple[float, int, Callable[[], None]]] = []

    def at(self, time: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time, next(self._numbers), event))

    def run(self, until: float) -> None:
        """At most one leads, ever: a replica begins to lead only in an event."""
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()
            leaders = self.leaders()
            assert len(leaders) <= 1, (self.now, leaders)
            if leaders and (not self.terms or self.terms[-1][1] != leaders[0]):
                self.terms.append((self.now, leaders[0]))
        self.now = until

    def leaders(self) -> list[str]:
        """The identities of all who believe that they lead."""
        return [r.elector.identity for r in self.replicas if r.leads]

    def serve(self, request: Get | Create | Update) -> Answer:
        """What the API server does."""
        if isinstance(request, Get):
            return Answer(ok=True, lease=self.lease)
        held = self.lease["metadata"] if self.lease else None
        metadata = request.document["metadata"]
        if isinstance(request, Create):
            if held is not None:
                return Answer(conflict=True)
            metadata = {**metadata, "uid": str(next(self._numbers))}
        elif held is None or any(metadata[m] != held[m] for m in ("uid", "resourceVersion")):
            return Answer(conflict=True)
        before = read_spec(self.lease) if self.lease else LeaseSpec()
        version = str(next(self._numbers))
        self.lease = {**request.document, "metadata": {**metadata, "resourceVersion": version}}
        self._check(before, read_spec(self.lease))
        return Answer(ok=True, lease=self.lease)

    def _check(self, before: LeaseSpec, after: LeaseSpec) -> None:
        assert after != before, "nobody would see that"
        assert after.duration >= 1
        if after.holder and before.renew_time and after.holder != before.holder:
            self.passed += 1
        assert after.transitions == self.passed


class Replica:
    """
    :param offset: by how many seconds its clock is wrong.
    """

    def __init__(self, world: World, identity: str, timing: Timing, offset: float) -> None:
        self.elector = Elector(identity, "default", "it", timing)
        self._world = world
        self._timing = timing
        self._offset = offset
        self._alive = True
        self._stopping = False
        self._awake_at = 0.0
        self._attempts = 0
        world.replicas.append(self)
        self._ask()

    @property
    def leads(self) -> bool:
        return self._alive and not self._stopping and self.elector.leads(self._clock())

    def kill(self) -> None:
        self._alive = False

    def pause(self, until: float) -> None:
        """Do nothing until then, and find out nothing either."""
        self._awake_at = max(self._awake_at, until)

    def stop(self) -> None:
        """Release, and be gone."""
        if not self._alive or self._stopping or self._world.now < self._awake_at:
            return
        self._stopping = True
        self._attempts += 1  # the one under way is cancelled
        self._world.at(self._world.now + RELEASE_TIMEOUT, self.kill)
        self._go_on(self._release(), None, self._attempts)

    def _clock(self) -> float:
        return self._world.now + self._offset

    def _ask(self) -> None:
        if not self._alive or self._stopping:
            return
        if self._world.now < self._awake_at:
            self._world.at(self._awake_at, self._ask)
            return
        self._attempts += 1
        self._go_on(self._attempt(self._clock()), None, self._attempts)

    def _attempt(self, began: float) -> Attempt:
        yield from self._asked()
        delay = self.elector.next_look(began, self._clock()) - self._clock()
        self._world.at(self._world.now + delay, self._ask)

    def _asked(self) -> Attempt:
        step = self.elector.begin(self._clock(), str(self._clock()))
        if isinstance(step, Update):
            began = self._clock()
            answer = yield step
            if answer.ok and answer.lease is not None:
                self.elector.written(answer.lease, began)
            if not answer.conflict:
                return
        found = yield Get()
        if not found.ok:
            return
        write = self.elector.found(found.lease, self._clock(), str(self._clock()))
        if write is not None:
            began = self._clock()
            answer = yield write
            if answer.ok and answer.lease is not None:
                self.elector.written(answer.lease, began)

    def _release(self) -> Attempt:
        while True:
            found = yield Get()
            update = self.elector.release(found.lease, str(self._clock()))
            if not found.ok or update is None or not (yield update).conflict:
                return

    def _go_on(self, attempt: Attempt, answer: Answer | None, number: int) -> None:
        world = self._world
        if not self._alive or number != self._attempts:
            return
        if world.now < self._awake_at:
            world.at(self._awake_at, lambda: self._go_on(attempt, answer, number))
            return
        try:
            request = next(attempt) if answer is None else attempt.send(answer)
        except StopIteration:
            return
        self._send(request, attempt, number)

    def _send(self, request: Get | Create | Update, attempt: Attempt, number: int) -> None:
        world, fate = self._world, next(self._world.fates)
        answered: list[Any] = []

        def answer(told: Answer) -> None:
            if not answered:
                answered.append(told)
                self._go_on(attempt, told, number)

        def arrived() -> None:
            told = world.serve(request)
            if fate.back is not None:
                world.at(world.now + fate.back, lambda: answer(told))

        if fate.there is not None:
            world.at(world.now + fate.there, arrived)
        world.at(world.now + self._timing.request_timeout, lambda: answer(Answer()))
