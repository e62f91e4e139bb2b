"""Continue tokens: where the next page of a list begins, and at which version.

A token is JSON in base64 (k8s.io/apiserver storage/continue.go). Clients may not look inside, but
any replica, and the API server itself, can go on where another one stopped.
"""

from __future__ import annotations

import base64
import posixpath
import re

import orjson

from ..kube.names import quoted
from ..kube.status import ApiError, bad_request

_FORM = "meta.k8s.io/v1"

#: The minor version from which an unknown version of the token is told without quotation marks.
_UNQUOTED = 25

#: The minor version from which the keys of pages begin with a slash; all versions read both forms.
#: Which one was the first is not known.
ABSOLUTE = 34


def make_continue(version: int, start: str, namespace: str, *, absolute: bool = False) -> str:
    """The token that goes on from the key ``start`` on.

    :param version: -1 for the newest data.
    :param namespace: of the list; ``""`` for all of them.
    :param absolute: whether the key begins with a slash. The token that replaces one that was too
        old never does.
    """
    within = start.removeprefix(namespace + "/") if namespace else start
    if absolute:
        within = "/" + within
    document = {"v": _FORM, "rv": version, "start": within}
    return base64.urlsafe_b64encode(orjson.dumps(document)).rstrip(b"=").decode()


def read_continue(token: str, namespace: str, minor: int) -> tuple[int | None, str]:
    """``(version, start)`` of a token; the version is None for the newest data.

    :param minor: 20 for the words of Kubernetes 1.20.
    :raises ApiError: 400 for anything but a token.
    """
    try:
        document = orjson.loads(_decoded(token))
    except orjson.JSONDecodeError:
        raise _bad("it is no JSON") from None
    if not isinstance(document, dict):
        raise _bad("it is no JSON object")
    form, version, start = (document.get(name) for name in ("v", "rv", "start"))
    if not isinstance(version or 0, int) or not isinstance(start or "", str):
        raise _bad("its rv is no number, or its start is no string")
    if form != _FORM:
        told = str(form or "")
        told = f" {told}" if minor >= _UNQUOTED else f" {quoted(told)}"
        raise _bad(f"server does not recognize this encoded version{told}")
    if not version:
        raise _bad(f"incorrect encoded start resourceVersion (version {_FORM})")
    if not start:
        raise _bad(f"encoded start key empty (version {_FORM})")
    absolute = "/" + start.removeprefix("/")
    if start.startswith("//") or posixpath.normpath(absolute) != absolute:
        raise _bad(start)
    key = absolute[1:]
    return (None if version < 0 else version), f"{namespace}/{key}" if namespace else key


def _decoded(token: str) -> bytes:
    """Base64 as Go's RawURLEncoding reads it."""
    body = token.replace("\r", "").replace("\n", "")
    stranger = re.search(r"[^A-Za-z0-9_-]", body)
    if stranger is not None or len(body) % 4 == 1:
        at = stranger.start() if stranger else len(body) - 1
        raise _bad(f"illegal base64 data at input byte {at}")
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))


def _bad(why: str) -> ApiError:
    return bad_request(f"invalid continue token: continue key is not valid: {why}")
