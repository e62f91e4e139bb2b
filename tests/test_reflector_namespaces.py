"""Namespaces that nobody uses any more are deleted; what is not known keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher

from servicereflector.kube.annotations import REFLECTED
from servicereflector.kube.objects import Json, record_of
from servicereflector.kube.resources import NAMESPACES, SERVICES, Resource
from servicereflector.kube.status import ApiError, unknown_path
from servicereflector.kube.watchevents import EventType
from servicereflector.mirror.copying import mirror_namespace
from servicereflector.mirror.emptiness import TOKEN_TYPE
from servicereflector.mirror.inventory import Unclear
from servicereflector.reflector.contents import MOST_PAGES, PAGE
from servicereflector.reflector.namespaces import GRACE, LOOK_EVERY, NamespaceCleaner
from servicereflector.store.versioned import Store
from servicereflector.testing.clusters import MemoryCluster, service

DELETED = "namespace shop: deleted, as nothing is mirrored into it and nothing else is in it"

#: Beside what every namespace has: a resource of a group of its own.
WIDGETS = "/apis/example.com/v1"
KINDS = {
    "/api/v1": {
        "configmaps": "ConfigMap",
        "events": "Event",
        "pods": "Pod",
        "pods/log": "Pod",
        "secrets": "Secret",
        "serviceaccounts": "ServiceAccount",
    },
    "/apis/events.k8s.io/v1": {"events": "Event"},
    WIDGETS: {"widgets": "Widget"},
}
USUAL_ITEMS: dict[str, list[Json]] = {
    "/api/v1/configmaps": [
        {
            "name": "kube-root-ca.crt",
            "managedFields": [{"fieldsV1": {"f:data": {".": {}, "f:ca.crt": {}}}}],
        }
    ],
    "/api/v1/secrets": [
        {
            "name": "default-token-p95m5",
            "annotations": {"kubernetes.io/service-account.name": "default"},
            "managedFields": [{"fieldsV1": {"f:data": {"f:token": {}}, "f:type": {}}}],
        }
    ],
    "/api/v1/serviceaccounts": [{"name": "default"}],
}

Answer = bytes | Exception


def namespace(name: str, version: int = 5, uid: str = "", **metadata: Any) -> Json:
    document = mirror_namespace(name)
    told = {"uid": uid or f"uid-{name}", "resourceVersion": str(version)}
    document["metadata"] |= {**told, **metadata}
    return {**document, "status": {"phase": "Active"}}


class Host:
    """An API whose namespaces hold what the test puts there.

    :ivar items: the metadata of objects, by the path of their resource without the namespace; those
        of Secrets are tokens where their name says so.
    :ivar answers: what is answered instead, by path without namespace and query.
    :ivar waiting: where not None, requests wait in it until they are fired.
    :ivar cancel: what happens to one that waits when it is cancelled.
    :ivar busy: requests under way.
    """

    def __init__(self) -> None:
        self.kinds = {path: dict(kinds) for path, kinds in KINDS.items()}
        self.items = {path: list(items) for path, items in USUAL_ITEMS.items()}
        self.answers: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.accepted: dict[str, str] = {}
        self.deletions: list[tuple[str, str, str]] = []
        self.deletion: Exception | None = None
        self.waiting: list[Deferred[None]] | None = None
        self.cancel: Callable[[Deferred[None]], None] | None = None
        self.busy = self.most_busy = 0

    async def request(self, method: str, path: str, *, accept: str = "application/json") -> bytes:
        assert method == "GET"
        url = urlsplit(path)
        self.requests.append(path)
        self.accepted[url.path] = accept
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            if self.waiting is not None:
                self.waiting.append(Deferred(self.cancel))
                await self.waiting[-1]
        finally:
            self.busy -= 1
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        answer = self._answer(url.path, query)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _answer(self, path: str, query: dict[str, str]) -> Answer:
        parts = path.split("/")
        asked = parts.index("namespaces") if "namespaces" in parts else None
        plain = path if asked is None else "/".join(parts[:asked] + parts[asked + 2 :])
        for there in (path, plain):
            if there in self.answers:
                return self.answers[there]
        if path == "/apis":
            return orjson.dumps({"kind": "APIGroupList", "groups": self._groups()})
        if path in self.kinds:
            return orjson.dumps({"kind": "APIResourceList", "resources": self._resources(path)})
        if plain.rpartition("/")[0] not in self.kinds:
            return unknown_path()
        return self._list(plain, query)

    def _groups(self) -> list[Json]:
        return [
            {"name": group, "versions": [{"version": v}], "preferredVersion": {"version": v}}
            for _, _, group, v in (path.split("/") for path in self.kinds if path != "/api/v1")
        ]

    def _resources(self, path: str) -> list[Json]:
        return [
            {"name": name, "kind": kind, "namespaced": True, "verbs": ["create", "list"]}
            for name, kind in self.kinds[path].items()
        ]

    def _list(self, path: str, query: dict[str, str]) -> bytes:
        metadata = self.items.get(path, [])
        if path.endswith("/secrets"):
            wanted = {f"type={TOKEN_TYPE}": True, f"type!={TOKEN_TYPE}": False}
            tokens = wanted[query["fieldSelector"]]
            metadata = [one for one in metadata if ("-token-" in one["name"]) is tokens]
        start, limit = int(query.get("continue", 0)), int(query["limit"])
        more = {"continue": str(start + limit)} if start + limit < len(metadata) else {}
        items = [{"metadata": one} for one in metadata[start : start + limit]]
        kind = "PartialObjectMetadataList"
        return orjson.dumps({"kind": kind, "metadata": more, "items": items or None})

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, resource_version: str
    ) -> None:
        assert (resource, namespace) == (NAMESPACES, "")
        self.deletions.append((name, uid, resource_version))
        if self.deletion is not None:
            raise self.deletion

    def put(self, path: str, *names: str) -> None:
        self.items.setdefault(path, []).extend({"name": name} for name in names)

    @property
    def lists(self) -> list[str]:
        return [path for path in self.requests if "/namespaces/" in path]


class World:
    """A running cleaner, what it sees and what it tells."""

    def __init__(self, *names: str, only: str = "") -> None:
        self.clock = Clock()
        self.host = Host()
        self.store = Store(NAMESPACES)
        self.wanted: set[str] = set()
        self.told: list[str] = []
        self.replace(*(namespace(name) for name in names or ("shop",)))
        self.cleaner = NamespaceCleaner(
            self.clock,
            self.host,
            self.store,
            random=lambda: 0.5,
            wanted=lambda name: name in self.wanted,
            namespace=only,
        )

    def __enter__(self) -> World:
        globalLogPublisher.addObserver(self._observe)
        self.cleaner.startService()
        return self

    def __exit__(self, *_: object) -> None:
        globalLogPublisher.removeObserver(self._observe)
        if self.cleaner.running:
            self.cleaner.stopService()
        assert self.clock.getDelayedCalls() == []

    def _observe(self, event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.info:
            self.told.append(formatEvent(event))

    def replace(self, *documents: Json) -> None:
        self.store.replace([record_of(NAMESPACES, one) for one in documents], 5)

    def apply(self, document: Json, event: EventType = EventType.MODIFIED) -> None:
        self.store.apply(event, record_of(NAMESPACES, document))

    def wait(self, seconds: float) -> None:
        """In steps that are shorter than all that is waited for."""
        while seconds > 0:
            step = min(seconds, LOOK_EVERY / 2)
            self.clock.advance(step)
            seconds -= step

    @property
    def deleted(self) -> list[str]:
        return [name for name, _, _ in self.host.deletions]


def test_a_namespace_that_was_empty_for_long_is_deleted() -> None:
    """As it was seen: no other of its name, and none that has changed since."""
    with World() as world:
        world.wait(GRACE - 1)
        assert world.deleted == []
        world.wait(1)
        assert world.host.deletions == [("shop", "uid-shop", "5")]
        assert world.told == [DELETED]


def test_a_deletion_is_not_repeated_before_it_shows() -> None:
    """The watch may be late; when it has come, there is nothing to look at."""
    with World() as world:
        world.wait(GRACE + LOOK_EVERY)
        assert world.deleted == ["shop"]
        world.apply({**namespace("shop", 6), "status": {"phase": "Terminating"}})
        world.host.requests.clear()
        world.wait(3 * GRACE)
        assert (world.deleted, world.host.requests) == (["shop"], [])


@pytest.mark.parametrize(
    "document",
    [
        {"metadata": {"name": "shop", "uid": "u", "resourceVersion": "5"}},
        {**namespace("shop"), "status": {"phase": "Terminating"}},
        namespace("shop", deletionTimestamp="2026-01-01T00:00:00Z"),
        namespace("shop", annotations={REFLECTED: "false"}),
        namespace("shop") | {"metadata": {**namespace("shop")["metadata"], "uid": ""}},
        namespace("shop", 0),
    ],
    ids=["a person's", "terminating", "deleted", "not reflected", "without uid", "without version"],
)
def test_what_is_not_ours_to_delete_is_not_looked_at(document: Json) -> None:
    """Nor what no precondition could be given for."""
    world = World()
    world.replace(document)
    with world:
        world.wait(3 * GRACE)
        assert (world.deleted, world.host.requests, world.told) == ([], [], [])


def test_what_is_wanted_is_not_looked_at() -> None:
    with World() as world:
        world.wanted.add("shop")
        world.host.requests.clear()
        world.wait(3 * GRACE)
        assert (world.deleted, world.host.requests) == ([], [])


def test_it_can_be_limited_to_one_namespace() -> None:
    with World("shop", "other", only="other") as world:
        world.wait(2 * GRACE)
        assert set(world.deleted) == {"other"}
        assert not any("/shop/" in path for path in world.host.requests)


def test_what_was_wanted_in_between_is_empty_anew() -> None:
    """A mirror came and went."""
    with World() as world:
        world.wait(LOOK_EVERY)
        world.wanted.add("shop")
        world.wait(LOOK_EVERY)
        world.wanted.clear()
        world.wait(LOOK_EVERY + GRACE - 1)
        assert world.deleted == []
        world.wait(1)
        assert world.deleted == ["shop"]


def test_what_was_occupied_in_between_is_empty_anew() -> None:
    """A person has come and gone, and may come again."""
    with World() as world:
        world.host.put("/api/v1/pods", "web-0")
        world.wait(LOOK_EVERY)
        world.host.items["/api/v1/pods"].clear()
        world.wait(LOOK_EVERY + GRACE - 1)
        assert world.deleted == []
        world.wait(1)
        assert world.deleted == ["shop"]


@pytest.mark.parametrize(
    "document", [namespace("shop", 6), namespace("shop", 6, uid="another")], ids=["changed", "new"]
)
def test_another_version_of_the_namespace_is_empty_anew(document: Json) -> None:
    """Somebody has touched it, or has made one of the same name."""
    with World() as world:
        world.wait(LOOK_EVERY)
        world.apply(document)
        world.wait(LOOK_EVERY + GRACE - 1)
        assert world.deleted == []
        world.wait(1)
        assert world.host.deletions == [("shop", document["metadata"]["uid"], "6")]


def test_what_happened_while_it_was_stopped_is_not_known() -> None:
    """So it begins anew."""
    with World() as world:
        world.wait(LOOK_EVERY)
        world.cleaner.stopService()
        world.wait(GRACE)
        world.cleaner.startService()
        world.wait(GRACE - 1)
        assert world.deleted == []
        world.wait(1)
        assert world.deleted == ["shop"]


@pytest.mark.parametrize(
    ("path", "names", "words"),
    [
        ("/api/v1/configmaps", ["settings"], "ConfigMap settings"),
        ("/api/v1/pods", ["web-0", "web-1"], "Pod web-0 and Pod web-1"),
        ("/api/v1/secrets", ["password"], "Secret password"),
        ("/api/v1/secrets", ["builder-token-x"], "Secret builder-token-x"),
        ("/api/v1/serviceaccounts", ["builder"], "ServiceAccount builder"),
        (WIDGETS + "/widgets", ["w"], "Widget w"),
        ("/api/v1/pods", "abcde", "Pod a, Pod b, Pod c and 2 more"),
        ("/api/v1/pods", "abcdefghijklmn", "Pod a, Pod b, Pod c and more"),
    ],
)
def test_what_a_person_put_there_keeps_it(path: str, names: Iterable[str], words: str) -> None:
    """And is told, once."""
    with World() as world:
        world.host.put(path, *names)
        world.wait(5 * GRACE)
        assert world.deleted == []
        assert world.told == [f"namespace shop: kept, as it holds {words}"]


def test_everything_that_is_there_is_told() -> None:
    """Not only what was found first."""
    with World() as world:
        world.host.put("/api/v1/configmaps", "settings")
        world.host.put(WIDGETS + "/widgets", "w")
        world.wait(LOOK_EVERY)
        assert world.told == ["namespace shop: kept, as it holds ConfigMap settings and Widget w"]


def test_who_labels_the_namespace_keeps_it() -> None:
    """Without a request."""
    world = World()
    world.replace(namespace("shop", labels={"team": "a"}))
    with world:
        world.wait(2 * GRACE)
        assert world.told == ["namespace shop: kept, as somebody has added the label team to it"]
        assert (world.deleted, world.host.requests) == ([], [])


def test_a_namespace_that_is_kept_costs_one_request_a_look() -> None:
    """Of the resource that keeps it; when that is gone, of all."""
    with World() as world:
        world.host.put("/api/v1/pods", "web-0")
        world.wait(LOOK_EVERY)
        world.host.requests.clear()
        world.wait(2 * LOOK_EVERY)
        assert world.host.requests == [f"/api/v1/namespaces/shop/pods?limit={PAGE}"] * 2
        world.host.items["/api/v1/pods"].clear()
        world.host.put(WIDGETS + "/widgets", "w")
        world.wait(LOOK_EVERY)
        assert world.told[1:] == ["namespace shop: kept, as it holds Widget w"]


def test_other_names_of_the_same_kinds_are_not_told_again() -> None:
    """The Pods of a CronJob would fill the log."""
    with World() as world:
        for n in range(5):
            world.host.items["/api/v1/pods"] = [{"name": f"job-{n}"}]
            world.wait(LOOK_EVERY)
            world.host.items["/api/v1/pods"] = []
            world.wait(LOOK_EVERY)
        assert world.told == ["namespace shop: kept, as it holds Pod job-0"]


def test_what_kept_it_may_vanish_with_its_kind() -> None:
    """A CustomResourceDefinition was deleted: its list is a 404 from now on."""
    with World() as world:
        world.host.put(WIDGETS + "/widgets", "w")
        world.wait(LOOK_EVERY)
        del world.host.kinds[WIDGETS]
        world.wait(2 * LOOK_EVERY + GRACE)
        assert world.deleted == ["shop"]


def test_pages_are_followed() -> None:
    """What Kubernetes made may fill the first."""
    token = USUAL_ITEMS["/api/v1/secrets"][0]
    with World() as world:
        tokens = [{**token, "name": f"default-token-{n:05}"} for n in range(3 * PAGE)]
        world.host.items["/api/v1/secrets"] = tokens
        world.wait(GRACE)
        assert world.deleted == ["shop"]
    with World() as world:
        world.host.items["/api/v1/secrets"] = [*tokens, {**token, "name": "my-token-1"}]
        world.wait(2 * GRACE)
        assert world.deleted == []
        assert world.told == ["namespace shop: kept, as it holds Secret my-token-1"]


def test_pages_without_end_are_not_followed() -> None:
    """What follows is not known."""
    token = USUAL_ITEMS["/api/v1/secrets"][0]
    endless = {"kind": "List", "metadata": {"continue": "x"}, "items": []}
    with World() as world:
        world.host.items["/api/v1/secrets"] = [token] * (MOST_PAGES * PAGE + 1)
        world.wait(2 * GRACE)
        assert world.deleted == []
        why = f"whether secrets are in it is not known: there are more than {MOST_PAGES * PAGE}"
        assert world.told == [f"namespace shop: kept, as {why}"]
    with World() as world:
        world.host.answers["/api/v1/pods"] = orjson.dumps(endless)
        world.wait(2 * GRACE)
        assert world.deleted == []


def test_of_secrets_only_the_metadata_is_asked_for() -> None:
    """A server that does not know that form is to answer 406, not with the Secrets."""
    with World() as world:
        world.wait(1)
        metadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        root = "/api/v1/namespaces/shop/"
        assert world.host.accepted[root + "secrets"] == metadata
        assert world.host.accepted[root + "pods"] == f"{metadata},application/json"
        assert world.host.accepted[root + "serviceaccounts"] == "application/json"


def test_events_and_subresources_are_not_asked_for() -> None:
    with World() as world:
        world.wait(1)
        asked = {urlsplit(path).path.rpartition("/")[2] for path in world.host.lists}
        assert asked == {"configmaps", "pods", "secrets", "serviceaccounts", "widgets"}


PATHS = ["/apis", "/api/v1", WIDGETS, "/api/v1/pods", "/api/v1/secrets", WIDGETS + "/widgets"]
NO_ANSWERS: list[Answer] = [
    *(ApiError(code, "no") for code in (400, 401, 403, 404, 406, 410, 429, 500, 503)),
    OSError("away"),
    Unclear("no"),
    b"",
    b"<html>",
    b"null",
    b"[]",
    b'{"kind":"Status","status":"Success"}',
    b'{"kind":"PodList"}',
    b'{"kind":"PodList","items":[1]}',
    b'{"kind":"APIGroupList"}',
    b'{"kind":"APIResourceList","resources":[{}]}',
]


@given(st.sampled_from(PATHS), st.sampled_from(NO_ANSWERS))
def test_any_answer_but_a_clean_one_keeps_it(path: str, answer: Answer) -> None:
    """Told once; and when the answer is clean again, it begins anew."""
    with World() as world:
        world.wait(LOOK_EVERY)
        world.host.answers[path] = answer
        world.wait(2 * GRACE)
        assert world.deleted == []
        (told,) = world.told
        assert told.startswith("namespace shop: kept, as ")
        assert " is not known: " in told
        del world.host.answers[path]
        world.wait(LOOK_EVERY + GRACE - 1)
        assert world.deleted == []
        world.wait(1)
        assert world.deleted == ["shop"]


def test_what_the_role_lacks_is_named() -> None:
    """With the flag that needs it."""
    with World() as world:
        refused = 'secrets is forbidden: User "x" cannot list resource "secrets"'
        world.host.answers["/api/v1/secrets"] = ApiError(403, refused)
        world.wait(2 * GRACE)
        assert world.told == [
            f"namespace shop: kept, as whether secrets are in it is not known: 403 {refused};"
            " --reflector.delete-namespaces needs a role that may list secrets,"
            " see manifests/delete-namespaces.yaml"
        ]


def test_an_api_that_is_away_is_named() -> None:
    """All namespaces wait for it, as Kubernetes' own deletion of them would."""
    with World("shop", "other") as world:
        world.host.answers[WIDGETS] = ApiError(503, "ServiceUnavailable")
        world.host.requests.clear()
        world.wait(LOOK_EVERY)
        why = f"what the host serves at {WIDGETS} is not known: 503 ServiceUnavailable"
        assert world.told == [f"namespace {name}: kept, as {why}" for name in ("shop", "other")]
        assert world.host.requests.count(WIDGETS) == 1  # not once a namespace


def test_what_was_found_is_told_though_the_rest_is_not_known() -> None:
    """It is what keeps the namespace."""
    with World() as world:
        world.host.put("/api/v1/configmaps", "settings")
        world.host.answers["/api/v1/pods"] = ApiError(500, "no")
        world.wait(LOOK_EVERY)
        assert world.told == ["namespace shop: kept, as it holds ConfigMap settings and more"]


def test_the_contents_of_an_answer_are_never_told() -> None:
    """Whatever form they have."""
    everything: list[str] = []

    def observe(event: LogEvent) -> None:
        everything.append(str(formatEvent(event)))

    globalLogPublisher.addObserver(observe)
    try:
        for answer in (
            b'"opensesame',
            b"opensesame",
            b'{"kind":"SecretList","items":"opensesame"}',
        ):
            with World() as world:
                world.host.answers["/api/v1/secrets"] = answer
                world.wait(LOOK_EVERY)
                assert len(world.told) == 1
    finally:
        globalLogPublisher.removeObserver(observe)
    assert everything
    assert not any("opensesame" in told for told in everything)


def test_one_namespaces_trouble_does_not_hold_up_the_others() -> None:
    """Whichever comes first."""
    for troubled, other in (("a", "b"), ("b", "a")):
        with World("a", "b") as world:
            path = f"/api/v1/namespaces/{troubled}/pods"
            world.host.answers[path] = ApiError(500, "no")
            world.wait(GRACE)
            assert world.deleted == [other]


@pytest.mark.parametrize("code", [404, 409])
def test_a_deletion_that_comes_too_late_is_no_trouble(code: int) -> None:
    """Somebody was faster: it is looked at again, and begins anew."""
    with World() as world:
        world.host.deletion = ApiError(code, "no")
        world.wait(GRACE)
        assert (world.deleted, world.told) == (["shop"], [])
        world.host.deletion = None
        world.wait(LOOK_EVERY + GRACE - 1)
        assert world.deleted == ["shop"]
        world.wait(1)
        assert (world.deleted, world.told) == (["shop", "shop"], [DELETED])


def test_a_deletion_that_is_refused_is_told_once() -> None:
    """With what the role lacks."""
    with World() as world:
        world.host.deletion = ApiError(403, "no")
        world.wait(5 * GRACE)
        assert len(world.deleted) > 1
        assert world.told == [
            "namespace shop: kept, as its deletion failed: 403 no; --reflector.delete-namespaces"
            " needs a role that may delete namespaces, see manifests/delete-namespaces.yaml"
        ]


def deletes_after(change: Callable[[World], object]) -> bool:
    """Whether it deletes, where something happens while the last list is under way."""
    with World() as world:
        world.wait(GRACE - 1)
        world.host.waiting = []
        world.clock.advance(1)
        while "widgets" not in world.host.requests[-1]:
            world.host.waiting[-1].callback(None)
        change(world)
        if world.host.busy:
            world.host.waiting[-1].callback(None)
        world.host.waiting = None
        return bool(world.deleted)


@pytest.mark.parametrize(
    "change",
    [
        lambda world: world.wanted.add("shop"),
        lambda world: world.apply(namespace("shop", 6)),
        lambda world: world.apply(namespace("shop", 6), EventType.DELETED),
        lambda world: world.cleaner.stopService(),
        lambda world: world.clock.advance(GRACE + 1),
    ],
    ids=["wanted", "changed", "gone", "stopped", "late"],
)
def test_what_happens_during_the_look_is_heeded(change: Callable[[World], object]) -> None:
    """Up to the last moment; and a look that took long is not believed."""
    assert deletes_after(lambda _world: None)
    assert not deletes_after(change)


@pytest.mark.parametrize(
    ("cancel", "told"),
    [
        (None, 0),
        (lambda request: request.errback(OSError("cut")), 1),
        (lambda request: request.callback(None), 0),
    ],
    ids=["cancelled", "cut", "answered"],
)
def test_stopping_ends_the_look_at_all_namespaces(
    cancel: Callable[[Deferred[None]], None] | None, told: int
) -> None:
    """However the request ends that is under way: nothing more is asked, nothing deleted."""
    with World("a", "b") as world:
        world.wait(GRACE - 1)
        world.host.waiting, world.host.cancel = [], cancel
        world.clock.advance(1)
        while "widgets" not in world.host.requests[-1]:
            world.host.waiting[-1].callback(None)
        asked = len(world.host.requests)
        world.host.waiting = None
        world.cleaner.stopService()
        assert (len(world.host.requests), world.deleted) == (asked, [])
        assert len(world.told) == told


def test_a_look_that_began_too_early_is_not_the_last() -> None:
    """What it listed first was listed before the time."""
    with World() as world:
        world.wait(LOOK_EVERY - 1)
        world.host.waiting = []
        world.clock.advance(1)
        while world.host.busy:
            world.clock.advance(GRACE / 12)
            world.host.waiting[-1].callback(None)
        world.host.waiting = None
        assert world.clock.seconds() >= GRACE
        assert (world.deleted, world.told) == ([], [])
        world.wait(LOOK_EVERY)
        assert world.deleted == ["shop"]


def test_discovery_is_asked_again_in_a_round_that_takes_long() -> None:
    """A kind may have come since."""
    with World("a", "b") as world:
        world.host.waiting = []
        world.host.requests.clear()
        world.wait(LOOK_EVERY)
        while "/a/" in world.host.requests[-1] or not world.host.lists:
            if world.host.lists:
                world.clock.advance(GRACE / 5)
            world.host.waiting[-1].callback(None)
        assert world.host.requests.count("/apis") == 2
        world.cleaner.stopService()


def test_a_long_error_is_cut() -> None:
    """The log is for people."""
    with World() as world:
        world.host.answers["/apis"] = ApiError(500, "x" * 5000)
        world.wait(LOOK_EVERY)
        (told,) = world.told
        assert "xxx" in told
        assert len(told) < 400


def test_one_request_at_a_time() -> None:
    """It is housekeeping."""
    with World(*"abc") as world:
        world.host.waiting = []
        world.host.requests.clear()
        world.wait(LOOK_EVERY)
        while world.host.busy:
            world.host.waiting[-1].callback(None)
        assert world.host.most_busy == 1
        assert len(world.host.lists) == 3 * 6


def test_a_slow_look_is_told() -> None:
    """An old answer is none."""
    with World() as world:
        world.host.waiting = []
        world.wait(LOOK_EVERY)
        while world.host.busy:
            world.clock.advance(GRACE / 5)
            world.host.waiting[-1].callback(None)
        why = "the host takes too long to list what is in it"
        assert world.told == [f"namespace shop: kept, as {why}"]


def test_a_fault_of_who_wants_deletes_nothing() -> None:
    """It is told, and tried again."""
    with World() as world:
        world.cleaner._wanted = lambda name: {}[name]
        world.wait(LOOK_EVERY)
        assert "host: which namespaces are unused: 'shop'; again in 0.4 s" in world.told
        world.cleaner._wanted = lambda _name: False
        world.wait(LOOK_EVERY + GRACE)
        assert world.deleted == ["shop"]


def test_nothing_is_looked_at_before_the_first_list() -> None:
    """Of the host's namespaces."""
    world = World()
    world.cleaner._namespaces = Store(NAMESPACES)
    with world:
        world.wait(2 * GRACE)
        assert world.host.requests == []


class Cluster:
    """A cleaner of an embedded cluster, over HTTP."""

    def __init__(self) -> None:
        self.cluster = MemoryCluster("west")
        self.cluster.model.create(NAMESPACES, "", mirror_namespace("shop"))
        self.client = self.cluster.client()
        self.cleaner = NamespaceCleaner(
            self.cluster.network.clock,
            self.client,
            self.cluster.model.stores[NAMESPACES],
            random=lambda: 0.5,
            wanted=lambda _name: False,
        )

    def __enter__(self) -> MemoryCluster:
        self.cleaner.startService()
        return self.cluster

    def __exit__(self, *_: object) -> None:
        self.cleaner.stopService()
        self.cluster.network.wait(self.client.close(), seconds=30)


def test_over_http_an_empty_namespace_goes_and_no_other() -> None:
    """Those that the program did not create stay, empty or not."""
    with Cluster() as cluster:
        before = cluster.keys(NAMESPACES)
        cluster.network.advance(GRACE + LOOK_EVERY)
        assert set(before) - set(cluster.keys(NAMESPACES)) == {"shop"}


def test_over_http_a_service_keeps_its_namespace() -> None:
    """Until it is gone."""
    with Cluster() as cluster:
        cluster.put(SERVICES, service("shop/cart"))
        cluster.network.advance(3 * GRACE)
        assert cluster.get(SERVICES, "shop/cart") is not None
        cluster.delete(SERVICES, "shop/cart")
        cluster.network.advance(GRACE + LOOK_EVERY)
        assert "shop" not in cluster.keys(NAMESPACES)
