"""Which options of a list or watch go together (apimachinery internalversion/validation)."""

from __future__ import annotations

from ..kube.names import quoted
from ..kube.status import Cause, invalid

#: The minor version from which sendInitialEvents is known, if not always allowed.
KNOWS_INITIAL_EVENTS = 27


def streams_lists(minor: int) -> bool:
    """Whether the server allows sendInitialEvents (feature WatchList, off in 1.33)."""
    return minor == 32 or minor >= 34


def streams_by_default(
    watch: bool, version: str, match: str, initial_events: bool | None, minor: int
) -> bool:
    """Whether a watch that says nothing of it streams a list first."""
    silent = initial_events is None and not match
    return watch and silent and version in ("", "0") and streams_lists(minor)


def check_options(
    match: str, version: str, token: str, watch: bool, initial_events: bool | None, minor: int
) -> None:
    """
    :param initial_events: None where it was left out.
    :raises ApiError: 422 with everything that does not go together.
    """
    if watch and minor >= KNOWS_INITIAL_EVENTS:
        rules = _rules_of_watches(match, token, initial_events, minor)
    else:
        rules = _rules_of_lists(match, version, token, watch, initial_events)
    causes = [cause for broken, cause in rules if broken]
    if causes:
        raise invalid("ListOptions", "", *causes, group="meta.k8s.io")


#: Whether it is broken, and what is to be said then.
_Rule = tuple[bool, Cause]


def _rules_of_watches(
    match: str, token: str, initial_events: bool | None, minor: int
) -> list[_Rule]:
    told = initial_events is not None
    other = match != "NotOlderThan"
    return [
        (
            told and other,
            _match("sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"),
        ),
        (
            told and not streams_lists(minor),
            _initial("for watch unless the WatchList feature gate is enabled"),
        ),
        (
            bool(match) and not told,
            _match(
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            ),
        ),
        (bool(match) and other, _unsupported(match, '"NotOlderThan"')),
        (
            bool(match and token),
            _match("resourceVersionMatch is forbidden when continue is provided"),
        ),
    ]


def _rules_of_lists(
    match: str, version: str, token: str, watch: bool, initial_events: bool | None
) -> list[_Rule]:
    """``watch``: servers that do not know sendInitialEvents check a watch as a list."""
    if not match:
        return [(initial_events is not None, _initial("for list"))]
    return [
        (watch, _match("resourceVersionMatch is forbidden for watch")),
        (
            not version,
            _match("resourceVersionMatch is forbidden unless resourceVersion is provided"),
        ),
        (bool(token), _match("resourceVersionMatch is forbidden when continue is provided")),
        (
            match not in ("Exact", "NotOlderThan"),
            _unsupported(match, '"Exact", "NotOlderThan", ""'),
        ),
        (
            match == "Exact" and version == "0",
            _match('resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
        ),
        (initial_events is not None, _initial("for list")),
    ]


def _match(why: str) -> Cause:
    return "resourceVersionMatch", "FieldValueForbidden", f"Forbidden: {why}"


def _initial(where: str) -> Cause:
    why = f"Forbidden: sendInitialEvents is forbidden {where}"
    return "sendInitialEvents", "FieldValueForbidden", why


def _unsupported(match: str, supported: str) -> Cause:
    message = f"Unsupported value: {quoted(match)}: supported values: {supported}"
    return "resourceVersionMatch", "FieldValueNotSupported", message
