"""What a request's query string asks for, read and checked as kube-apiserver does.

The rules are those of k8s.io/apimachinery's internalversion validation and defaults, and of the
storage layer's ways to find a version.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..kube.fields import FieldSelector, parse_fields
from ..kube.names import NEWEST, quoted
from ..kube.resources import Resource
from ..kube.selectors import LabelSelector, SelectorError, parse_labels
from ..kube.status import (
    ApiError,
    bad_request,
    future_revision,
    version_too_large,
)
from ..store.views import Filter
from .listoptions import KNOWS_INITIAL_EVENTS, check_options, streams_by_default
from .tokens import read_continue

#: The first value of each parameter, by name.
Parameters = Mapping[str, str]

#: The minor version from which every list is served from the watch cache (feature
#: ListFromCacheSnapshot); before it, etcd answered for exact versions and for pages.
_SNAPSHOTS = 34

#: The minor version from which ``timeout`` is read, and ``export`` refused.
_DEADLINES = 21

#: Seconds for which a watch may be asked to last: a year. A timer takes no more than a number does.
MAX_TIMEOUT = 365 * 86400

#: How much a request's selectors may ask for: more than anybody writes. The API has no such limit.
MAX_REQUIREMENTS, MAX_VALUES = 128, 1024

#: As Go writes one.
_DURATION = re.compile(r"[+-]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)")


@dataclass(frozen=True, slots=True)
class Query:
    """
    :ivar version: the resourceVersion asked for, None if it was left out.
    :ivar match: resourceVersionMatch, ``""``, ``Exact`` or ``NotOlderThan``.
    :ivar limit: 0 for no limit.
    :ivar start: of a continued list: the key from which on it goes on.
    :ivar timeout: timeoutSeconds, None if it was left out or 0.
    :ivar initial_events: sendInitialEvents, None if it was left out.
    """

    filter: Filter
    watch: bool = False
    version: int | None = None
    match: str = ""
    limit: int = 0
    start: str = ""
    timeout: int | None = None
    bookmarks: bool = False
    initial_events: bool | None = None

    def too_early(self, minor: int, asked: int, current: int) -> ApiError:
        """What to say when the version asked for has not come."""
        if minor >= _SNAPSHOTS or self.watch or (self.match != "Exact" and not self.limit):
            return version_too_large(asked, current)
        if self.match == "Exact":
            return future_revision()
        return version_too_large(asked, current, retry=False)


def asks_to_watch(parameters: Parameters) -> bool:
    return _flag(parameters, "watch")


def _flag(parameters: Parameters, name: str) -> bool:
    """Kubernetes takes every value but these for true, even the empty one."""
    return parameters.get(name, "0").lower() not in ("0", "false")


def _integer(parameters: Parameters, name: str) -> int:
    """Go's strconv.ParseInt, with its words."""
    text = parameters.get(name, "0")
    trouble = ""
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        trouble = "invalid syntax"
    elif len(text) > 20 or not -(1 << 63) <= int(text) < 1 << 63:
        trouble = "value out of range"
    if trouble:
        raise bad_request(f"strconv.ParseInt: parsing {quoted(text)}: {trouble}")
    return int(text)


def _version(text: str) -> int | None:
    """
    :raises ValueError: in Go's words.
    """
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,20}", text):
        raise ValueError(
            f"resourceVersion: Invalid value: {quoted(text)}: "
            f"strconv.ParseUint: parsing {quoted(text)}: invalid syntax"
        )
    return int(text)


def parse_query(
    parameters: Parameters,
    resource: Resource,
    namespace: str = "",
    *,
    minor: int = NEWEST,
    legacy_watch: bool = False,
) -> Query:
    """Read the parameters of a list or watch.

    :param namespace: of the path.
    :param minor: 20 for Kubernetes 1.20, whose words and rules are to be followed.
    :param legacy_watch: whether the path says that it is a watch; the options are then checked as
        a list's, because their own ``watch`` is not set (apimachinery internalversion/validation).
    :raises ApiError: 400, 422 or 500 in the words of the API.
    """
    timeout, limit = _integer(parameters, "timeoutSeconds"), _integer(parameters, "limit")
    watch = _flag(parameters, "watch")
    watches = watch or legacy_watch
    match, token = parameters.get("resourceVersionMatch", ""), parameters.get("continue", "")
    version_text = parameters.get("resourceVersion", "")
    initial_events = None
    if "sendInitialEvents" in parameters and minor >= KNOWS_INITIAL_EVENTS:
        initial_events = _flag(parameters, "sendInitialEvents")
    try:
        labels = parse_labels(parameters.get("labelSelector", ""), minor)
        fields = parse_fields(parameters.get("fieldSelector", ""))
        if streams_by_default(watch, version_text, match, initial_events, minor):
            initial_events, match = True, "NotOlderThan"
        check_options(match, version_text, token, watch, initial_events, minor)
        fields.check(resource, minor)
        _check_size(labels, fields)
    except SelectorError as error:
        raise bad_request(str(error)) from None
    query = Query(
        filter=Filter(namespace, labels, fields),
        watch=watches,
        # One object at most is not paged.
        limit=0 if fields.name else max(0, limit),
        timeout=min(timeout, MAX_TIMEOUT) or None,
        bookmarks=_flag(parameters, "allowWatchBookmarks"),
        initial_events=initial_events,
    )
    if watches:
        return _watched(query, version_text, match)
    return _listed(query, version_text, match, token, minor)


def _check_size(labels: LabelSelector, fields: FieldSelector) -> None:
    """
    :raises ApiError: 400 for what would have to be compared with each object for long.
    """
    values = sum(len(requirement.values) for requirement in labels.requirements)
    if len(labels.requirements) + len(fields.terms) > MAX_REQUIREMENTS or values > MAX_VALUES:
        raise bad_request(
            f"the selectors have more than {MAX_REQUIREMENTS} requirements or {MAX_VALUES} values"
        )


def _watched(query: Query, version: str, match: str) -> Query:
    try:
        return replace(query, version=_version(version), match=match)
    except ValueError as error:
        raise _unreadable(error) from None


def _listed(query: Query, version_text: str, match: str, token: str, minor: int) -> Query:
    from_cache = not token and version_text and match != "Exact"
    legacy_exact = from_cache and query.limit and version_text != "0" and not match
    try:
        version = _version(version_text)
    except ValueError as error:
        if minor < _SNAPSHOTS and from_cache and not (query.limit and version_text != "0"):
            raise _unreadable(error) from None
        raise bad_request(f"invalid resource version: {error}") from None
    if token:
        continued_at, start = read_continue(token, query.filter.namespace, minor)
        if version:
            raise bad_request("specifying resource version is not allowed when using continue")
        match = "" if continued_at is None else "Exact"
        return replace(query, version=continued_at, match=match, start=start)
    if legacy_exact:
        match = "Exact"  # the API's legacy meaning of a version beside a limit
    elif version == 0:
        query = replace(query, limit=0)  # served from the cache as it is, in one piece
    return replace(query, version=version, match=match)


def _unreadable(error: ValueError) -> ApiError:
    """The watch cache's refusal: it has no reason, and its code is nobody's choice."""
    return ApiError(500, str(error), reason="")


def check_timeout(parameters: Parameters, minor: int) -> None:
    """Before anything else of a request that is no watch is looked at.

    :raises ApiError: 400 for a ``timeout`` that is no duration as Go writes them.
    """
    text = parameters.get("timeout", "")
    if minor < _DEADLINES or not text or _DURATION.fullmatch(text):
        return
    raise bad_request(
        f"invalid timeout specified in the request URL - time: invalid duration {quoted(text)}"
    )


def parse_get(parameters: Parameters, minor: int) -> int | None:
    """The version that a GET of one object asks for at least.

    :raises ApiError: 400 for what every request refuses, 500 for a bad version, as the API has it.
    """
    if minor >= _DEADLINES and _flag(parameters, "export"):
        raise bad_request("the export parameter, deprecated since v1.14, is no longer supported")
    try:
        return _version(parameters.get("resourceVersion", ""))
    except ValueError as error:
        raise _unreadable(error) from None


def check_path_segment(name: str) -> None:
    """
    :raises ApiError: 400, if no object can have the name.
    """
    trouble = f"may not be '{name}'" if name in (".", "..") else ""
    trouble = "may not contain '%'" if "%" in name else trouble
    if trouble:
        raise bad_request(f"Name parameter invalid: {quoted(name)}: {trouble}")


def named_only(query: Query, name: str) -> Query:
    """The query of a legacy watch of one object.

    :raises ApiError: 400, if the field selector names another one.
    """
    fields = query.filter.fields
    if fields.terms and fields.name != name:
        raise bad_request("fieldSelector metadata.name doesn't match requested name")
    own = FieldSelector(tuple(sorted({*fields.terms, ("metadata.name", True, name)})))
    return replace(query, filter=replace(query.filter, fields=own))
