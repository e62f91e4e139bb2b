"""What the host cluster says of a token (TokenReview) and of a request (SubjectAccessReview).

Answers are kept as kube-apiserver keeps those of its webhooks; what could not be asked is not.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, Protocol, TypeVar

import orjson
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..kube.status import ApiError
from ..kube.text import shown
from ..outages import HEALTHY, Outage
from ..reasons import Code, code_of
from ..telling import tell_failure, tell_recovery
from .attributes import Attributes, forbidden
from .cache import Cache
from .identity import User
from .tokenfile import digest_of

#: Seconds for which answers hold (--authentication-token-webhook-cache-ttl,
#: --authorization-webhook-cache-authorized-ttl, --authorization-webhook-cache-unauthorized-ttl). A
#: token that is not known may be so soon.
KNOWN, UNKNOWN = 120.0, 10.0
ALLOWED, DENIED = 300.0, 30.0

#: How many answers of each kind are kept, and how many questions may be open: strangers ask.
KEPT, OPEN = 10_000, 64

_PATHS = {
    "TokenReview": "/apis/authentication.k8s.io/v1/tokenreviews",
    "SubjectAccessReview": "/apis/authorization.k8s.io/v1/subjectaccessreviews",
}

T = TypeVar("T")


class Asked(Protocol):
    """Of a cluster's client what reviews need: KubeClient has it."""

    async def request(self, method: str, path: str, *, body: bytes | None = None) -> bytes: ...


class _Reviews(Generic[T]):
    """Asks once for what several want to know at a time."""

    log = Logger()
    kind = ""

    def __init__(self, reactor: IReactorTime, host: Asked) -> None:
        self._reactor = reactor
        self._host = host
        self._answers: Cache[T] = Cache(KEPT)
        self._open: dict[Hashable, list[Deferred[T | Exception]]] = {}
        self._outage = Outage()

    async def _ask(
        self, key: Hashable, spec: dict[str, Any], read: Callable[[dict[str, Any]], tuple[T, float]]
    ) -> T:
        """
        :param read: an answer's status, as what is kept and the seconds for which it holds.
        :raises ApiError: 429 where too much is asked at once, 503 where the host does not answer.
        """
        known = self._answers.get(key, self._reactor.seconds())
        if known is not None:
            return known
        if key in self._open:
            waiting: Deferred[T | Exception] = Deferred()
            self._open[key].append(waiting)
            found = await waiting
        else:
            found = await self._ask_host(key, spec, read)
        if isinstance(found, Exception):
            raise _unanswered()
        return found

    async def _ask_host(
        self, key: Hashable, spec: dict[str, Any], read: Callable[[dict[str, Any]], tuple[T, float]]
    ) -> T | Exception:
        if len(self._open) >= OPEN:
            raise ApiError(429, "too many reviews are under way", details={}, retry_after=1)
        self._open[key] = []
        found: T | Exception
        try:
            status = await self._review(spec)
            found, seconds = read(status)
            self._answers.put(key, found, self._reactor.seconds() + seconds)
        except Exception as error:  # whatever it is, who asked is not let in
            found = error
        self._tell(found)
        for waiting in self._open.pop(key):
            waiting.callback(found)
        return found

    async def _review(self, spec: dict[str, Any]) -> dict[str, Any]:
        path = _PATHS[self.kind]
        group = path.split("/")[2]
        review = {"kind": self.kind, "apiVersion": f"{group}/v1", "spec": spec}
        answer = orjson.loads(await self._host.request("POST", path, body=orjson.dumps(review)))
        status = answer.get("status") if isinstance(answer, dict) else None
        if not isinstance(status, dict):
            raise TypeError("the answer has no status")
        return status

    def _tell(self, found: T | Exception) -> None:
        now = self._reactor.seconds()
        if isinstance(found, Exception):
            tell_failure(
                self.log,
                self._outage.failed(code_of(found), now),
                "{still}a {kind} failed: {error}",
                reason=Code.REVIEWS_FAILED,
                kind=self.kind,
                error=shown(str(found)) or type(found).__name__,
            )
        else:
            text = "the host answers each {kind} again, {after}"
            tally = self._outage.recovered(now, lasting=HEALTHY)
            tell_recovery(self.log, tally, text, kind=self.kind)


class TokenReviews(_Reviews[tuple[User, ...]]):
    """Users by the host cluster's own tokens."""

    kind = "TokenReview"

    async def user_of(self, token: str) -> User | None:
        """
        :raises ApiError: 429, 503.
        """
        found = await self._ask(digest_of(token), {"token": token}, _read_user)
        return found[0] if found else None


def _read_user(status: dict[str, Any]) -> tuple[tuple[User, ...], float]:
    user = status.get("user")
    if status.get("authenticated") is not True or not isinstance(user, dict):
        return (), UNKNOWN
    extra = user.get("extra") or {}
    told = User(
        str(user.get("username") or ""),
        tuple(map(str, user.get("groups") or ())),
        str(user.get("uid") or ""),
        tuple(sorted((str(key), tuple(map(str, values))) for key, values in extra.items())),
    )
    return ((told,), KNOWN) if told.name else ((), UNKNOWN)


class AccessReviews(_Reviews[tuple[bool, str]]):
    """What users may do, by the host cluster's own rules."""

    kind = "SubjectAccessReview"

    async def check(self, user: User, asked: Attributes) -> None:
        """
        :raises ApiError: 403 for what is not allowed; 429, 503.
        """
        spec: dict[str, Any] = {**asked.for_review(), "user": user.name, "groups": user.groups}
        if user.uid:
            spec["uid"] = user.uid
        if user.extra:
            spec["extra"] = dict(user.extra)
        allowed, reason = await self._ask((user, asked), spec, _read_verdict)
        if not allowed:
            raise forbidden(user.name, asked, reason)


def _read_verdict(status: dict[str, Any]) -> tuple[tuple[bool, str], float]:
    allowed = status.get("allowed") is True and status.get("denied") is not True
    return (allowed, str(status.get("reason") or "")), ALLOWED if allowed else DENIED


def _unanswered() -> ApiError:
    message = "the host cluster cannot be asked whether this is allowed"
    return ApiError(503, message, details={}, retry_after=1)
