"""What one of the demo's clusters looks like: a line for each Service. Values in, values out."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

from ..kube.objects import Record
from ..kube.subsets import flatten
from ..mirror.states import State, Status
from ..store.versioned import Store

_OWN_API = "default/kubernetes"


@dataclass(frozen=True, slots=True)
class Line:
    """One Service.

    :ivar state: own, mirror, or what has become of the Service that is not mirrored.
    """

    key: str
    state: str
    cluster_ip: str = ""
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """
    :ivar hears: whether the cluster is connected with the other one.
    :ivar more: how many Services have no line.
    """

    name: str
    url: str
    other: str
    hears: bool
    lines: tuple[Line, ...]
    more: int


def lines(
    services: Store,
    endpoints: Store,
    statuses: Mapping[str, Mapping[str, Status]],
    most: int,
) -> tuple[tuple[Line, ...], int]:
    """The first lines by name, and how many there are beside them."""
    keys = {record.key for record in services} | statuses.keys()
    keys.discard(_OWN_API)
    shown = heapq.nsmallest(most, keys)
    drawn = tuple(
        _line(key, services.get(key), endpoints.get(key), statuses.get(key, {})) for key in shown
    )
    return drawn, len(keys) - len(shown)


def _line(
    key: str, service: Record | None, endpoints: Record | None, statuses: Mapping[str, Status]
) -> Line:
    states = {status.state for status in statuses.values()} - {State.MIRRORED}
    told = ", ".join(sorted(state.value.lower() for state in states))
    if service is None:
        return Line(key, told)
    subsets = endpoints.document().get("subsets") if endpoints is not None else None
    return Line(
        key,
        told or ("own" if service.source is None else "mirror"),
        str((service.document().get("spec") or {}).get("clusterIP") or ""),
        tuple(sorted({address.ip for address, _port in flatten(subsets)})),
    )
