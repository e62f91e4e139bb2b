"""What the log tells of a host that does not answer reviews."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent

from servicereflector.access.reviews import TokenReviews
from servicereflector.kube.status import ApiError
from servicereflector.outages import HEALTHY
from servicereflector.reasons import Code


class Host:
    """
    :ivar error: what it answers with, None for that it knows nobody.
    """

    def __init__(self) -> None:
        self.error: ApiError | None = None

    async def request(self, *_: str, **_named: bytes | None) -> bytes:
        if self.error is not None:
            raise self.error
        return b'{"status": {"authenticated": false}}'


def test_reviews_that_fail_now_and_then_do_not_fill_the_log() -> None:
    """Strangers cause them: one line when they begin, one when all have been answered for long."""
    clock, host = Clock(), Host()
    reviews = TokenReviews(clock, host)

    def ask(token: str, error: ApiError | None) -> None:
        host.error = error
        Deferred.fromCoroutine(reviews.user_of(token)).addErrback(lambda f: f.trap(ApiError))
        clock.advance(1)

    with capturedLogs() as logs:
        for number in range(20):
            ask(f"token-{number}", ApiError(500, "etcd") if number % 2 == 0 else None)
        clock.advance(HEALTHY)
        ask("another", None)
    lines = [event for event in logs if event["log_level"] > LogLevel.debug]
    assert [event["reason"] for event in lines] == [Code.REVIEWS_FAILED, Code.RECOVERED]
    assert [formatEvent(event) for event in lines] == [
        "a TokenReview failed: 500 etcd",
        "the host answers each TokenReview again, after 10 failed attempts in 19 s",
    ]
    assert not any("token-" in str(formatEvent(event)) for event in logs)
