"""How states look: a kind, which has a colour, and a sign, for whom colours tell nothing."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from ..mirror.states import State
from .markup import tag

GOOD, BUSY, QUIET, WARN, BAD = "good", "busy", "quiet", "warn", "bad"

SIGNS = {GOOD: "✓", BUSY: "…", QUIET: "○", WARN: "!", BAD: "✕"}

#: Of mirrors and of sources; what is not here is quiet.
_KINDS = {
    State.MIRRORED.value: GOOD,
    State.PENDING.value: BUSY,
    State.CONFLICT.value: BAD,
    State.FAILED.value: BAD,
    State.REJECTED.value: BAD,
    State.WITHDRAWN.value: BAD,
    State.HELD.value: WARN,
    State.STALE.value: WARN,
    State.ORPHANED.value: WARN,
    "Synced": GOOD,
    "Connecting": BUSY,
    "Failing": BAD,
    "Removed": BAD,
    "Gone": WARN,
}


def kind_of(state: str) -> str:
    return _KINDS.get(state, QUIET)


def mark(state: str, kind: str = "") -> Element:
    """The state in its colour, behind its sign."""
    kind = kind or kind_of(state)
    sign = tag("span", SIGNS[kind], class_="sign", aria_hidden="true")
    return tag("span", sign, " ", state, class_=f"mark {kind}")
