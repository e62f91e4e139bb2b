"""Optional fields of a Service that a host refuses: they are left out, and the rest is mirrored.

A host may be set up otherwise than its version tells: with one IP family, with a feature turned
off, with admission of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import orjson

from ..kube.objects import Json
from ..kube.status import ApiError

#: Fields of the spec without which a mirror is still one.
OPTIONAL = (
    "internalTrafficPolicy",
    "ipFamilies",
    "ipFamilyPolicy",
    "publishNotReadyAddresses",
    "sessionAffinityConfig",
    "trafficDistribution",
)

_PORT_FIELD = re.compile(r"spec\.ports\[(\d+)\]\.appProtocol")

#: Longest reason that is kept, in characters: a server may say anything.
_LONGEST = 200

Refused = Mapping[tuple[str, str], str]


def canonical(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def refused_fields(document: Json, error: ApiError) -> dict[tuple[str, str], str]:
    """The optional fields that a 422 names, with the values that were sent, and why.

    Empty where something else is wrong: without these fields it would be just as wrong.
    """
    found: dict[tuple[str, str], str] = {}
    causes = (error.details or {}).get("causes") if error.code == 422 else None
    for cause in causes if isinstance(causes, list) else ():
        told = cause if isinstance(cause, dict) else {}
        sent = _sent(document.get("spec") or {}, str(told.get("field", "")))
        if sent is None:
            return {}
        found[sent] = " ".join(str(told.get("message", "")).split())[:_LONGEST]
    return found


def _sent(spec: Json, field: str) -> tuple[str, str] | None:
    if port := _PORT_FIELD.fullmatch(field):
        ports, index = spec.get("ports") or (), int(port[1])
        value = ports[index].get("appProtocol") if index < len(ports) else None
        return None if value is None else ("spec.ports.appProtocol", canonical(value))
    for name in OPTIONAL:
        if re.match(rf"spec\.{name}(?![A-Za-z])", field) and name in spec:
            return f"spec.{name}", canonical(spec[name])
    return None


def without_refused(spec: Json, refused: Refused) -> tuple[Json, list[str]]:
    """The spec without what the host refuses, and what that is, in sentences for people."""
    kept, notes = dict(spec), []
    for name in OPTIONAL:
        if name in spec and (f"spec.{name}", canonical(spec[name])) in refused:
            notes.append(_note(f"spec.{name}", canonical(kept.pop(name)), refused))
    if "ports" in spec:
        kept["ports"] = [dict(port) for port in spec["ports"]]
        for value, ports in _app_protocols(kept["ports"]):
            if ("spec.ports.appProtocol", value) in refused:
                notes.append(_note("spec.ports.appProtocol", value, refused))
                for port in ports:
                    del port["appProtocol"]
    return kept, notes


def _app_protocols(ports: list[Json]) -> Iterator[tuple[str, list[Json]]]:
    values = {canonical(port["appProtocol"]) for port in ports if "appProtocol" in port}
    for value in sorted(values):
        yield value, [p for p in ports if canonical(p.get("appProtocol")) == value]


def _note(field: str, value: str, refused: Refused) -> str:
    return f"{field} {value} is left out: {refused[field, value]}"
