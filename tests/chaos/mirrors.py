"""What the mirrors should be and what they are, as values; and how the two differ."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from servicereflector.kube.annotations import PREFIX, REFLECTED, SOURCE

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a Service with its Endpoints has in common with its mirror.

    :ivar source: whose it is; ``""`` for what is no mirror.
    """

    source: str
    ports: str
    labels: str
    addresses: str


def shapes(
    services: Iterable[Json], endpoints: Iterable[Json], source: str = ""
) -> dict[str, Shape]:
    """By ``namespace/name``.

    :param source: what they are to be mirrors of; by default what their annotation says.
    """
    behind = {_key(one): one.get("subsets") or [] for one in endpoints}
    return {
        _key(one): Shape(
            source or one["metadata"].get("annotations", {}).get(SOURCE, ""),
            _text([[p.get("name"), p["port"], p["protocol"]] for p in one["spec"]["ports"]]),
            _text(_copied(one["metadata"].get("labels", {}))),
            _addresses(behind.get(_key(one), [])),
        )
        for one in services
    }


def is_mirror(service: Json) -> bool:
    return service["metadata"].get("labels", {}).get(REFLECTED) == "true"


def differences(wanted: Mapping[str, Shape], found: Mapping[str, Shape]) -> list[str]:
    """One line for each name that is missing, too many, or not what it should be."""
    told = [f"{key} is not mirrored" for key in wanted.keys() - found.keys()]
    told += [f"{key} is mirrored" for key in found.keys() - wanted.keys()]
    told += [
        f"{key} is {found[key]}, not {wanted[key]}"
        for key in wanted.keys() & found.keys()
        if wanted[key] != found[key]
    ]
    return sorted(told)


def _key(document: Json) -> str:
    return f"{document['metadata']['namespace']}/{document['metadata']['name']}"


def _copied(labels: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in labels.items() if not key.startswith(PREFIX)}


def _addresses(subsets: Iterable[Json]) -> str:
    """Their order means nothing."""
    found = [
        [member, address["ip"], sorted(_text(port) for port in subset.get("ports", []))]
        for subset in subsets
        for member in ("addresses", "notReadyAddresses")
        for address in subset.get(member, [])
    ]
    return _text(sorted(found))


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True)
