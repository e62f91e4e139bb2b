"""The poller of /version: it knows an answer at once, tries again, looks again, and stops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from servicereflector.kube.resources import ENDPOINTSLICES, SERVICES, Resource
from servicereflector.kube.status import ApiError, unknown_path
from servicereflector.listwatch.version import REFRESH, VersionPoller

V1, V2 = {"gitVersion": "v1.36.0"}, {"gitVersion": "v1.37.0"}


class Asked:
    """A VersionApi whose answers the test gives."""

    def __init__(self) -> None:
        self.requests: list[Deferred[dict[str, Any]]] = []
        self.cancelled = 0
        self.request_cancelled: Callable[[Deferred[dict[str, Any]]], None] = lambda _request: None
        self.documents: dict[str, bytes | ApiError] = {
            "/api/v1": b'{"groupVersion":"v1","resources":[{"name":"services","kind":"Service"}]}',
        }
        self.accepted: list[str] = []

    async def version(self) -> dict[str, Any]:
        def cancel(request: Deferred[dict[str, Any]]) -> None:
            self.cancelled += 1
            self.request_cancelled(request)

        self.requests.append(Deferred(cancel))
        return await self.requests[-1]

    async def request(self, method: str, path: str, *, accept: str = "application/json") -> bytes:
        assert method == "GET"
        self.accepted.append(accept)
        document = self.documents.get(path, unknown_path())
        if isinstance(document, ApiError):
            raise document
        return document

    def answer(self, version: dict[str, Any]) -> None:
        self.requests[-1].callback(version)

    def fail(self) -> None:
        self.requests[-1].errback(OSError("away"))


class Started:
    """A poller that runs, its clock, and what it told."""

    def __init__(self, draw: float = 0.5, tables: Sequence[Resource] = ()) -> None:
        self.clock = Clock()
        self.api = Asked()
        self.told: list[dict[str, Any] | None] = []
        self.poller = VersionPoller(
            self.clock,
            self.api,
            random=lambda: draw,
            known=lambda: self.told.append(self.version),
            tables=tables,
        )
        self.poller.startService()

    @property
    def version(self) -> dict[str, Any] | None:
        return None if self.poller.current is None else self.poller.current.version

    @property
    def asked(self) -> int:
        return len(self.api.requests)


def test_it_asks_when_it_starts() -> None:
    """And knows nothing until there is an answer."""
    it = Started()
    assert (it.asked, it.version) == (1, None)


def test_an_answer_is_known_and_told() -> None:
    """The document as it came."""
    it = Started()
    it.api.answer(V1)
    assert (it.version, it.told) == (V1, [V1])


SLICES = b'{"groupVersion":"discovery.k8s.io/v1","resources":[{"name":"endpointslices"}]}'


@pytest.mark.parametrize(
    ("answer", "served"),
    [(SLICES, True), (b"[]", False), (unknown_path(), False), (ApiError(403, "no"), False)],
)
def test_it_knows_whether_endpoint_slices_are_served(
    answer: bytes | ApiError, served: bool
) -> None:
    """Since 1.21; before, and where nobody may look, they are not."""
    it = Started()
    it.api.documents["/apis/discovery.k8s.io/v1"] = answer
    it.api.answer(V1)
    assert it.poller.current is not None
    assert it.poller.current.entry(SERVICES) == {"name": "services", "kind": "Service"}
    assert bool(it.poller.current.entry(ENDPOINTSLICES)) == served


def test_it_asks_for_the_columns_of_what_is_served() -> None:
    """In the upstream's own words; a refusal leaves ours."""
    column = {"name": "Name"}
    for answer, told in ((orjson.dumps({"columnDefinitions": [column]}), [column]), (b"1", [])):
        it = Started(tables=(SERVICES, ENDPOINTSLICES))
        it.api.documents["/api/v1/services?limit=1"] = answer
        it.api.answer(V1)
        assert it.poller.current is not None
        assert it.poller.current.columns == {"services": told}
        assert "as=Table" in it.api.accepted[-1]


def test_a_failure_of_discovery_is_tried_again() -> None:
    """The version alone is not enough."""
    it = Started()
    it.api.documents["/api/v1"] = ApiError(500, "no")
    it.api.answer(V1)
    assert it.version is None
    it.clock.advance(1)
    assert it.asked == 2


def test_it_looks_again_after_a_while() -> None:
    """Not before."""
    it = Started()
    it.api.answer(V1)
    it.clock.advance(REFRESH - 1)
    assert it.asked == 1
    it.clock.advance(1)
    assert it.asked == 2


def test_an_upgrade_is_told() -> None:
    """While the program runs."""
    it = Started()
    it.api.answer(V1)
    it.clock.advance(REFRESH)
    it.api.answer(V2)
    assert (it.version, it.told) == (V2, [V1, V2])


def test_the_same_version_is_not_told_again() -> None:
    """It is no news."""
    it = Started()
    for _ in range(3):
        it.api.answer(dict(V1))
        it.clock.advance(REFRESH)
    assert it.told == [V1]


def test_a_failure_is_tried_again_later_and_later() -> None:
    """Half of 0.8, 1.6, 3.2 seconds, when the dice say a half; up to half of 30."""
    it = Started(draw=0.5)
    delays = []
    for _ in range(8):
        it.api.fail()
        (call,) = it.clock.getDelayedCalls()
        delays.append(call.getTime() - it.clock.seconds())
        it.clock.advance(delays[-1])
    assert [round(delay, 6) for delay in delays] == [0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0, 15.0]
    assert it.asked == 9


def test_a_failure_does_not_forget_what_was_known() -> None:
    """A cluster that is away has not changed."""
    it = Started()
    it.api.answer(V1)
    it.clock.advance(REFRESH)
    it.api.fail()
    assert it.version == V1


def test_an_answer_after_failures_is_looked_at_again_in_time() -> None:
    """The failures do not slow down what follows."""
    it = Started()
    it.api.fail()
    it.clock.advance(0.4)
    it.api.answer(V1)
    (call,) = it.clock.getDelayedCalls()
    assert call.getTime() - it.clock.seconds() == REFRESH


def test_stopping_ends_the_wait() -> None:
    """No call is left."""
    it = Started()
    it.api.answer(V1)
    it.poller.stopService()
    assert it.clock.getDelayedCalls() == []


def test_stopping_cancels_the_request() -> None:
    """And its failure is no reason to try again."""
    it = Started()
    it.poller.stopService()
    assert (it.api.cancelled, it.clock.getDelayedCalls()) == (1, [])


def test_stopping_while_it_connects_is_no_failure() -> None:
    """What is cancelled then says that a name was not found, or a connection not made."""
    it = Started()
    it.api.request_cancelled = lambda request: request.errback(OSError("given up"))
    with capturedLogs() as logs:
        it.poller.stopService()
    assert (it.api.cancelled, it.clock.getDelayedCalls(), logs) == (1, [], [])


def test_it_can_be_started_again() -> None:
    """As every Service can."""
    it = Started()
    it.poller.stopService()
    it.poller.startService()
    it.api.answer(V1)
    assert it.version == V1
