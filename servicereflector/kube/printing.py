"""Objects as tables and as metadata alone: the forms in which kubectl and some controllers ask.

The cells are those of Kubernetes' printers (pkg/printers/internalversion), which always print wide.
They are text that people read, so an object that no API server would hold gets some cell too.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Sequence
from typing import Any

from .columns import COLUMNS, DEFAULT
from .objects import Json
from .resources import ENDPOINTS, NAMESPACES, SERVICES, Resource

_NONE, _UNKNOWN, _UNSET = "<none>", "<unknown>", "<unset>"

#: How many endpoints or ports a cell shows.
_SHOWN = 3

_SECOND, _MINUTE, _HOUR, _DAY = 1, 60, 3600, 86400
_YEAR = 365 * _DAY

#: Below how many seconds an age is told in which unit, and its rest in which; no unit for no rest.
_AGES = (
    (2 * _MINUTE, (_SECOND, "s"), None),
    (10 * _MINUTE, (_MINUTE, "m"), (_SECOND, "s")),
    (3 * _HOUR, (_MINUTE, "m"), None),
    (8 * _HOUR, (_HOUR, "h"), (_MINUTE, "m")),
    (2 * _DAY, (_HOUR, "h"), None),
    (8 * _DAY, (_DAY, "d"), (_HOUR, "h")),
    (2 * _YEAR, (_DAY, "d"), None),
    (8 * _YEAR, (_YEAR, "y"), (_DAY, "d")),
    (float("inf"), (_YEAR, "y"), None),
)


def columns_of(resource: Resource) -> Sequence[Json]:
    """The built-in columnDefinitions."""
    return COLUMNS.get(resource.kind, DEFAULT)


def table(
    rows: Iterable[Json], metadata: Json, columns: Sequence[Json] | None, *, version: str = "v1"
) -> Json:
    """
    :param metadata: the list's, or of the one object its resourceVersion alone.
    :param columns: None in a watch, but for its first event.
    """
    return {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": list(rows),
    }


def row(
    resource: Resource,
    document: Json,
    now: float,
    *,
    include_object: str = "Metadata",
    version: str = "v1",
) -> Json:
    """
    :param document: the object, with or without its kind and apiVersion.
    :param now: seconds since the epoch.
    :param include_object: ``Metadata``, ``Object`` or ``None``.
    """
    shown: Json | None = None
    if include_object == "Object":
        shown = {"kind": resource.kind, "apiVersion": resource.api_version, **document}
    elif include_object == "Metadata":
        shown = partial_object(document, version=version)
    return {"cells": cells(resource, document, now), "object": shown}


def bookmark_row(
    resource: Resource, bookmark: Json, *, include_object: str = "Metadata", version: str = "v1"
) -> Json:
    """The row of the empty object that a bookmark carries: it has no age."""
    return row(resource, bookmark, 0, include_object=include_object, version=version)


def partial_object(document: Json, *, version: str = "v1") -> Json:
    """The object's PartialObjectMetadata."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": _map(document.get("metadata")),
    }


def partial_list(documents: Iterable[Json], metadata: Json, *, version: str = "v1") -> Json:
    """The PartialObjectMetadataList; without objects its items are null, as the API server's."""
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": metadata,
        "items": [partial_object(document, version=version) for document in documents] or None,
    }


def cells(resource: Resource, document: Json, now: float) -> list[str]:
    """The cells of one object, one for each of the resource's columns.

    :param now: seconds since the epoch.
    """
    metadata = _map(document.get("metadata"))
    name, age = _text(metadata.get("name")), _age(metadata.get("creationTimestamp"), now)
    if resource is SERVICES:
        return [name, *_service(document, age)]
    if resource is ENDPOINTS:
        return [name, _endpoints(document.get("subsets")), age]
    if resource.kind == "EndpointSlice":
        return [name, *_slice(document), age]
    if resource is NAMESPACES:
        return [name, _text(_map(document.get("status")).get("phase")), age]
    return [name, age]


def human_duration(seconds: float) -> str:
    """An age as kubectl tells it, in at most two units: ``5m12s``, ``3d4h``, ``12d``.

    Clocks may differ by a second; what lies further in the future is ``<invalid>``.
    """
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    whole = max(0, whole)
    (length, unit), rest = next((unit, rest) for below, unit, rest in _AGES if whole < below)
    told = f"{whole // length}{unit}"
    if rest is not None and (more := whole % length // rest[0]):
        told += f"{more}{rest[1]}"
    return told


def _age(timestamp: object, now: float) -> str:
    since = _epoch(_text(timestamp))
    return _UNKNOWN if since is None else human_duration(now - since)


def _epoch(timestamp: str) -> int | None:
    """The seconds of a timestamp in UTC, in whole seconds as metadata has it."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", timestamp):
        return None
    try:
        return calendar.timegm(tuple(int(part) for part in re.split(r"\D", timestamp)[:6]))
    except ValueError:
        return None


def _service(document: Json, age: str) -> list[str]:
    spec = _map(document.get("spec"))
    addresses = _texts(spec.get("clusterIPs")) or _texts([spec.get("clusterIP") or None])
    ports = [_service_port(port) for port in _maps(spec.get("ports"))]
    selector = sorted(_map(spec.get("selector")).items())
    return [
        _text(spec.get("type")),
        addresses[0] if addresses else _NONE,
        _external(spec, _map(document.get("status"))),
        ",".join(ports) or _NONE,
        age,
        ",".join(f"{label}={_text(value)}" for label, value in selector) or _NONE,
    ]


def _external(spec: Json, status: Json) -> str:
    own = _texts(spec.get("externalIPs"))
    match spec.get("type"):
        case "ClusterIP" | "NodePort":
            return ",".join(own) or _NONE
        case "LoadBalancer":
            ingress = _maps(_map(status.get("loadBalancer")).get("ingress"))
            told = {_text(i.get("ip")) or _text(i.get("hostname")) for i in ingress}
            return ",".join(sorted(told - {""}) + own) or "<pending>"
        case "ExternalName":
            return _text(spec.get("externalName"))
        case _:
            return _UNKNOWN


def _service_port(port: Json) -> str:
    node_port = _number(port.get("nodePort"))
    numbers = f"{_number(port.get('port'))}:{node_port}" if node_port else _number(port.get("port"))
    return f"{numbers}/{_text(port.get('protocol'))}"


def _endpoints(subsets: object) -> str:
    if not _maps(subsets):
        return _NONE
    shown: list[str] = []
    total = 0
    for subset in _maps(subsets):
        addresses = [_text(address.get("ip")) for address in _maps(subset.get("addresses"))]
        ports = [_number(port.get("port")) for port in _maps(subset.get("ports"))]
        total += len(addresses) * max(1, len(ports))
        targets = [_joined(a, port) for port in ports for a in addresses[:_SHOWN]]
        shown += targets if ports else addresses
    return _shortened(shown[:_SHOWN], total)


def _slice(document: Json) -> list[str]:
    ports = [_slice_port(port) for port in _maps(document.get("ports"))]
    addresses = [
        address
        for endpoint in _maps(document.get("endpoints"))
        for address in _texts(endpoint.get("addresses"))
    ]
    return [
        _text(document.get("addressType")),
        _shortened(ports[:_SHOWN], len(ports)) or _UNSET,
        _shortened(addresses[:_SHOWN], len(addresses)) or _UNSET,
    ]


def _slice_port(port: Json) -> str:
    number, name = port.get("port"), port.get("name")
    return str(number) if isinstance(number, int) else name if isinstance(name, str) else "*"


def _shortened(shown: list[str], total: int) -> str:
    joined = ",".join(shown)
    return f"{joined} + {total - _SHOWN} more..." if total > _SHOWN else joined


def _joined(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _map(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _maps(value: object) -> list[Json]:
    return [item for item in _list(value) if isinstance(item, dict)]


def _texts(value: object) -> list[str]:
    return [item for item in _list(value) if isinstance(item, str)]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
