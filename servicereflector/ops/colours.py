"""Colours of a log in a terminal: few, and readable on dark and light."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_BOLD, _DIM, _RED, _GREEN, _YELLOW = "1", "2", "31", "32", "33"
_BOLD_RED = f"{_BOLD};{_RED}"


@dataclass(frozen=True, slots=True)
class Style:
    """
    :ivar codes: of ECMA-48's "select graphic rendition", by the part of a line.
    """

    codes: Mapping[str, str] = field(default_factory=dict)

    def apply(self, part: str, text: str) -> str:
        code = self.codes.get(part)
        return text if code is None else f"\x1b[{code}m{text}\x1b[0m"


PLAIN = Style()

COLOURS = Style(
    {
        "time": _DIM,
        "reason": _BOLD,
        "debug": _DIM,
        "info": _GREEN,
        "warn": _YELLOW,
        "error": _RED,
        "critical": _BOLD_RED,
    }
)


def takes_colours(environment: Mapping[str, str]) -> bool:
    """Whether a terminal is to get them: https://no-color.org, and terminals that know none."""
    return not environment.get("NO_COLOR") and environment.get("TERM", "") not in ("", "dumb")
