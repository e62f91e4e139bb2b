"""From the flags to what each source may have mirrored.

What is said of one source, by a flag with its name or in its file, is said beside what is said of
all. Of ExternalNames, where there is but one answer, it comes before that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from .mirror.addresses import AddressRules, ordered
from .mirror.admission import Admission

_T = TypeVar("_T")

#: Flags of this kind; each has ``[NAME=]VALUE``.
FLAGS = (
    "allow-cidr",
    "map-cidr",
    "deny-ports",
    "external-names",
    "namespaces",
    "deny-namespaces",
)


class Admissions:
    """
    :ivar names: the sources that a flag names, by the flag.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._given = {
            flag: [(name.rstrip("/"), value) for name, value in options[f"reflector.{flag}"]]
            for flag in FLAGS
        }
        self.names = {flag: {name for name, _ in given} for flag, given in self._given.items()}

    def of(self, source: str, own: Admission) -> Admission:
        """
        :param own: what its file says.
        """

        def told(flag: str) -> Iterator[Any]:
            yield from self._of(flag, source)
            yield from self._of(flag, "")

        external = own.external_names
        for value in self._of("external-names", source) if external is None else ():
            external = value
        return Admission(
            AddressRules(
                (*own.addresses.allowed, *told("allow-cidr")),
                ordered((*own.addresses.rewrites, *told("map-cidr"))),
            ),
            (*own.denied_ports, *told("deny-ports")),
            external,
            (*own.namespaces, *self._of("namespaces", source)),
            (*own.denied_namespaces, *self._of("deny-namespaces", source)),
        )

    def _of(self, flag: str, source: str) -> list[Any]:
        return [value for name, value in self._given[flag] if name == source]


def for_all(given: Iterable[tuple[str, _T]]) -> tuple[_T, ...]:
    """What a flag says of all sources."""
    return tuple(value for name, value in given if not name)
