"""Requests read and answered as kube-apiserver does: headers, parameters, Status bodies."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import orjson
from twisted.web.iweb import IRequest

from ..kube.status import ApiError
from .negotiation import encode, error_form

Json = dict[str, Any]


def respond(
    request: IRequest,
    code: int,
    document: Json | bytes,
    content_type: str = "application/json",
    cache_control: bytes = b"no-cache, private",
) -> bytes:
    """Set the headers of an answer; the result is its body."""
    body = document if isinstance(document, bytes) else orjson.dumps(document) + b"\n"
    request.setResponseCode(code)
    request.setHeader(b"Content-Type", content_type.encode())
    request.setHeader(b"Cache-Control", cache_control)
    request.setHeader(b"Content-Length", b"%d" % len(body))
    audit_id = request.getHeader(b"Audit-Id")
    if audit_id:
        request.setHeader(b"Audit-Id", audit_id)
    return body


def respond_in_text(request: IRequest, code: int) -> None:
    """Set the headers of an answer that is for people, or for a load balancer."""
    request.setResponseCode(code)
    request.setHeader(b"X-Content-Type-Options", b"nosniff")
    request.setHeader(b"Cache-Control", b"no-cache, private")
    request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")


def respond_error(request: IRequest, error: ApiError) -> bytes:
    """Answer with the error's Status body."""
    if error.retry_after is not None:
        request.setHeader(b"Retry-After", b"%d" % error.retry_after)
    form = error_form(
        header_of(request, b"Accept"),
        user_agent=header_of(request, b"User-Agent"),
        parameters=parameters_of(request),
    )
    return respond(request, error.code, encode(error.body(), form), form.content_type)


def parameters_of(request: IRequest) -> dict[str, str]:
    """The query's first value of each parameter; what is no UTF-8 is replaced.

    ``?verbose`` is the same as ``?verbose=``. (``request.args`` lacks it.)
    """
    query = request.uri.partition(b"?")[2].decode("utf-8", "replace")
    return dict(reversed(parse_qsl(query, keep_blank_values=True, errors="replace")))


def header_of(request: IRequest, name: bytes) -> str:
    """``""`` where there is none."""
    return (request.getHeader(name) or b"").decode("latin-1")


def takes_gzip(request: IRequest) -> bool:
    """Only the plain token counts: no q-value, no ``*`` (apiserver responsewriters)."""
    tokens = header_of(request, b"Accept-Encoding").split(",")
    return "gzip" in [token.strip() for token in tokens]
