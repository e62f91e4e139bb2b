"""A server that fails fast is asked as often as the backoff promises, and not in a loop."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from twisted.web.http import Request
from twisted.web.resource import Resource as WebResource
from twisted.web.server import NOT_DONE_YET

from servicereflector.kube.lists import encode_list
from servicereflector.kube.resources import SERVICES
from servicereflector.kube.status import expired_watch, version_too_large
from servicereflector.kube.watchevents import encode_error
from servicereflector.listwatch.informer import Informer
from servicereflector.store.versioned import Store
from servicereflector.testing.network import Network

#: Delays are drawn below 30 s, 15 on the average: 80 in twenty minutes, and some at the start.
MOST_FAILURES = 120

Answer = Callable[[Request], bytes | int]


class Failing(WebResource):
    """Answers watches by a function, and lists by another or with an empty list."""

    isLeaf = True

    def __init__(self, watch: Answer, listed: Answer | None) -> None:
        super().__init__()
        self.asked = 0
        self._watch = watch
        self._list = listed

    def render(self, request: Request) -> bytes | int:
        self.asked += 1
        request.setHeader("Content-Type", "application/json")
        if b"watch" in request.args:
            return self._watch(request)
        return self._list(request) if self._list else encode_list(SERVICES, (), 7)


def say(code: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(request: Request) -> bytes:
        request.setResponseCode(code)
        for name, value in headers.items():
            request.setHeader(name.replace("_", "-"), value)
        return body

    return answer


def reset(request: Request) -> int:
    request.write(b"")
    request.channel.loseConnection()
    return NOT_DONE_YET


def deep(request: Request) -> bytes:
    return b"[" * 100_000


gone = say(200, encode_error(expired_watch(7, 8)))
too_large = say(200, encode_error(version_too_large(7, 6)))
EVERYTHING: dict[str, Answer] = {
    "reset": reset,
    "500": say(500),
    "HTML": say(200, b"<html>", Content_Type="text/html"),
    "nothing": say(200),
    "nested": deep,
    "429": say(429, Retry_After="0"),
    "429 negative": say(429, Retry_After="-5"),
    "429 date": say(429, Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"),
    "429 garbage": say(429, Retry_After="\u00b2"),
    "401": say(401),
    "404": say(404),
    "410": say(410),
}
WATCHES: dict[str, Answer] = {**EVERYTHING, "410 event": gone, "too large": too_large}


def twenty_minutes(
    watch: Answer, listed: Answer | None = None, refuse: bool = False
) -> tuple[int, Informer]:
    """How many requests twenty minutes bring, and whose they were."""
    network = Network()
    failing = Failing(watch, listed)
    server = network.serve("east", failing)
    server.refuse(refuse)
    client = server.client()
    informer = Informer(
        network.clock, client, Store(SERVICES), random=Random(1).random, source="east"
    )
    informer.startService()
    network.advance(1200)
    informer.stopService()
    network.wait(client.close(), 30)
    return failing.asked, informer


@pytest.mark.parametrize("name", EVERYTHING)
def test_lists_that_fail(name: str) -> None:
    """One request a failure; a 401 is asked twice, in case the credentials were renewed."""
    asked, informer = twenty_minutes(say(500), EVERYTHING[name])
    assert 30 < informer.stats.troubles < MOST_FAILURES
    assert asked <= informer.stats.troubles * (2 if name == "401" else 1) + 1
    assert not informer.store.synced


@pytest.mark.parametrize("name", WATCHES)
def test_watches_that_fail(name: str) -> None:
    """A watch and a look or a list for each failure; a 410 may be followed by a list at once."""
    asked, informer = twenty_minutes(WATCHES[name])
    assert 20 < informer.stats.troubles < MOST_FAILURES
    assert asked < 3 * MOST_FAILURES
    assert informer.store.synced


def test_refused_connections() -> None:
    """Each is a failure."""
    asked, informer = twenty_minutes(say(500), refuse=True)
    assert asked == 0
    assert 30 < informer.stats.troubles < MOST_FAILURES
