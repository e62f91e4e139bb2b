"""The HTTP client against a real Site, joined in memory: requests, limits, objects, watches."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http import Request
from twisted.web.resource import Resource as WebResource
from twisted.web.server import NOT_DONE_YET

from servicereflector.client.bodies import Watch
from servicereflector.client.connection import ConfigError, Connection
from servicereflector.client.credentials import Credentials, static
from servicereflector.client.errors import (
    BadAnswer,
    BodyTooLarge,
    RequestTimedOut,
    TransportError,
)
from servicereflector.client.http import KubeClient
from servicereflector.kube.resources import NAMESPACES, SERVICES
from servicereflector.kube.status import ApiError
from servicereflector.listwatch.limits import Limits

URL = "http://api.example:8001"
success = SynchronousTestCase().successResultOf
failure = SynchronousTestCase().failureResultOf


class Api(WebResource):
    """Answers every request by a function, and remembers the requests."""

    isLeaf = True

    def __init__(self, answer: Callable[[Request], bytes | int]) -> None:
        super().__init__()
        self.answer = answer
        self.seen: list[Request] = []
        self.bodies: list[bytes] = []

    def render(self, request: Request) -> bytes | int:
        self.seen.append(request)
        self.bodies.append(request.content.read())
        request.setHeader("Content-Type", "application/json")
        return self.answer(request)

    def header(self, name: str) -> str | None:
        return self.seen[-1].getHeader(name)

    @property
    def uri(self) -> bytes:
        return self.seen[-1].uri


class InMemory:
    """A client and its API, joined without sockets."""

    def __init__(
        self,
        answer: Callable[[Request], bytes | int],
        credentials: Credentials | None = None,
        **options: Any,
    ) -> None:
        self.clock = Clock()
        self.api = Api(answer)
        self.agent = RequestTraversalAgent(self.api)
        self.client = KubeClient(
            self.clock,
            credentials or static(Connection(URL)),
            agent_factory=lambda *_: self.agent,
            **options,
        )

    def request(self, method: str = "GET", path: str = "/x", **options: Any) -> Deferred[bytes]:
        return Deferred.fromCoroutine(self.client.request(method, path, **options))

    def watch(self, **options: Any) -> tuple[Deferred[Watch], list[bytes], list[Exception | None]]:
        data: list[bytes] = []
        ends: list[Exception | None] = []
        arguments: dict[str, Any] = {
            "resource_version": "7",
            "timeout_seconds": 300,
            "on_data": data.append,
            "on_end": ends.append,
        }
        watch = self.client.watch(SERVICES, **{**arguments, **options})
        return Deferred.fromCoroutine(watch), data, ends


def say(body: bytes, code: int = 200, **headers: str) -> Callable[[Request], bytes]:
    def answer(request: Request) -> bytes:
        request.setResponseCode(code)
        for name, value in headers.items():
            request.setHeader(name.replace("_", "-"), value)
        return body

    return answer


def hang(request: Request) -> int:
    return NOT_DONE_YET


def stream(request: Request) -> int:
    request.write(b"")
    return NOT_DONE_YET


def is_dropped(request: Request) -> bool:
    return bool(request._disconnected)


def rotating(*tokens: str) -> Credentials:
    """Credentials whose every load gives the next token."""
    remaining: Iterator[str] = iter(tokens)

    def load() -> Connection:
        token = next(remaining, None)
        if token is None:
            raise ConfigError("nothing more to load")
        return Connection(URL, token=token)

    return Credentials(load, clock=Clock(), defer_to_thread=maybeDeferred)


# Requests


def test_request_returns_the_body_of_a_success() -> None:
    """Any 2xx is a success."""
    memory = InMemory(say(b"made", 201))
    assert success(memory.request()) == b"made"


def test_request_says_who_asks_and_what_for() -> None:
    """JSON is asked for, by name and version, with the bearer token."""
    memory = InMemory(say(b"{}"), static(Connection(URL, token="t0ken")))
    success(memory.request())
    assert memory.api.header("Accept") == "application/json"
    assert (memory.api.header("User-Agent") or "").startswith("service-reflector/")
    assert memory.api.header("Authorization") == "Bearer t0ken"


def test_request_without_a_token_sends_no_authorization() -> None:
    """A URL alone is asked without credentials."""
    memory = InMemory(say(b"{}"))
    success(memory.request())
    assert memory.api.header("Authorization") is None


def test_request_keeps_the_prefix_of_the_url() -> None:
    """Rancher and its like serve a cluster below a path."""
    prefix = "https://rancher.example/k8s/clusters/c-1"
    memory = InMemory(say(b"{}"), static(Connection(prefix)))
    success(memory.request(path="/api/v1/services"))
    assert memory.api.uri == b"/k8s/clusters/c-1/api/v1/services"


def test_request_quotes_its_parameters() -> None:
    """A label selector survives the query string."""
    memory = InMemory(say(b"{}"))
    success(memory.request(params=[("labelSelector", "a in (b, c),d!=e&f+g")]))
    assert memory.api.seen[0].args[b"labelSelector"] == [b"a in (b, c),d!=e&f+g"]


def test_a_refusal_is_the_api_error_of_its_status() -> None:
    """The body's reason and message, and the header's delay, are the error's."""
    status = {"kind": "Status", "reason": "TooManyRequests", "message": "slow down", "code": 429}
    memory = InMemory(say(json.dumps(status).encode(), 429, Retry_After="7"))
    error = failure(memory.request(), ApiError).value
    assert (error.code, error.reason, error.message, error.retry_after) == (
        429,
        "TooManyRequests",
        "slow down",
        7.0,
    )


def test_a_refusal_without_a_status_is_its_code() -> None:
    """A load balancer's HTML page becomes the bare 503."""
    memory = InMemory(say(b"<html>", 503))
    assert failure(memory.request(), ApiError).value.code == 503


def test_a_huge_refusal_is_cut_short() -> None:
    """Of an endless error page only the beginning is read."""
    memory = InMemory(say(b"x" * 1_000_000, 500))
    assert failure(memory.request(), ApiError).value.code == 500


def test_a_redirection_is_an_error_that_names_the_host_only() -> None:
    """It is not followed, and nothing of the Location but its host is repeated."""
    location = "https://login.example/oauth?state=s3cret"
    memory = InMemory(say(b"", 302, Location=location))
    error = failure(memory.request(), ApiError).value
    assert error.code == 302
    assert "login.example" in str(error)
    assert "s3cret" not in str(error)
    assert len(memory.api.seen) == 1


def test_cookies_are_not_kept() -> None:
    """What a server sets does not come back to it."""
    memory = InMemory(say(b"{}", Set_Cookie="a=b"))
    success(memory.request())
    success(memory.request())
    assert memory.api.header("Cookie") is None


# Credentials


def only(token: str) -> Callable[[Request], bytes]:
    def answer(request: Request) -> bytes:
        good = request.getHeader("Authorization") == f"Bearer {token}"
        request.setResponseCode(200 if good else 401)
        return b"welcome" if good else b""

    return answer


def test_a_401_is_tried_again_with_credentials_loaded_anew() -> None:
    """A token that was replaced in the meantime costs one more request."""
    memory = InMemory(only("new"), rotating("old", "new"))
    assert success(memory.request()) == b"welcome"
    assert len(memory.api.seen) == 2


def test_a_401_is_tried_again_only_once() -> None:
    """The second 401 is the answer."""
    memory = InMemory(only("none"), rotating("a", "b", "c"))
    assert failure(memory.request(), ApiError).value.code == 401
    assert len(memory.api.seen) == 2


def test_a_401_stands_where_the_credentials_cannot_be_loaded() -> None:
    """The server's refusal is reported, not the loader's."""
    memory = InMemory(only("none"), rotating("a"))
    assert failure(memory.request(), ApiError).value.code == 401
    assert len(memory.api.seen) == 1


def test_a_request_body_is_sent_again_after_a_401() -> None:
    """The second attempt carries the same body."""
    memory = InMemory(only("new"), rotating("old", "new"))
    success(memory.request("PUT", body=b"{1}"))
    assert memory.api.bodies == [b"{1}", b"{1}"]


def test_no_error_text_holds_the_token() -> None:
    """Neither the refusal nor the Connection repeats it."""
    connection = Connection(URL, token="s3cret")
    memory = InMemory(say(b"", 403), static(connection))
    error = failure(memory.request(), ApiError)
    assert "s3cret" not in error.getTraceback() + repr(connection) + str(connection)


# Limits


def test_a_body_of_the_limit_is_taken() -> None:
    """The limit is the largest size that passes."""
    memory = InMemory(say(b"x" * 1000), limits=Limits(max_body=1000))
    assert len(success(memory.request())) == 1000


def test_a_body_above_the_limit_is_refused_and_its_connection_closed() -> None:
    """An endless answer ends when the limit is passed."""

    def endless(request: Request) -> int:
        request.write(b"x" * 1001)
        return NOT_DONE_YET

    memory = InMemory(endless, limits=Limits(max_body=1000))
    failure(memory.request(), BodyTooLarge)
    memory.agent.flush()
    assert is_dropped(memory.api.seen[0])


def test_a_compressed_body_is_decompressed() -> None:
    """kube-apiserver compresses what is larger than 128 KiB."""
    memory = InMemory(say(gzip.compress(b"plain"), Content_Encoding="gzip"))
    assert success(memory.request()) == b"plain"
    assert memory.api.header("Accept-Encoding") == "gzip"


def test_the_limit_holds_for_the_decompressed_body() -> None:
    """A small answer cannot become a large one."""
    memory = InMemory(
        say(gzip.compress(bytes(10**6)), Content_Encoding="gzip"), limits=Limits(max_body=10**5)
    )
    failure(memory.request(), BodyTooLarge)


def test_a_body_compressed_twice_is_refused() -> None:
    """Layers of compression multiply; no honest server uses them."""
    twice = gzip.compress(gzip.compress(bytes(10**6)))
    memory = InMemory(say(twice, Content_Encoding="gzip, gzip"))
    failure(memory.request(), BadAnswer)


def test_a_request_without_an_answer_times_out_and_is_dropped() -> None:
    """Thirty seconds without headers are the end."""
    memory = InMemory(hang)
    d = memory.request()
    memory.clock.advance(29.9)
    assert not d.called
    memory.clock.advance(0.2)
    failure(d, RequestTimedOut)
    memory.agent.flush()
    assert is_dropped(memory.api.seen[0])


def test_a_body_that_does_not_end_times_out_and_is_dropped() -> None:
    """The deadline is for the whole answer, not for its headers."""
    memory = InMemory(stream)
    d = memory.request(timeout=5)
    memory.clock.advance(5)
    failure(d, RequestTimedOut)
    memory.agent.flush()
    assert is_dropped(memory.api.seen[0])


def test_an_answer_leaves_no_timer() -> None:
    """A deadline that was met is forgotten."""
    memory = InMemory(say(b"{}"))
    success(memory.request())
    assert memory.clock.getDelayedCalls() == []


@pytest.mark.parametrize("answer", [hang, stream])
def test_a_cancelled_request_is_dropped(answer: Callable[[Request], int]) -> None:
    """Before the headers and within the body."""
    memory = InMemory(answer)
    d = memory.request()
    d.cancel()
    failure(d, CancelledError)
    memory.agent.flush()
    assert is_dropped(memory.api.seen[0])
    assert memory.clock.getDelayedCalls() == []


# Objects


def test_list_asks_for_what_it_was_told() -> None:
    """Every argument is its parameter; those not given are left out."""
    memory = InMemory(say(b"{}"))
    listing = memory.client.list(
        SERVICES,
        namespace="shop",
        label_selector="a=b",
        field_selector="metadata.name=c",
        limit=500,
        continue_token="next",
        resource_version="0",
    )
    assert success(Deferred.fromCoroutine(listing)) == b"{}"
    assert memory.api.seen[0].path == b"/api/v1/namespaces/shop/services"
    assert memory.api.seen[0].args == {
        b"labelSelector": [b"a=b"],
        b"fieldSelector": [b"metadata.name=c"],
        b"limit": [b"500"],
        b"continue": [b"next"],
        b"resourceVersion": [b"0"],
    }
    success(Deferred.fromCoroutine(memory.client.list(NAMESPACES)))
    assert memory.api.uri == b"/api/v1/namespaces"


def test_get_returns_the_object() -> None:
    """One object, parsed."""
    memory = InMemory(say(b'{"kind":"Service"}'))
    got = Deferred.fromCoroutine(memory.client.get(SERVICES, "shop", "cart"))
    assert success(got) == {"kind": "Service"}
    assert memory.api.uri == b"/api/v1/namespaces/shop/services/cart"


def test_create_posts_to_the_namespace_of_the_object() -> None:
    """The collection is found by the object's metadata."""
    memory = InMemory(say(b'{"made":true}', 201))
    obj = {"metadata": {"namespace": "shop", "name": "cart"}}
    assert success(Deferred.fromCoroutine(memory.client.create(SERVICES, obj))) == {"made": True}
    assert (memory.api.seen[0].method, memory.api.uri) == (
        b"POST",
        b"/api/v1/namespaces/shop/services",
    )
    assert memory.api.header("Content-Type") == "application/json"
    assert json.loads(memory.api.bodies[0]) == obj


def test_update_puts_the_object_in_its_place() -> None:
    """With the resourceVersion that the caller left in it."""
    memory = InMemory(say(b"{}"))
    obj = {"metadata": {"namespace": "shop", "name": "cart", "resourceVersion": "5"}}
    success(Deferred.fromCoroutine(memory.client.update(SERVICES, obj)))
    assert (memory.api.seen[0].method, memory.api.uri) == (
        b"PUT",
        b"/api/v1/namespaces/shop/services/cart",
    )
    assert json.loads(memory.api.bodies[0]) == obj


def test_delete_carries_its_preconditions() -> None:
    """What was replaced in the meantime is not deleted."""
    memory = InMemory(say(b"{}"))
    gone = memory.client.delete(SERVICES, "shop", "cart", uid="u-1", resource_version="5")
    success(Deferred.fromCoroutine(gone))
    assert memory.api.seen[0].method == b"DELETE"
    assert json.loads(memory.api.bodies[0])["preconditions"] == {
        "uid": "u-1",
        "resourceVersion": "5",
    }


def test_version_is_asked_at_its_path() -> None:
    """``GET /version``."""
    memory = InMemory(say(b'{"major":"1"}'))
    assert success(Deferred.fromCoroutine(memory.client.version())) == {"major": "1"}
    assert memory.api.uri == b"/version"


def test_a_success_that_is_no_object_is_a_bad_answer() -> None:
    """A login page with status 200 is not taken for an object."""
    memory = InMemory(say(b"<html>"))
    failure(Deferred.fromCoroutine(memory.client.version()), BadAnswer)


def test_a_name_cannot_leave_its_collection() -> None:
    """Names of another cluster's objects are quoted."""
    memory = InMemory(say(b"{}"))
    success(Deferred.fromCoroutine(memory.client.get(SERVICES, "a", "../../b?c#d")))
    assert memory.api.uri == b"/api/v1/namespaces/a/services/..%2F..%2Fb%3Fc%23d"
    failure(Deferred.fromCoroutine(memory.client.get(SERVICES, "..", "b")), ValueError)


# Watches


def test_watch_asks_for_a_watch_with_bookmarks() -> None:
    """From the resourceVersion on, for as long as it was told, narrowed by the selectors."""
    memory = InMemory(stream)
    d, _, _ = memory.watch(namespace="shop", label_selector="a=b", field_selector="c=d")
    watch = success(d)
    assert memory.api.seen[0].path == b"/api/v1/namespaces/shop/services"
    assert memory.api.seen[0].args == {
        b"watch": [b"true"],
        b"allowWatchBookmarks": [b"true"],
        b"resourceVersion": [b"7"],
        b"timeoutSeconds": [b"300"],
        b"labelSelector": [b"a=b"],
        b"fieldSelector": [b"c=d"],
    }
    watch.stop()


def test_watch_delivers_what_comes_as_it_comes() -> None:
    """Nothing is held back until the end."""
    memory = InMemory(stream)
    d, data, ends = memory.watch()
    success(d)
    for piece in (b'{"type":', b'"ADDED"}\n'):
        memory.api.seen[0].write(piece)
        memory.agent.flush()
        assert data[-1] == piece
    assert ends == []


def test_watch_has_no_deadline_once_it_runs() -> None:
    """The headers' deadline is over when they are there."""
    memory = InMemory(stream)
    d, _, ends = memory.watch()
    success(d)
    memory.clock.advance(3600)
    assert ends == []
    assert not is_dropped(memory.api.seen[0])


def test_watch_ends_well_when_the_server_ends_it() -> None:
    """The last chunk is a clean end, told once."""
    memory = InMemory(stream)
    d, _, ends = memory.watch()
    success(d)
    memory.api.seen[0].finish()
    memory.agent.flush()
    assert ends == [None]


def test_watch_ends_badly_when_its_connection_breaks() -> None:
    """A chunked answer without its last chunk is broken."""
    memory = InMemory(stream)
    d, data, ends = memory.watch()
    success(d)
    memory.api.seen[0].write(b"half")
    memory.agent.flush()
    memory.api.seen[0].transport.loseConnection()
    memory.agent.flush()
    assert data == [b"half"]
    assert [type(end) for end in ends] == [TransportError]


def test_watch_stopped_says_no_more_and_closes_its_connection() -> None:
    """No data, no end; a second stop does nothing."""
    memory = InMemory(stream)
    d, data, ends = memory.watch()
    watch = success(d)
    watch.stop()
    watch.stop()
    memory.api.seen[0].write(b"late")
    memory.agent.flush()
    assert (data, ends) == ([], [])
    assert is_dropped(memory.api.seen[0])


def test_watch_can_be_stopped_by_its_own_data() -> None:
    """The callback may stop the watch that calls it."""
    memory = InMemory(stream)
    seen: list[bytes] = []

    def once(data: bytes) -> None:
        seen.append(data)
        watch.stop()

    d, _, ends = memory.watch(on_data=once)
    watch = success(d)
    for _ in range(2):
        memory.api.seen[0].write(b"data")
        memory.agent.flush()
    assert (seen, ends) == ([b"data"], [])


def test_watch_ends_with_the_error_of_its_callback() -> None:
    """What cannot be taken in ends the watch, and is not lost."""
    error = ValueError("not mine")

    def refuse(data: bytes) -> None:
        raise error

    memory = InMemory(stream)
    d, _, ends = memory.watch(on_data=refuse)
    success(d)
    memory.api.seen[0].write(b"data")
    memory.agent.flush()
    assert ends == [error]
    memory.agent.flush()
    assert is_dropped(memory.api.seen[0])


def test_watch_refused_raises_the_api_error() -> None:
    """410 Gone, for one, is raised and not streamed."""
    memory = InMemory(say(b'{"kind":"Status","reason":"Expired","code":410}', 410))
    d, data, ends = memory.watch()
    error = failure(d, ApiError).value
    assert (error.code, error.reason) == (410, "Expired")
    assert (data, ends) == ([], [])


def test_watch_is_tried_again_after_a_401() -> None:
    """As any other request is."""
    memory = InMemory(only("new"), rotating("old", "new"))
    d, data, ends = memory.watch()
    success(d)
    assert (data, ends) == ([b"welcome"], [None])


def test_watch_cancelled_before_its_headers_is_dropped() -> None:
    """A source that does not answer can be given up."""
    memory = InMemory(hang)
    d, _, ends = memory.watch()
    d.cancel()
    failure(d, CancelledError)
    memory.agent.flush()
    assert is_dropped(memory.api.seen[0])
    assert ends == []


def test_watch_without_headers_times_out() -> None:
    """Thirty seconds, then the request is dropped."""
    memory = InMemory(hang)
    d, _, _ = memory.watch()
    memory.clock.advance(30)
    failure(d, RequestTimedOut)
    memory.agent.flush()
    assert is_dropped(memory.api.seen[0])


def test_a_body_that_says_that_it_is_too_large_is_not_read() -> None:
    """Not a byte of it is waited for."""

    def announce(request: Request) -> int:
        request.setHeader("Content-Length", "1001")
        request.write(b"")
        return NOT_DONE_YET

    memory = InMemory(announce, limits=Limits(max_body=1000))
    error = failure(memory.request(), BodyTooLarge)
    assert str(error.value) == f"{URL[7:]}: the answer has 1001 bytes, more than 1000"
    memory.agent.flush()
    assert is_dropped(memory.api.seen[0])


def test_a_body_that_drips_ends_by_the_deadline() -> None:
    """A byte now and then is no answer."""
    memory = InMemory(stream, limits=Limits(request_timeout=5))
    asked = memory.request()
    for _ in range(5):
        memory.api.seen[0].write(b"x")
        memory.agent.flush()
        memory.clock.advance(1)
    failure(asked, RequestTimedOut)
    memory.agent.flush()
    assert is_dropped(memory.api.seen[0])


def test_a_watch_that_is_a_page_for_people_is_refused() -> None:
    """Its lines are no events: one failure tells more than a warning for each."""
    memory = InMemory(say(b"<html>\n" * 100, Content_Type="text/html; charset=utf-8"))
    error = failure(memory.watch()[0], BadAnswer)
    assert str(error.value).endswith("a watch was answered with 'text/html'")


def test_reads_beyond_the_limit_wait_in_line() -> None:
    """Watches and writes apart; the next goes when one is answered, has failed or was cancelled."""
    memory = InMemory(hang, limits=Limits(max_reads=2))
    asked = [memory.request(path=f"/{number}") for number in range(5)]
    memory.watch()
    written = memory.request("PUT", path="/written", body=b"{}")

    def paths() -> list[bytes]:
        return [request.path for request in memory.api.seen]

    assert paths() == [b"/0", b"/1", b"/api/v1/services", b"/written"]
    asked[2].addErrback(lambda _: None).cancel()
    memory.api.seen[0].finish()
    memory.agent.flush()
    success(asked[0])
    assert paths()[4:] == [b"/3"]
    asked[1].addErrback(lambda _: None).cancel()
    assert paths()[5:] == [b"/4"]
    for deferred in [*asked[3:], written]:
        deferred.addErrback(lambda _: None).cancel()


def test_the_deadline_counts_while_in_line() -> None:
    """A server that holds what is under way holds nobody for longer than the flag says."""
    memory = InMemory(hang, limits=Limits(max_reads=1, request_timeout=5))
    first, second = memory.request(), memory.request()
    memory.clock.advance(5)
    failure(first, RequestTimedOut)
    failure(second, RequestTimedOut)
    third = memory.request()
    memory.api.seen[-1].finish()
    memory.agent.flush()
    success(third)
