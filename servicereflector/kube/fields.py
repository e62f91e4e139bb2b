"""Field selectors, with the grammar and the error texts of Kubernetes.

A term is ``field op value`` with ``=``, ``==`` or ``!=``; in a value ``\\``, ``,`` and ``=`` are
written with a backslash before them (k8s.io/apimachinery fields/selector.go).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .names import NEWEST
from .objects import Record
from .resources import SERVICES, Resource
from .selectors import SelectorError

_TERM = re.compile(r"(?:\\.|[^\\,]|\\$)+", re.DOTALL)
_PIECE = re.compile(r"\\(.?)|(.)", re.DOTALL)

_METADATA = ("metadata.name", "metadata.namespace")
_OF_SERVICES = (*_METADATA, "spec.clusterIP", "spec.type")

#: The minor version from which Services are selected by their spec.
_SERVICE_SPECS = 31


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """Terms ``(field, equal, value)``; all must hold."""

    terms: tuple[tuple[str, bool, str], ...] = ()

    def matches(self, record: Record) -> bool:
        if not self.terms:  # as with labels
            return True
        return all((_value(record, field) == value) == equal for field, equal, value in self.terms)

    @property
    def name(self) -> str:
        """The one name that can match, or ``""``."""
        for field, equal, value in self.terms:
            if field == "metadata.name" and equal:
                return value
        return ""

    def check(self, resource: Resource, minor: int = NEWEST) -> None:
        """
        :param minor: 20 for what Kubernetes 1.20 knows.
        :raises SelectorError: for a field by which the resource cannot be selected.
        """
        of_services = resource is SERVICES and minor >= _SERVICE_SPECS
        known = _OF_SERVICES if of_services else _METADATA
        for field, _, _ in self.terms:
            if field in known:
                continue
            if of_services:
                raise SelectorError(f"field label not supported: {field}")
            raise SelectorError(
                f'"{field}" is not a known field selector: only "metadata.name", '
                '"metadata.namespace"'
            )


def _value(record: Record, field: str) -> object:
    match field:
        case "metadata.name":
            return record.name
        case "metadata.namespace":
            return record.namespace
    spec = record.document().get("spec") or {}
    return spec.get(field.removeprefix("spec."), "")


def parse_fields(text: str) -> FieldSelector:
    """Parse a fieldSelector, whatever fields it names.

    :raises SelectorError: in the words of the API.
    """
    terms: list[tuple[str, bool, str]] = []
    for term in sorted(_TERM.findall(text)):
        found = re.search(r"!=|==|=", term)
        if found is None:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{term}'")
        value = _unescaped(term[found.end() :])
        terms.append((term[: found.start()], found[0] != "!=", value))
    return FieldSelector(tuple(sorted(terms)))


def _unescaped(text: str) -> str:
    found = []
    for escaped, plain in _PIECE.findall(text):
        if plain in ("=", ","):
            raise SelectorError(
                f"invalid field selector: unescaped character in value: {ord(plain)}"
            )
        if not plain and escaped not in ("\\", ",", "="):
            raise SelectorError(f"invalid field selector: invalid escape sequence: \\{escaped}")
        found.append(plain or escaped)
    return "".join(found)
