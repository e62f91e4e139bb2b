"""Status bodies: the one form in which a Kubernetes API tells that a request failed.

The wording is kube-apiserver's, because clients and people read it.
"""

from __future__ import annotations

from typing import Any

import orjson

from ..reasons import Code
from .resources import Resource

#: The reason that kube-apiserver gives for a code, where the server names none.
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Gone",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


#: What people are told of a code; of any other by its hundred.
_TOLD_AS = {
    401: Code.UNAUTHORIZED,
    403: Code.FORBIDDEN,
    404: Code.NOT_SERVED,
    405: Code.NOT_SERVED,
    406: Code.NOT_SERVED,
    408: Code.TIMED_OUT,
    410: Code.EXPIRED,
    422: Code.HOST_REFUSED,
    429: Code.TOO_MANY_REQUESTS,
}

#: The cause of a refusal of a version that the server has not reached.
TOO_LARGE = "ResourceVersionTooLarge"


class ApiError(Exception):
    """A request that the API refused.

    :ivar code: the HTTP status.
    :ivar reason: the machine-readable reason, ``""`` where the server gave none.
    :ivar message: the words for a person.
    :ivar details: the ``details`` member, or None where the body has none.
    :ivar retry_after: seconds to wait, from the body or the Retry-After header, or None.
    :ivar continue_token: with which a list whose own token is too old may go on.
    """

    def __init__(
        self,
        code: int,
        message: str,
        *,
        reason: str | None = None,
        details: dict[str, Any] | None = None,
        retry_after: float | None = None,
        continue_token: str = "",
    ) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.reason = _REASONS.get(code, "") if reason is None else reason
        self.message = message
        self.details = details
        self.retry_after = retry_after
        self.continue_token = continue_token

    @property
    def told_as(self) -> Code:
        """What people are told that it is."""
        if TOO_LARGE in self.causes:
            return Code.OLDER_LIST
        # In the words of the quota's admission, which has no reason of its own.
        if self.code == 403 and "exceeded quota" in self.message:
            return Code.QUOTA_EXCEEDED
        if self.code < 400:
            return Code.BAD_ANSWER  # a redirection, as login pages and proxies have it
        other = Code.SERVER_ERROR if self.code >= 500 else Code.REQUEST_REFUSED
        return _TOLD_AS.get(self.code, other)

    @property
    def causes(self) -> tuple[str, ...]:
        """The reasons of the details' causes."""
        causes = (self.details or {}).get("causes")
        if not isinstance(causes, list):
            return ()
        return tuple(_text(c.get("reason")) for c in causes if isinstance(c, dict))

    def body(self) -> dict[str, Any]:
        """The Status object, its members in the order in which the API writes them."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.continue_token} if self.continue_token else {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        details = dict(self.details) if self.details is not None else None
        if self.retry_after is not None:
            details = {**(details or {}), "retryAfterSeconds": int(self.retry_after)}
        if details is not None:
            status["details"] = details
        status["code"] = self.code
        return status


def _text(value: object) -> str:
    """What a stranger sent in a text's place: it may be anything, nested beyond printing."""
    return value if isinstance(value, str) else ""


def from_status(status: object, code: int = 500, retry_after: float | None = None) -> ApiError:
    """The error that a parsed Status object tells; what is no Status becomes the bare code."""
    if not isinstance(status, dict) or status.get("kind") != "Status":
        return ApiError(code, _REASONS.get(code) or f"HTTP {code}", retry_after=retry_after)
    details = status.get("details")
    details = details if isinstance(details, dict) else None
    if retry_after is None and details is not None:
        seconds = details.get("retryAfterSeconds")
        retry_after = float(seconds) if isinstance(seconds, int) and seconds > 0 else None
    told = status.get("code")
    return ApiError(
        told if isinstance(told, int) else code,
        (_text(status.get("message")) or _REASONS.get(code) or f"HTTP {code}")[:4096],
        reason=_text(status.get("reason")),
        details=details,
        retry_after=retry_after,
    )


def from_response(code: int, body: bytes, retry_after: str | None = None) -> ApiError:
    """The error of an HTTP answer.

    :param retry_after: the header's text; only its form in seconds is understood, as in client-go.
    """
    seconds = float(retry_after) if retry_after and retry_after.strip().isdecimal() else None
    try:
        status = orjson.loads(body)
    except orjson.JSONDecodeError:
        status = None
    return from_status(status, code, seconds)


def _details(resource: Resource, name: str) -> dict[str, Any]:
    details = {"name": name} if name else {}
    if resource.group:
        details["group"] = resource.group
    return {**details, "kind": resource.plural}


def not_found(resource: Resource, name: str) -> ApiError:
    return ApiError(
        404, f'{resource.qualified} "{name}" not found', details=_details(resource, name)
    )


def unknown_path() -> ApiError:
    return ApiError(404, "the server could not find the requested resource", details={})


def method_not_allowed() -> ApiError:
    return ApiError(
        405, "the server does not allow this method on the requested resource", details={}
    )


def already_exists(resource: Resource, name: str) -> ApiError:
    return ApiError(
        409,
        f'{resource.qualified} "{name}" already exists',
        reason="AlreadyExists",
        details=_details(resource, name),
    )


def conflict(resource: Resource, name: str, why: str) -> ApiError:
    return ApiError(
        409,
        f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}',
        details=_details(resource, name),
    )


def bad_request(message: str) -> ApiError:
    return ApiError(400, message)


#: What is wrong with one field: ``(field, reason, message)``.
Cause = tuple[str, str, str]


def invalid(kind: str, name: str, *causes: Cause, group: str = "") -> ApiError:
    """422 with its causes."""
    told = [f"{field}: {message}" for field, _, message in causes]
    joined = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    details: dict[str, Any] = {"name": name} if name else {}
    if group:
        details["group"] = group
    details["kind"] = kind
    details["causes"] = [
        {"reason": reason, "message": message, "field": field} for field, reason, message in causes
    ]
    qualified = f"{kind}.{group}" if group else kind
    return ApiError(422, f'{qualified} "{name}" is invalid: {joined}', details=details)


def expired_list() -> ApiError:
    return ApiError(410, "The resourceVersion for the provided list is too old.", reason="Expired")


def expired_continue(token: str) -> ApiError:
    """
    :param token: with which the list may go on all the same, at the newest version.
    """
    return ApiError(
        410,
        "The provided continue parameter is too old to display a consistent list result. You can"
        " start a new list without the continue parameter, or use the continue token in this"
        " response to retrieve the remainder of the results. Continuing with the provided token"
        " results in an inconsistent list - objects that were created, modified, or deleted between"
        " the time the first chunk was returned and now may show up in the list.",
        reason="Expired",
        continue_token=token,
    )


def expired_watch(asked: int, oldest: int) -> ApiError:
    return ApiError(410, f"too old resource version: {asked} ({oldest})", reason="Expired")


def not_ready() -> ApiError:
    """Before the first list of the upstream is in, as kube-apiserver's watch cache answers."""
    return ApiError(429, "storage is (re)initializing", details={}, retry_after=1)


def version_too_large(asked: int, current: int, *, retry: bool = True) -> ApiError:
    """
    :param retry: whether to tell when to come again.
    """
    return ApiError(
        504,
        f"Timeout: Too large resource version: {asked}, current: {current}",
        details={"causes": [{"reason": TOO_LARGE, "message": "Too large resource version"}]},
        retry_after=1 if retry else None,
    )


def future_revision() -> ApiError:
    """What etcd says of an exact version that has not come, which older API servers pass on."""
    return ApiError(500, "etcdserver: mvcc: required revision is a future revision", reason="")
