"""The recorder of Events: what it writes, when, and how little it minds if that fails."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from servicereflector.kube.objects import Json
from servicereflector.kube.resources import ENDPOINTS, EVENTS, NAMESPACES, SERVICES, Resource
from servicereflector.kube.status import ApiError, already_exists, not_found
from servicereflector.outages import HEALTHY
from servicereflector.reflector.correlation import (
    BURST,
    MOST_BYTES,
    MOST_REMEMBERED,
    REFILL_EVERY,
    REPEAT_EVERY,
    Involved,
    Occurrence,
)
from servicereflector.reflector.recorder import (
    COMPONENT,
    MOST_WAITING,
    MOST_WRITES,
    RULE,
    Recorder,
)
from servicereflector.testing.clusters import MemoryCluster, service

#: 2026-01-01T00:00:00Z, when the reactor's clock stands at 0.
EPOCH = 1_767_225_600

CART = Occurrence(Involved(SERVICES, "shop", "cart", "u-1"), "Conflict", "in the way", "east")

FORBIDDEN = ApiError(403, 'events "x" is forbidden: User "u" cannot update resource "events"')
TERMINATING = ApiError(
    403,
    'events "x" is forbidden: unable to create new content in namespace shop because it is being'
    " terminated",
    details={"causes": [{"reason": "NamespaceTerminating", "message": "namespace shop is"}]},
)


def event(name: str, reason: str = "Stale", source: str = "east") -> Occurrence:
    return Occurrence(Involved(SERVICES, "shop", name), reason, "is silent", source)


class Writer:
    """A host that answers as it is told to.

    :ivar errors: what the next requests are answered with, ``None`` for success; then all succeed.
    :ivar asked: the verb and the document of each request.
    :ivar waiting: where not None, requests wait in it until they are fired.
    :ivar cancel: what becomes of a request that is cancelled.
    """

    def __init__(self) -> None:
        self.errors: list[Exception | None] = []
        self.asked: list[tuple[str, Json]] = []
        self.waiting: list[Deferred[None]] | None = None
        self.cancelled = 0
        self.cancel: Callable[[Deferred[None]], None] = lambda _request: None
        self._version = 100

    async def create(self, resource: Resource, document: Json) -> Json:
        metadata = {**document["metadata"], "uid": f"uid-{self._version}"}
        return await self._answer("create", resource, {**document, "metadata": metadata})

    async def update(self, resource: Resource, document: Json) -> Json:
        return await self._answer("update", resource, document)

    async def _answer(self, verb: str, resource: Resource, document: Json) -> Json:
        assert resource is EVENTS
        document = copy.deepcopy(document)
        self.asked.append((verb, copy.deepcopy(document)))
        error = self.errors.pop(0) if self.errors else None
        if self.waiting is not None:
            self.waiting.append(Deferred(self._cancelled))
            await self.waiting[-1]
        if error is not None:
            raise error
        self._version += 1
        document["metadata"]["resourceVersion"] = str(self._version)
        return {"kind": "Event", "apiVersion": "v1", **document}

    def _cancelled(self, request: Deferred[None]) -> None:
        self.cancelled += 1
        self.cancel(request)

    @property
    def verbs(self) -> list[str]:
        return [verb for verb, _ in self.asked]

    @property
    def names(self) -> list[str]:
        """Of the involved objects."""
        return [document["involvedObject"]["name"] for _, document in self.asked]


class World:
    """A recorder, its clock, its host, and what it logs.

    :ivar told: level and text of each line.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.writer = Writer()
        self.told: list[tuple[str, str]] = []
        self.recorder = Recorder(
            self.clock,
            self.writer,
            epoch=lambda: EPOCH + self.clock.seconds(),
            random=lambda: 0.5,
        )

    def observe(self, logged: LogEvent) -> None:
        if logged["log_namespace"].endswith("recorder.Recorder"):
            self.told.append((logged["log_level"].name, formatEvent(logged)))

    def tell(self, *occurrences: Occurrence, after: float = 0.0) -> None:
        self.clock.advance(after)
        for occurrence in occurrences:
            self.recorder.tell(occurrence)

    def answer(self) -> None:
        """Let the host answer what it was asked so far."""
        assert self.writer.waiting is not None
        waiting, self.writer.waiting = self.writer.waiting, []
        for request in waiting:
            request.callback(None)

    @property
    def levels(self) -> list[str]:
        return [level for level, _ in self.told]

    @property
    def last(self) -> Json:
        return self.writer.asked[-1][1]


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    globalLogPublisher.addObserver(world.observe)
    yield world
    globalLogPublisher.removeObserver(world.observe)
    world.recorder.stop()
    assert not world.clock.getDelayedCalls()


# What is written


def test_an_event_as_people_find_it(world: World) -> None:
    world.tell(CART, after=7.9)
    ((verb, document),) = world.writer.asked
    assert verb == "create"
    name = document["metadata"].pop("name")
    assert document == {
        "metadata": {"namespace": "shop", "uid": "uid-100"},
        "involvedObject": {
            "kind": "Service",
            "apiVersion": "v1",
            "namespace": "shop",
            "name": "cart",
            "uid": "u-1",
        },
        "reason": "Conflict",
        "message": "in the way",
        "type": "Warning",
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": "2026-01-01T00:00:07Z",
        "lastTimestamp": "2026-01-01T00:00:07Z",
        "count": 1,
    }
    assert name == "cart.8000000000000001"


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("Conflict", "Warning"),
        ("Held", "Warning"),
        ("Stale", "Warning"),
        ("Rejected", "Warning"),
        ("TakenOver", "Normal"),
    ],
)
def test_good_news_are_no_warnings(world: World, reason: str, kind: str) -> None:
    """``kubectl get events`` filters by it."""
    world.tell(replace(CART, reason=reason))
    assert world.last["type"] == kind


def test_what_does_not_exist_has_no_uid(world: World) -> None:
    """An empty one would be none that could be looked for."""
    world.tell(replace(CART, involved=replace(CART.involved, uid="")))
    assert "uid" not in world.last["involvedObject"]


def test_what_is_cluster_scoped_is_told_in_the_default_namespace(world: World) -> None:
    """The API refuses it anywhere else."""
    world.tell(replace(CART, involved=Involved(NAMESPACES, "", "shop", "u-9")))
    assert world.last["metadata"]["namespace"] == "default"
    assert world.last["involvedObject"] == {
        "kind": "Namespace",
        "apiVersion": "v1",
        "name": "shop",
        "uid": "u-9",
    }


@pytest.mark.parametrize("tail", ["", "-", "."])
def test_a_long_name_is_cut_to_what_the_api_takes(world: World, tail: str) -> None:
    """Endpoints may have one; no part of a name ends with a hyphen or a dot."""
    # The unique part is of 17 characters, its dot included: the cut comes behind the tail.
    long = "e" * (253 - 17 - len(tail)) + tail + "x" * 17
    world.tell(replace(CART, involved=Involved(ENDPOINTS, "shop", long)))
    name = world.last["metadata"]["name"]
    assert name == "e" * (253 - 17 - len(tail)) + ".8000000000000001"
    assert world.last["involvedObject"]["name"] == long


def test_a_long_message_is_cut(world: World) -> None:
    world.tell(replace(CART, message="m" * 5000))
    assert len(world.last["message"].encode()) == MOST_BYTES


def test_two_events_of_an_object_have_two_names(world: World) -> None:
    """Though chance is the same each time here."""
    world.tell(CART, replace(CART, reason="Held"))
    first, second = (document["metadata"]["name"] for _, document in world.writer.asked)
    assert first != second


# Repeats


def test_a_repeat_is_a_put_of_what_the_host_answered(world: World) -> None:
    """With its count and time raised; each answer is what the next one is made of."""
    world.tell(CART)
    (_, created), *_ = world.writer.asked
    world.tell(CART, after=1)
    for count, version in ((3, "101"), (4, "102")):
        world.tell(CART, after=REPEAT_EVERY)
        assert world.writer.verbs[-1] == "update"
        assert world.last == {
            **created,
            "kind": "Event",
            "apiVersion": "v1",
            "metadata": {**created["metadata"], "resourceVersion": version},
            "count": count,
            "lastTimestamp": f"2026-01-01T00:0{count - 2}:01Z",
        }
    assert len(world.writer.asked) == 3


def test_the_number_of_others_is_told(world: World) -> None:
    """By a new Event and by one that is there; a later one without others lets it stand."""
    world.tell(*(event(f"s{n}") for n in range(BURST + 2)))
    world.tell(event("late"), after=REFILL_EVERY)
    assert world.last["message"] == "is silent (and 2 more)"
    world.tell(*(event(f"t{n}") for n in range(4)))
    world.tell(event("s0"), after=REPEAT_EVERY)
    assert (world.writer.verbs[-1], world.last["message"]) == ("update", "is silent (and 4 more)")
    world.tell(event("s0"), after=REPEAT_EVERY)
    assert (world.last["count"], world.last["message"]) == (3, "is silent (and 4 more)")


@pytest.mark.parametrize("code", [404, 409], ids=["expired", "changed"])
def test_an_event_that_is_not_what_it_was_is_created_anew(world: World, code: int) -> None:
    """Under a name of its own and with the whole count; that one is repeated from then on."""
    world.tell(CART)
    world.writer.errors = [ApiError(code, "no")]
    world.tell(CART, after=7200)
    (_, first), (_, put), (_, second) = world.writer.asked
    assert world.writer.verbs == ["create", "update", "create"]
    assert first["metadata"]["name"] == put["metadata"]["name"] != second["metadata"]["name"]
    assert "resourceVersion" not in second["metadata"]
    assert (second["count"], second["firstTimestamp"], second["lastTimestamp"]) == (
        2,
        "2026-01-01T00:00:00Z",
        "2026-01-01T02:00:00Z",
    )
    world.tell(CART, after=REPEAT_EVERY)
    assert world.writer.verbs[3:] == ["update"]
    assert world.last["metadata"]["name"] == second["metadata"]["name"]
    assert world.last["count"] == 3
    assert world.told == []


def test_an_event_is_created_anew_once(world: World) -> None:
    """What does not help is not done again, before it happens again."""
    world.tell(CART)
    world.writer.errors = [ApiError(404, "no"), already_exists(EVENTS, "cart.1")]
    world.tell(CART, after=REPEAT_EVERY)
    assert world.writer.verbs == ["create", "update", "create"]
    assert world.levels == ["warn"]
    world.tell(CART, after=REPEAT_EVERY)
    assert world.last["count"] == 3


def test_a_repeat_waits_for_the_creation(world: World) -> None:
    """Two Events would be made else. Repeats in between are one."""
    world.writer.waiting = []
    world.tell(CART)
    for _ in range(3):
        world.tell(CART, after=REPEAT_EVERY)
    assert world.writer.verbs == ["create"]
    world.answer()
    assert world.writer.verbs == ["create", "update"]
    assert (world.last["count"], world.last["lastTimestamp"]) == (4, "2026-01-01T00:03:00Z")
    world.answer()
    world.tell(CART, after=REPEAT_EVERY)
    assert (world.writer.verbs[2:], world.last["count"]) == (["update"], 5)


def test_a_repeat_of_what_could_not_be_created_creates_it(world: World) -> None:
    """As if the host had heard it all."""
    world.writer.errors = [ApiError(500, "etcd is away")]
    world.tell(CART)
    world.tell(CART, after=REPEAT_EVERY)
    assert world.writer.verbs == ["create", "create"]
    assert (world.last["count"], world.last["firstTimestamp"], world.last["lastTimestamp"]) == (
        2,
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:01:00Z",
    )


def test_what_was_to_be_told_with_a_lost_event_is_told_with_the_next(world: World) -> None:
    world.tell(*(event(f"s{n}") for n in range(BURST + 2)))
    world.writer.errors = [ApiError(500, "etcd is away")]
    world.tell(event("lost"), after=REFILL_EVERY)
    assert world.last["message"] == "is silent (and 2 more)"
    world.tell(event("late"), after=REFILL_EVERY)
    assert world.last["message"] == "is silent (and 2 more)"


def test_a_role_that_only_creates(world: World) -> None:
    """Told once, with the rule; Events are created, and no longer repeated."""
    world.tell(CART, event("other"))
    world.writer.errors = [FORBIDDEN]
    world.tell(CART, after=REPEAT_EVERY)
    assert world.writer.verbs == ["create", "create", "update"]
    ((level, text),) = world.told
    assert level == "warn"
    assert RULE in text
    assert "cannot update resource" in text
    for _ in range(5):
        world.tell(CART, event("other"), after=REPEAT_EVERY)
    assert len(world.writer.asked) == 3
    world.tell(event("new"))
    assert world.writer.verbs[3:] == ["create"]
    assert len(world.told) == 1


def test_what_was_to_be_told_by_a_refused_repeat_is_told_by_a_new_event(world: World) -> None:
    world.tell(*(event(f"s{n}") for n in range(BURST + 2)))
    world.writer.errors = [FORBIDDEN]
    world.tell(event("s0"), after=REPEAT_EVERY)
    assert world.last["message"] == "is silent (and 2 more)"
    world.tell(event("new"))
    assert world.writer.verbs[-2:] == ["update", "create"]
    assert world.last["message"] == "is silent (and 2 more)"


def test_what_was_forgotten_is_another_event(world: World) -> None:
    """The one that the host has would lose its count."""
    world.tell(CART, CART)
    world.writer.errors = [ApiError(500, "etcd is away")] * MOST_REMEMBERED
    for number in range(MOST_REMEMBERED):
        world.tell(event(f"s{number}"), after=REFILL_EVERY)
    world.tell(CART)
    assert (world.writer.verbs[-1], world.writer.names[-1], world.last["count"]) == (
        "create",
        "cart",
        1,
    )


def test_repeats_under_way_learn_of_the_role(world: World) -> None:
    """What is asked is answered, what waits is not asked, and it is told once."""
    others = [event(f"s{n}") for n in range(MOST_WRITES + 2)]
    world.tell(*others)
    world.writer.waiting = []
    world.writer.errors = [FORBIDDEN] * MOST_WRITES
    world.tell(*others, after=REPEAT_EVERY)
    world.answer()
    assert world.writer.verbs == ["create"] * len(others) + ["update"] * MOST_WRITES
    assert world.levels == ["warn"]


# How much at a time


def test_few_writes_are_under_way_at_a_time(world: World) -> None:
    """In the order in which it happened."""
    world.writer.waiting = []
    world.tell(*(event(f"s{n}") for n in range(10)))
    assert world.writer.names == [f"s{n}" for n in range(MOST_WRITES)]
    world.writer.waiting.pop(0).callback(None)
    assert world.writer.names == [f"s{n}" for n in range(MOST_WRITES + 1)]
    world.answer()
    world.answer()
    assert world.writer.names == [f"s{n}" for n in range(10)]
    world.answer()
    world.writer.waiting = None
    world.tell(event("late"))
    assert world.writer.names[10:] == ["late"]


def test_the_oldest_that_waits_gives_way(world: World) -> None:
    """And how many did is told when it is over, once."""
    world.writer.waiting = []
    dropped = 5
    told = [
        event(f"s{n}", source=f"source-{n // BURST}")
        for n in range(MOST_WRITES + MOST_WAITING + dropped)
    ]
    world.tell(*told)
    while world.writer.waiting:
        world.answer()
    expected = [occurrence.involved.name for occurrence in told]
    del expected[MOST_WRITES : MOST_WRITES + dropped]
    assert world.writer.names == expected
    assert world.told == [
        ("warn", "5 Events were not written, as more than 100 waited for the host")
    ]
    world.writer.waiting = None
    world.tell(event("late"))
    assert len(world.told) == 1


def test_what_was_to_be_told_by_what_gave_way_is_told_by_the_next(world: World) -> None:
    world.tell(*(event(f"s{n}") for n in range(BURST + 2)))
    world.clock.advance(REFILL_EVERY)
    world.writer.waiting = []
    world.tell(*(event(f"w{n}", "Held", "west") for n in range(MOST_WRITES)))
    world.tell(event("oldest"))
    world.tell(*(event(f"v{n}", source=f"v{n}") for n in range(MOST_WAITING)))
    world.tell(event("late"), after=REFILL_EVERY)
    while world.writer.waiting:
        world.answer()
    assert "oldest" not in world.writer.names
    assert (world.writer.names[-1], world.last["message"]) == ("late", "is silent (and 2 more)")


def test_an_event_that_gave_way_is_created_by_its_repeat(world: World) -> None:
    world.writer.waiting = []
    number = MOST_WRITES + MOST_WAITING + 1
    world.tell(*(event(f"s{n}", source=f"source-{n // BURST}") for n in range(number)))
    while world.writer.waiting:
        world.answer()
    world.writer.waiting = None
    world.tell(event(f"s{MOST_WRITES}", source="source-0"), after=REPEAT_EVERY)
    assert world.writer.verbs[-1] == "create"
    assert (world.writer.names[-1], world.last["count"]) == (f"s{MOST_WRITES}", 2)


def test_what_happens_again_while_it_waits_takes_one_place(world: World) -> None:
    """With all that it was to tell."""
    world.tell(*(event(f"s{n}") for n in range(BURST + 2)))
    world.clock.advance(REFILL_EVERY)
    world.writer.waiting = []
    world.tell(*(event(f"w{n}", "Held", "west") for n in range(MOST_WRITES)))
    world.tell(event("late"))
    world.tell(event("one"), event("two"))
    world.tell(event("late"), after=REPEAT_EVERY)
    while world.writer.waiting:
        world.answer()
    assert world.writer.names[BURST + MOST_WRITES :] == ["late"]
    assert (world.last["count"], world.last["message"]) == (2, "is silent (and 4 more)")


# How it fails


def test_the_first_failure_is_a_warning(world: World) -> None:
    """The others of its kind are not, until writes succeed for a while, which is told, too."""
    away = ApiError(500, "etcd is away")
    world.writer.errors = [away, ApiError(502, "lost"), None, away]
    world.tell(*(event(f"s{n}") for n in range(4)))
    assert world.told == [
        ("warn", "the Event Stale of shop/s0 was not written: 500 etcd is away"),
        ("debug", "the Event Stale of shop/s1 was not written: 502 lost"),
        ("debug", "the Event Stale of shop/s3 was not written: 500 etcd is away"),
    ]
    world.told.clear()
    world.writer.errors = [None, None, away]
    world.tell(event("s4"))
    world.tell(event("s5"), after=HEALTHY)
    world.tell(event("s6"))
    assert world.told == [
        ("info", "Events are written again, after 3 failed attempts in 0.0 s"),
        ("warn", "the Event Stale of shop/s6 was not written: 500 etcd is away"),
    ]


@pytest.mark.parametrize("error", [not_found(NAMESPACES, "shop"), TERMINATING])
def test_a_namespace_that_is_not_there_is_no_trouble(world: World, error: ApiError) -> None:
    """Nor one that is being deleted: there is no place for the Event. That says nothing of the
    next one's failure, and nothing of the role."""
    world.writer.errors = [error, ApiError(500, "etcd is away")]
    world.tell(CART, replace(CART, reason="Held"))
    assert world.levels == ["debug", "warn"]
    world.writer.errors = [None, error]
    world.tell(event("other"))
    world.tell(event("other"), after=REPEAT_EVERY)
    world.tell(event("other"), after=REPEAT_EVERY)
    assert "update" in world.writer.verbs
    assert not any(RULE in text for _, text in world.told)


def test_what_cannot_be_written_at_all_is_one_failure(world: World) -> None:
    """A client that raises where it was not expected to, before anything is sent."""

    class Broken(Writer):
        async def create(self, *_: object) -> Json:
            raise ValueError("no name of an object: '.', 'cart'")

    world.recorder = Recorder(world.clock, Broken(), epoch=lambda: EPOCH, random=lambda: 0.5)
    world.tell(CART, event("other"))
    assert world.levels == ["warn", "debug"]


def test_stopping_cancels_what_is_under_way(world: World) -> None:
    """And says nothing of it; what is told from then on is nobody's."""
    world.writer.waiting = []
    world.tell(*(event(f"s{n}") for n in range(10)))
    world.recorder.stop()
    assert world.writer.cancelled == MOST_WRITES
    world.tell(event("late"))
    world.recorder.stop()
    assert len(world.writer.asked) == MOST_WRITES
    assert world.told == []


def test_what_comes_in_spite_of_stopping_is_the_last(world: World) -> None:
    """An answer may be in by then."""
    world.writer.waiting = []
    world.writer.cancel = lambda request: request.callback(None)
    world.tell(*(event(f"s{n}") for n in range(10)))
    world.recorder.stop()
    assert len(world.writer.asked) == MOST_WRITES


# Against a cluster


def test_against_a_cluster() -> None:
    """Through the real client: created, repeated, created anew after it has expired."""
    cluster = MemoryCluster()
    network = cluster.network
    cart = cluster.put(SERVICES, service("shop/cart"))
    client = cluster.client()
    recorder = Recorder(network.clock, client, epoch=cluster.epoch, random=lambda: 0.25)
    involved = Involved(SERVICES, "shop", "cart", cart["metadata"]["uid"])
    occurrence = replace(CART, involved=involved)

    def happens(wait: float) -> tuple[str, Json]:
        network.advance(wait)
        recorder.tell(occurrence)
        network.settle()
        (key,) = cluster.keys(EVENTS)
        document = cluster.get(EVENTS, key)
        assert document is not None
        assert document["involvedObject"]["uid"] == cart["metadata"]["uid"]
        return key, document

    first, document = happens(0)
    assert (document["count"], document["lastTimestamp"]) == (1, "2026-01-01T00:00:00Z")
    assert happens(1) == (first, document)
    key, document = happens(REPEAT_EVERY)
    assert key == first
    assert (document["count"], document["lastTimestamp"]) == (3, "2026-01-01T00:01:01Z")
    cluster.delete(EVENTS, first)
    key, document = happens(3600)
    assert key != first
    assert (document["count"], document["firstTimestamp"]) == (4, "2026-01-01T00:00:00Z")
    recorder.stop()
    network.wait(client.close())


def test_against_a_cluster_without_the_namespace() -> None:
    """Nothing is written, nothing is warned of, and nothing goes on."""
    cluster = MemoryCluster()
    client = cluster.client()
    recorder = Recorder(cluster.network.clock, client, epoch=cluster.epoch, random=lambda: 0.5)
    told: list[LogEvent] = []
    globalLogPublisher.addObserver(told.append)
    recorder.tell(CART)
    cluster.network.settle()
    globalLogPublisher.removeObserver(told.append)
    assert cluster.keys(EVENTS) == []
    recorded = [e for e in told if e["log_namespace"].endswith("recorder.Recorder")]
    assert [e["log_level"] for e in recorded] == [LogLevel.debug]
    recorder.stop()
    cluster.network.wait(client.close())


def test_stopping_in_the_middle_of_a_request() -> None:
    """The connection goes, and no word is said of it."""
    cluster = MemoryCluster()
    cluster.put(SERVICES, service("shop/cart"))
    client = cluster.client()
    recorder = Recorder(cluster.network.clock, client, epoch=cluster.epoch, random=lambda: 0.5)
    told: list[LogEvent] = []
    globalLogPublisher.addObserver(told.append)
    recorder.tell(CART)
    recorder.stop()
    cluster.network.settle()
    globalLogPublisher.removeObserver(told.append)
    assert not [e for e in told if e["log_namespace"].endswith("recorder.Recorder")]
    assert not cluster.network.clock.getDelayedCalls()
    cluster.network.wait(client.close())
