"""What is asked of the status page: which mirrors, and which part of them. Text in, values out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlencode

from ..kube.text import shown
from ..mirror.states import State, Status

#: Beside the states: all that somebody should look at.
ATTENTION = "attention"

#: Characters of a part of a name: no name is longer.
MOST_TEXT = 253

#: Those that somebody should look at, the most urgent first; then the others.
URGENT = (
    State.CONFLICT,
    State.HELD,
    State.FAILED,
    State.REJECTED,
    State.WITHDRAWN,
    State.STALE,
    State.ORPHANED,
)
_OTHERS = (State.PENDING, State.REFUSED, State.STANDBY, State.MIRRORED)
_RANKS = {state: rank for rank, state in enumerate((*URGENT, None, *_OTHERS))}

STATES = tuple(state.value for state in (*URGENT, *_OTHERS))


class BadQuery(Exception):
    """One line that says what is wrong with it, and what would be right."""


@dataclass(frozen=True, slots=True)
class Query:
    """
    :ivar q: a part of the name, in lower case.
    :ivar state: of the mirror, or ATTENTION; ``""`` for all.
    :ivar source: its name, ``""`` for all.
    :ivar page: which one, from 1.
    :ivar limit: how many mirrors, None for all.
    """

    q: str = ""
    state: str = ""
    source: str = ""
    page: int = 1
    limit: int | None = None

    def takes(self, key: str, source: str, status: Status) -> bool:
        """Whether such a mirror is asked for."""
        if self.state == ATTENTION:
            if not is_urgent(status):
                return False
        elif self.state and status.state.value != self.state:
            return False
        return self.source in ("", source) and self.q in key

    def url(self, page: int = 1) -> str:
        """A page of the same."""
        told = replace(self, page=page)
        given = {name: getattr(told, name) for name in ("q", "state", "source")}
        if page > 1:
            given["page"] = str(page)
        return "?" + urlencode({name: value for name, value in given.items() if value})


def rank(status: Status) -> int:
    """The lower, the sooner somebody should look at it."""
    if status.noteworthy and status.state not in URGENT:
        return _RANKS[None]
    return _RANKS[status.state]


def is_urgent(status: Status) -> bool:
    return rank(status) <= _RANKS[None]


def read_query(text: str, parameters: Collection[str], sources: Collection[str]) -> Query:
    """
    :param text: of a URL, behind the question mark.
    :param parameters: those that are taken.
    :param sources: all that there are.
    :raises BadQuery: for anything else.
    """
    given: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, errors="replace"):
        if name not in parameters:
            raise BadQuery(f"{_quoted(name)} is none of {', '.join(parameters)}")
        if name in given:
            raise BadQuery(f"{name} is given twice")
        given[name] = value.strip()
    q, state, source = (given.get(name, "") for name in ("q", "state", "source"))
    if len(q) > MOST_TEXT:
        raise BadQuery(f"q is longer than {MOST_TEXT} characters")
    _check("state", state, (ATTENTION, *STATES))
    _check("source", source, sources)
    limit = given.get("limit", "")
    return Query(
        q.lower(),
        state,
        source,
        _number("page", given.get("page") or "1", least=1),
        _number("limit", limit, least=0) if limit else None,
    )


def _check(name: str, value: str, valid: Collection[str]) -> None:
    if value and value not in valid:
        told = ", ".join(map(shown, valid)) or "none"
        raise BadQuery(f"{name}: {_quoted(value)} is none of these: {shown(told, 1000)}")


def _number(name: str, text: str, *, least: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= least):
        raise BadQuery(f"{name}: {_quoted(text)} is no whole number from {least} up")
    return int(text)


def _quoted(text: str) -> str:
    return f"'{shown(text, 60)}'"
