"""The status page and its JSON as they are served, through the real HTTP parser, in memory."""

from __future__ import annotations

import gc
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from prometheus_client import CollectorRegistry
from treq.client import HTTPClient
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.web.test.requesthelper import DummyRequest

from servicereflector.administration import Administration
from servicereflector.cooperation import BUDGET
from servicereflector.kube.resources import ENDPOINTS, SERVICES
from servicereflector.kube.selectors import LabelSelector
from servicereflector.mirror.breaker import Limits
from servicereflector.mirror.policy import Policy
from servicereflector.mirror.states import State, Status
from servicereflector.ops.health import HealthApi
from servicereflector.program import Roles
from servicereflector.reasons import Code
from servicereflector.reflector.controller import STARTING
from servicereflector.reflector.follower import SourceSettings
from servicereflector.status.pages import MOST, StatusPages
from servicereflector.status.tables import ROWS
from servicereflector.testing.clusters import Mesh, Node, endpoints, service

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "status.md"

#: Services of a large source.
MANY = 5000


@pytest.fixture
def mesh() -> Iterator[Mesh]:
    mesh = Mesh()
    yield mesh
    mesh.stop()


def export(node: Node, key: str, *ips: str) -> None:
    node.cluster.put(SERVICES, service(key))
    node.cluster.put(ENDPOINTS, endpoints(key, ips or ["10.9.0.1"]))


class Served:
    """The status of a node, on the network of its mesh."""

    def __init__(self, mesh: Mesh, node: Node, *problems: str, shown: bool = True) -> None:
        assert node.program is not None
        clock = mesh.network.clock
        self.administration = Administration(
            node.program, clock.seconds, lambda: list(problems), epoch=node.cluster.epoch
        )
        pages = StatusPages(clock, self.administration) if shown else None
        health = HealthApi([], CollectorRegistry(), pages)
        self._network = mesh.network
        self._url = self._network.serve("status", health.app.resource()).url

    def ask(self, path: str, method: str = "GET") -> tuple[Any, bytes]:
        """The answer's head, and its body."""
        client = HTTPClient(self._network.agent())

        async def exchange() -> tuple[Any, bytes]:
            answer = await client.request(method, self._url + path)
            body: bytes = await answer.content()
            return answer, body

        return self._network.wait(exchange(), seconds=10)

    def text(self, path: str = "/") -> str:
        answer, body = self.ask(path)
        assert answer.code == 200, body
        return body.decode()

    def json(self, path: str = "/status.json") -> dict[str, Any]:
        told = json.loads(self.text(path))
        self.schema().validate(told)
        assert isinstance(told, dict)
        return told

    def schema(self) -> Draft202012Validator:
        schema = json.loads(self.text("/status.schema.json"))
        Draft202012Validator.check_schema(schema)
        return Draft202012Validator(schema)


def names(text: str) -> list[str]:
    """Of the mirrors on a page."""
    table = text[text.index('id="mirrors-live"') :]
    return re.findall(r'<th scope="row">([^<]*)', table)


def troubled(mesh: Mesh) -> Node:
    """A node with a mirror, a conflict, held deletions, and clients of its own."""
    east, north = mesh.join("east"), mesh.join("north")
    export(east, "shop/cart", "10.9.0.1", "10.9.0.2")
    export(east, "shop/taken")
    for number in range(3):
        export(north, f"north/n{number}")
    sources = [(name, SourceSettings(name, url=f"http://{name}.example")) for name in (
        "east", "north")]  # fmt: skip
    roles = Roles(
        emitted=LabelSelector(),
        reflected=LabelSelector(),
        policy=Policy(limits=Limits(least=2)),
    )
    west = mesh.join("west", sources, roles=roles)
    west.cluster.put(SERVICES, service("shop/taken"))
    mesh.join("far", ["west"])
    mesh.advance(STARTING + 2)
    north.stop()
    for number in range(3):
        north.cluster.delete(SERVICES, f"north/n{number}")
    north.start()
    mesh.advance(40)
    return west


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """For tests that only look."""
    mesh = Mesh()
    yield Served(mesh, troubled(mesh))
    mesh.stop()


def test_the_page_shows_what_the_status_tells(served: Served) -> None:
    text = served.text()
    assert names(text) == ["shop/taken", "north/n0", "north/n1", "north/n2", "shop/cart"]
    assert "10.9.0.1, 10.9.0.2" in text
    assert "Service shop/taken exists and was not created by service-reflector" in text
    assert "service-reflector release north" in text
    assert "1 client" in text


def test_the_json_tells_the_same_in_the_same_order(served: Served) -> None:
    told = served.json()
    assert [(m["key"], m["state"]) for m in told["mirrors"]] == [
        ("shop/taken", "Conflict"),
        ("north/n0", "Held"),
        ("north/n1", "Held"),
        ("north/n2", "Held"),
        ("shop/cart", "Mirrored"),
    ]
    cart = told["mirrors"][-1]
    assert cart["addresses"] == ["10.9.0.1", "10.9.0.2"]
    assert (cart["address_count"], cart["owner"], cart["source_key"]) == (2, "east", "shop/cart")
    assert 0 < cart["changed_seconds_ago"] <= STARTING + 42
    east, north = told["sources"]
    assert (east["state"], east["waiting"], east["lag_seconds"]) == ("Synced", 0, 0.0)
    assert east["objects"] == {"services": 2, "endpoints": 2, "endpointslices": 0}
    assert east["mirrors"] == {"Conflict": 1, "Mirrored": 1}
    assert north["held"] == 3
    assert told["emitter"]["clients"] == 1
    assert told["emitter"]["watchers"] == 3
    assert told["emitter"]["sent_bytes"] > 0
    assert told["matching"] == 5


def test_the_status_command_has_the_same_sources(served: Served) -> None:
    """One report, for the operator and for all."""
    for told, shown in zip(
        served.administration.status()["sources"], served.json()["sources"], strict=True
    ):
        assert told["objects"]["services"] == told.pop("services")
        assert told == shown


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=SHOP", ["shop/taken", "shop/cart"]),
        ("state=Conflict", ["shop/taken"]),
        ("state=attention&source=north", ["north/n0", "north/n1", "north/n2"]),
        ("source=east&q=art", ["shop/cart"]),
        ("q=nothing", []),
        ("q=&state=&source=", ["shop/taken", "north/n0", "north/n1", "north/n2", "shop/cart"]),
    ],
)
def test_page_and_json_take_the_same_filters(served: Served, query: str, found: list[str]) -> None:
    assert names(served.text(f"/?{query}")) == found
    told = served.json(f"/status.json?{query}")
    assert ([m["key"] for m in told["mirrors"]], told["matching"]) == (found, len(found))


def test_the_json_is_as_long_as_it_is_asked_to_be(served: Served) -> None:
    told = served.json("/status.json?limit=2")
    assert [m["key"] for m in told["mirrors"]] == ["shop/taken", "north/n0"]
    assert told["matching"] == 5
    assert served.json("/status.json?limit=0")["mirrors"] == []


@pytest.mark.parametrize(
    "path",
    ["/?state=Nope", "/?page=x", "/?limit=1", "/status.json?page=1", "/status.json?source=<b>"],
)
def test_what_is_not_known_is_refused_in_one_line(served: Served, path: str) -> None:
    """As plain text, which no browser takes for anything else."""
    answer, body = served.ask(path)
    assert answer.code == 400
    assert answer.headers.getRawHeaders("content-type") == ["text/plain; charset=utf-8"]
    assert answer.headers.getRawHeaders("x-content-type-options") == ["nosniff"]
    assert body.endswith(b"\n")
    assert body.count(b"\n") == 1


@pytest.mark.parametrize("path", ["/", "/status.json", "/status.schema.json", "/?page=x"])
def test_every_answer_is_safe_to_look_at(served: Served, path: str) -> None:
    headers = served.ask(path)[0].headers
    policy = headers.getRawHeaders("content-security-policy")[0]
    for directive in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert directive in policy.split("; ")
    assert headers.getRawHeaders("x-content-type-options") == ["nosniff"]
    assert headers.getRawHeaders("referrer-policy") == ["no-referrer"]
    assert headers.getRawHeaders("cache-control") == ["no-store"]


@pytest.mark.parametrize("path", ["/", "/status.json", "/status.schema.json"])
def test_only_reading_is_possible(served: Served, path: str) -> None:
    answer, body = served.ask(path, "HEAD")
    assert (answer.code, body) == (200, b"")
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert served.ask(path, method)[0].code == 405


@pytest.mark.parametrize("path", ["/", "/status.json", "/status.schema.json"])
def test_a_page_that_is_turned_off_is_not_there(mesh: Mesh, path: str) -> None:
    """The rest of the port is."""
    served = Served(mesh, mesh.join("west"), shown=False)
    assert served.ask(path)[0].code == 404
    assert served.text("/healthz") == "ok"


def test_a_page_behind_the_last_is_the_last(served: Served) -> None:
    """Mirrors may have gone since its link was shown."""
    assert names(served.text("/?page=9"))[-1] == "shop/cart"


def test_without_a_reflector_there_is_a_page_too(mesh: Mesh) -> None:
    node = mesh.join("east", roles=Roles(emitted=LabelSelector(), reflected=None))
    mesh.advance(2)
    served = Served(mesh, node)
    assert "This process follows no source." in served.text()
    assert served.json()["sources"] == []


def test_a_source_that_is_gone_fits_the_schema(mesh: Mesh) -> None:
    west = troubled(mesh)
    west.use_sources("north")
    mesh.advance(2)
    *_, gone = Served(mesh, west).json()["sources"]
    assert (gone["name"], gone["state"], gone["mirrors"]) == ("east", "Gone", {"Orphaned": 1})


def test_a_change_that_waits_is_the_lag_of_its_source(mesh: Mesh) -> None:
    """For as long as the host does not take it."""
    west = troubled(mesh)
    west.api.silence()
    export(mesh["east"], "shop/new")
    mesh.advance(3)
    east = Served(mesh, west).json()["sources"][0]
    assert east["waiting"] == 1
    assert 2 < east["lag_seconds"] <= 3
    west.api.silence(False)


def test_the_schema_refuses_what_is_no_status(served: Served) -> None:
    """What takes everything would prove nothing."""
    schema, told = served.schema(), served.json()
    for broken in (
        {**told, "more": 1},
        {name: value for name, value in told.items() if name != "mirrors"},
        {**told, "mirrors": [{**told["mirrors"][0], "state": "Unknown"}]},
        {**told, "sources": [{**told["sources"][0], "held": -1}]},
    ):
        with pytest.raises(ValidationError):
            schema.validate(broken)


# The documentation.

#: Members of which no example can tell what they will be.
VARYING = {"version", "heard_seconds_ago", "sent_bytes", "changed_seconds_ago", "delays", "time"}
VARYING |= {"held_until_seconds"}


def masked(told: Any) -> Any:
    if isinstance(told, dict):
        return {k: type(v).__name__ if k in VARYING else masked(v) for k, v in told.items()}
    return [masked(one) for one in told] if isinstance(told, list) else told


def test_the_queries_of_the_documentation_are_answered(served: Served) -> None:
    paths = re.findall(r"http://localhost:9090(/[^'\s`]*)", DOCUMENT.read_text())
    assert paths == ["/", "/status.json?state=attention&source=east"]
    assert [served.ask(path)[0].code for path in paths] == [200, 200]


def test_the_example_of_the_documentation_is_a_real_answer(served: Served) -> None:
    """All but the figures that are never the same."""
    (example,) = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text(), re.S)
    told = json.loads(example)
    served.schema().validate(told)
    assert masked(told) == masked(served.json("/status.json?limit=2"))


def test_every_member_is_documented(served: Served) -> None:
    """Its table has those of the schema, and no others."""
    schema = served.schema().schema

    def members(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            yield from part.get("properties", {})
            for value in part.values():
                yield from members(value)
        elif isinstance(part, list):
            for value in part:
                yield from members(value)

    documented = re.findall(r"^\| `([a-z_]+)` ", DOCUMENT.read_text(), re.M)
    assert set(documented) == set(members(schema))


# Secrets.


def test_what_the_operator_alone_may_read_is_nowhere(mesh: Mesh) -> None:
    """Whatever holds it: configuration, errors, mirrors that others made."""
    west = troubled(mesh)
    assert west.program is not None
    controller = west.program.controller
    assert controller is not None
    secrets = ["t0ps3cret", "passw0rd", "credentials/east", "qu3ry", "us3r", "alice"]
    url = "https://us3r:passw0rd@old.example/x?token=qu3ry"
    served = Served(mesh, west, "/etc/credentials/east: line 1: t0ps3cret")
    mirror = service("shop/old", annotations={
        "service-reflector.squat.ai/reflected": "true", "service-reflector.squat.ai/source": url,
    })  # fmt: skip
    west.cluster.put(SERVICES, mirror)
    mesh.advance(2)
    for follower in west.program.followers.values():
        for informer in follower.informers:
            informer.stats.trouble = "credentials/east: not YAML: t0ps3cret"
            informer.stats.confidential = True
    reason = f"open /var/run/credentials/east: denied; {url} answered"
    controller.statuses.note(
        "shop/failed", {"east": Status(State.FAILED, Code.REQUEST_REFUSED, reason)}
    )
    overview = served.administration.overview

    def with_more(*, public: bool = False) -> dict[str, Any]:
        consumers = {"open": {"alice": 2}, "refused": {"401": 3}}
        certificate = {"fingerprint": "sha256:0", "self_signed": True, "expires": "later"}
        certificate["problem"] = "/etc/credentials/east.key: t0ps3cret"
        told = overview(public=public)
        return {**told, "consumers": consumers, "certificate": certificate}

    served.administration.overview = with_more  # type: ignore[method-assign]
    told = json.dumps(served.administration.status())
    assert [secret for secret in secrets if secret not in told] == []
    document, page = served.json(), served.text()
    for shown in (page, json.dumps(document), served.text("/?q=old"), served.text("/?q=failed")):
        assert [secret for secret in secrets if secret in shown] == []
    assert "https://old.example/x" in page
    assert document["emitter"]["refused"] == 3
    assert document["emitter"]["certificate"]["problem"] is True
    assert document["problems"] == 1
    assert document["sources"][0]["reason"].endswith("service-reflector status tells why")
    asked = served.json("/status.json?source=https://old.example/x")
    assert [m["key"] for m in asked["mirrors"]] == ["shop/old"]


# Size.


def large(mesh: Mesh, count: int) -> Node:
    """A node with so many names, as if they had been mirrored."""
    node = troubled(mesh)
    assert node.program is not None
    controller = node.program.controller
    assert controller is not None
    mirrored = {"east": Status(State.MIRRORED, Code.MIRRORED)}
    for number in range(count):
        controller.statuses.note(f"team-{number % 10}/service-{number:05}", mirrored)
    return node


def test_a_large_fleet_is_shown_a_page_at_a_time(mesh: Mesh) -> None:
    """What needs attention is on the first, and each page costs the same."""
    served = Served(mesh, large(mesh, MANY))
    first = served.text()
    assert names(first)[:2] == ["shop/taken", "north/n0"]
    assert len(names(first)) == ROWS
    last = -(-(MANY + 5) // ROWS)
    seen = {
        name for number in range(1, last + 1) for name in names(served.text(f"/?page={number}"))
    }
    assert len(seen) == MANY + 5
    assert len(first) < 200_000
    assert names(served.text("/?q=service-04999")) == ["team-9/service-04999"]


def test_the_json_of_a_large_fleet_is_complete(mesh: Mesh) -> None:
    told = Served(mesh, large(mesh, MANY)).json()
    assert told["matching"] == len({m["key"] for m in told["mirrors"]}) == MANY + 5


class Turns(Clock):
    """A reactor whose time is what is computed; it tells how long its turns were."""

    def __init__(self) -> None:
        super().__init__()
        self.longest = 0.0

    def seconds(self) -> float:
        return time.thread_time()

    def run(self, result: Deferred[Any]) -> None:
        while not result.called:
            call = self.calls.pop(0)
            call.called = 1
            self.note(call)

    def note(self, call: IDelayedCall | Any) -> None:
        began = time.thread_time()
        call.func(*call.args, **call.kw)
        self.longest = max(self.longest, time.thread_time() - began)


class Asked(DummyRequest):
    """A request whose transport takes everything."""

    def __init__(self, path: str) -> None:
        super().__init__([])
        self.uri = path.encode()

    def registerProducer(self, prod: object, s: object) -> None:
        pass

    def unregisterProducer(self) -> None:
        pass


@pytest.fixture
def no_collector() -> Iterator[None]:
    """The garbage collector's turns are another matter: see ops.garbage."""
    gc.disable()
    yield
    gc.enable()


def yardstick() -> float:
    """Seconds for what is always the same, 0.016 on the machine that the bound is from."""
    began = time.thread_time()
    sum(number * number for number in range(200_000))
    return time.thread_time() - began


@pytest.mark.parametrize("path", ["/", "/?page=90", "/status.json", "/status.json?q=04999"])
def test_no_turn_computes_for_long_at_20_000_names(
    mesh: Mesh, no_collector: None, path: str
) -> None:
    """50 ms, or longer in proportion where the machine is slower."""
    served = Served(mesh, large(mesh, 20_000))
    turns = Turns()
    pages = StatusPages(turns, served.administration)
    request = Asked(path)
    began = time.thread_time()
    answer = pages.document if "json" in path else pages.page
    result = ensureDeferred(answer(request))  # type: ignore[arg-type]
    turns.longest = time.thread_time() - began
    turns.run(result)
    measured = sorted(yardstick() for _ in range(5))[2]
    assert turns.longest < 0.05 * max(1.0, measured / 0.016)
    assert turns.longest > BUDGET / 10  # something was measured
    assert request.responseCode == 200
    assert len(b"".join(request.written) + result.result) > 1000


def test_more_answers_than_there_is_room_for_are_refused(mesh: Mesh) -> None:
    """Those that wait hold the bytes of everything."""
    served = Served(mesh, large(mesh, MANY))
    pages = StatusPages(Turns(), served.administration)

    def ask() -> tuple[Asked, Deferred[bytes]]:
        request = Asked("/status.json")
        return request, ensureDeferred(pages.document(request))  # type: ignore[arg-type]

    waiting = [ask() for _ in range(MOST)]
    assert not any(result.called for _, result in waiting)
    request, refused = ask()
    assert refused.result.startswith(b"too many answers")
    assert request.responseCode == 429
    for _, result in waiting:
        result.addErrback(lambda _: None)
        result.cancel()


def test_a_fault_of_ours_is_told_without_its_words(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in the log."""
    events: list[Any] = []
    monkeypatch.setattr(StatusPages, "log", Logger(observer=events.append))
    served = Served(mesh, mesh.join("west"))

    def broken(**_: Any) -> dict[str, Any]:
        raise RuntimeError("/etc/secret")

    served.administration.overview = broken  # type: ignore[method-assign]
    answer, body = served.ask("/")
    assert (answer.code, body) == (500, b"internal error, see the log\n")
    assert [str(event["log_failure"].value) for event in events] == ["/etc/secret"]
