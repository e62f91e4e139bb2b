"""What a request's query string asks for, read and checked as kube-apiserver does.

The rules are those of k8s.io/apimachinery's internalversion validation and of the storage layer's
continue tokens (apiserver storage/continue.go).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import orjson

from ..kube.selectors import FieldSelector, SelectorError, parse_fields, parse_labels
from ..kube.status import ApiError, bad_request, invalid
from ..store.views import Filter

#: The first value of each parameter, by name.
Parameters = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Query:
    """
    :ivar version: the resourceVersion asked for, None if it was left out.
    :ivar match: resourceVersionMatch, ``""``, ``Exact`` or ``NotOlderThan``.
    :ivar limit: 0 for no limit.
    :ivar after: where a continued list goes on: the key after which it begins.
    :ivar timeout: timeoutSeconds, None if it was left out or 0.
    :ivar initial_events: sendInitialEvents, None if it was left out.
    """

    filter: Filter
    watch: bool = False
    version: int | None = None
    match: str = ""
    limit: int = 0
    after: str = ""
    timeout: int | None = None
    bookmarks: bool = False
    initial_events: bool | None = None


def _flag(parameters: Parameters, name: str) -> bool:
    """Kubernetes takes every value but these for true, even the empty one."""
    return parameters.get(name, "0").lower() not in ("0", "false")


def _integer(parameters: Parameters, name: str) -> int:
    text = parameters.get(name, "")
    if not text:
        return 0
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", text):
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


def _version(parameters: Parameters) -> int | None:
    text = parameters.get("resourceVersion", "")
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,20}", text):
        raise bad_request(
            f'invalid resource version: resourceVersion: Invalid value: "{text}": '
            f'strconv.ParseUint: parsing "{text}": invalid syntax'
        )
    return int(text)


def parse_query(
    parameters: Parameters, namespace: str = "", *, minor: int = 36, legacy_watch: bool = False
) -> Query:
    """Read the parameters of a list or watch.

    :param namespace: of the path.
    :param minor: 20 for Kubernetes 1.20, whose words and rules are to be followed.
    :param legacy_watch: whether the path says that it is a watch; the options are then checked as
        a list's, because their own ``watch`` is not set (apimachinery internalversion/validation).
    :raises ApiError: 400 or 422 in the words of the API.
    """
    try:
        wanted = Filter(
            namespace,
            parse_labels(parameters.get("labelSelector", "")),
            parse_fields(parameters.get("fieldSelector", "")),
        )
    except SelectorError as error:
        raise bad_request(str(error)) from None
    watch = _flag(parameters, "watch") and not legacy_watch
    version, limit = _version(parameters), max(0, _integer(parameters, "limit"))
    match, token = parameters.get("resourceVersionMatch", ""), parameters.get("continue", "")
    timeout = _integer(parameters, "timeoutSeconds")
    initial_events = None
    if "sendInitialEvents" in parameters and streams_lists(minor):
        initial_events = _flag(parameters, "sendInitialEvents")
    _check_match(match, version, token, watch, initial_events)
    if wanted.fields.name:
        limit = 0  # one object at most: the API server does not page it
    after = ""
    if token and not watch:
        if version:
            raise bad_request("specifying resource version is not allowed when using continue")
        version, after = read_continue(token, namespace)
        match = "" if version is None else "Exact"
    elif limit and version and not match:
        match = "Exact"  # the API's legacy meaning of a version beside a limit
    elif version == 0 and not watch:
        limit = 0  # served from the cache as it is, in one piece
    return Query(
        filter=wanted,
        watch=watch or legacy_watch,
        version=version,
        match=match,
        limit=limit,
        after=after,
        timeout=timeout or None,
        bookmarks=_flag(parameters, "allowWatchBookmarks"),
        initial_events=initial_events,
    )


def streams_lists(minor: int) -> bool:
    """Whether the server knows sendInitialEvents (feature WatchList, off in 1.33)."""
    return minor == 32 or minor >= 34


def _check_match(
    match: str, version: int | None, token: str, watch: bool, initial_events: bool | None
) -> None:
    trouble, reason = "", "FieldValueForbidden"
    if initial_events is not None and not watch:
        raise _invalid("sendInitialEvents", "Forbidden: sendInitialEvents is forbidden for list")
    if initial_events is not None:
        if match != "NotOlderThan":
            raise _invalid(
                "resourceVersionMatch",
                "Forbidden: sendInitialEvents requires setting resourceVersionMatch to "
                "NotOlderThan",
            )
        return
    if not match:
        return
    if watch:
        trouble = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
    elif token:
        trouble = "resourceVersionMatch is forbidden when continue is provided"
    elif version is None:
        trouble = "resourceVersionMatch is forbidden unless resourceVersion is provided"
    elif match == "Exact" and version == 0:
        trouble = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
    elif match not in ("Exact", "NotOlderThan"):
        reason = "FieldValueNotSupported"
        supported = 'supported values: "Exact", "NotOlderThan", ""'
        trouble = f'Unsupported value: "{match}": {supported}'
    if trouble:
        message = trouble if reason.endswith("Supported") else f"Forbidden: {trouble}"
        raise _invalid("resourceVersionMatch", message, reason)


def _invalid(field: str, message: str, reason: str = "FieldValueForbidden") -> ApiError:
    return invalid("ListOptions", "", (field, reason, message), group="meta.k8s.io")


def make_continue(version: int, key: str, namespace: str) -> str:
    """The token that goes on behind ``key`` at ``version``."""
    start = key.removeprefix(namespace + "/") if namespace else key
    document = {"v": "meta.k8s.io/v1", "rv": version, "start": start + "\0"}
    return base64.urlsafe_b64encode(orjson.dumps(document)).rstrip(b"=").decode()


def read_continue(token: str, namespace: str) -> tuple[int | None, str]:
    """``(version, key)`` of a token; the version is None for the newest data.

    :raises ApiError: 400 for anything but a token.
    """
    try:
        padded = token + "=" * (-len(token) % 4)
        document = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        version, start = document["rv"], document["start"]
        if document["v"] != "meta.k8s.io/v1" or not isinstance(version, int) or not version:
            raise ValueError("unrecognized version or resourceVersion")
        if not isinstance(start, str) or not start or version < -1:
            raise ValueError("no start")
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise bad_request("invalid continue token: continue key is not valid") from None
    key = start.removeprefix("/").removesuffix("\0")
    if "/../" in f"/{key}/" or "/./" in f"/{key}/":
        raise bad_request("invalid continue token: continue key is not valid")
    return (None if version == -1 else version), f"{namespace}/{key}" if namespace else key


def parse_get(parameters: Parameters) -> int | None:
    """The version that a GET of one object asks for at least.

    :raises ApiError: 400 for what every request refuses, 500 for a bad version, as the API has it.
    """
    text = parameters.get("resourceVersion", "")
    if text and not re.fullmatch(r"[0-9]{1,20}", text):
        raise ApiError(
            500,
            f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": '
            "invalid syntax",
            reason="",
        )
    return int(text) if text else None


def named_only(query: Query, name: str) -> Query:
    """The query of a legacy watch of one object.

    :raises ApiError: 400, if the field selector names another one.
    """
    fields = query.filter.fields
    if fields.name not in ("", name):
        raise bad_request("fieldSelector metadata.name doesn't match requested name")
    own = FieldSelector(tuple(sorted({*fields.terms, ("metadata.name", True, name)})))
    return replace(query, filter=replace(query.filter, fields=own))
