"""The Accept header, read as the two libraries behind kube-apiserver read it.

Quirks included: go-restful compares types letter by letter, goautoneg sorts by an order that is
none, and a parameter that either cannot read is as if it were not there.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

#: A group, version and kind.
Target = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Clause:
    """One of the types of the header.

    :ivar parameters: all but ``q``.
    """

    type: str
    subtype: str
    quality: float = 1.0
    parameters: Mapping[str, str] = field(default_factory=dict)

    def accepts(self, media_type: str) -> bool:
        kind, _, subtype = media_type.partition("/")
        return self.type in (kind, "*") and self.subtype in (subtype, "*")

    def precedes(self, other: Clause) -> bool:
        """Of ``*/*`` and ``a/b;q=0.1`` each precedes the other."""
        return (
            self.quality > other.quality
            or (self.type != "*" and other.type == "*")
            or (self.subtype != "*" and other.subtype == "*")
        )

    @property
    def target(self) -> Target | None:
        """What the answer is to be made into: the parameters ``g``, ``v`` and ``as``."""
        told = self.parameters
        if not told.keys() & {"g", "v", "as"}:
            return None
        return told.get("g", ""), told.get("v", ""), told.get("as", "")


def is_routed(accept: str, served: Collection[str]) -> bool:
    """Whether go-restful lets the request pass: one of the types is served, or is ``*/*``."""
    types = (clause.partition(";")[0].strip(" ") for clause in (accept or "*/*").split(","))
    return any(told == "*/*" or told in served for told in types)


def clauses(accept: str) -> list[Clause]:
    """The clauses as goautoneg sorts them, the best first; what it cannot read is left out."""
    found = [c for text in accept.split(",") if (c := _clause(text.strip(" "))) is not None]
    if len(found) > 12:  # Go's sort is an insertion sort up to twelve; beyond, bound the work
        return sorted(found, key=lambda clause: -clause.quality)
    for end in range(1, len(found)):
        for at in range(end, 0, -1):
            if not found[at].precedes(found[at - 1]):
                break
            found[at - 1], found[at] = found[at], found[at - 1]
    return found


def _clause(text: str) -> Clause | None:
    told, _, rest = text.partition(";")
    kind, _, subtype = told.partition("/")
    kind = kind.strip(" ")
    if not subtype:
        if kind != "*":
            return None
        subtype = "*"
    subtype, _, more = subtype.partition("/")
    if more:
        return None
    quality = 1.0
    parameters = {}
    for parameter in rest.split(";"):
        name, _, value = parameter.partition("=")
        if not value:
            continue
        value, _, more = value.partition("=")
        if more:
            continue
        if name.strip(" ") == "q":
            quality = _quality(value)
        else:
            parameters[name.strip(" ")] = value.strip(" ")
    return Clause(kind, subtype.strip(" "), quality, parameters)


def _quality(text: str) -> float:
    """Nothing is clamped, and what is no number is 0: it only sorts."""
    number = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
    return float(text) if re.fullmatch(number, text) else 0.0
