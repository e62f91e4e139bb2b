"""EndpointSlices as a set, and the way between them and Endpoints.

A slice stands for the product of its endpoints' addresses and its ports, as a subset of Endpoints
does; one Service's endpoints may lie in any number of slices, in any order. So two lists of slices
say the same when their sets are equal.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from .objects import Json, Record, key_of
from .subsets import Address, Endpoint, Port, flatten, is_text, list_of, text_of

#: Label of a slice: the Service that it belongs to.
SERVICE_NAME = "kubernetes.io/service-name"

#: Label of a slice: the program that writes it.
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"

#: The value of MANAGED_BY on the slices of this program.
MANAGER = "service-reflector"

#: Label of Endpoints, ``"true"``: the cluster makes no slices of them by itself.
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"

#: Label of a slice whose Service has no cluster IP.
HEADLESS = "service.kubernetes.io/headless"

#: Annotation of Endpoints that do not hold all addresses.
OVER_CAPACITY = "endpoints.kubernetes.io/over-capacity"

#: The most endpoints that the API takes in one slice, and ports.
MOST_ENDPOINTS = 1000
MOST_PORTS = 100

FAMILIES = ("IPv4", "IPv6")


class Conditions(NamedTuple):
    """What a slice tells of an endpoint; ``ready`` that is not told counts as true."""

    ready: bool
    serving: bool | None
    terminating: bool | None


class SlicePort(NamedTuple):
    """A port of a slice; the number is None where it stands for all ports."""

    name: str
    number: int | None
    protocol: str
    app_protocol: str


#: An address behind a port, with its hostname and zone; the port is None in a slice without ports.
SliceEndpoint = tuple[str, SlicePort | None, Conditions, str, str]


def service_key(record: Record) -> str:
    """``namespace/service`` that the slice's label names, ``""`` where it names none."""
    name = record.labels.get(SERVICE_NAME)
    return key_of(record.namespace, name) if name else ""


@lru_cache(maxsize=1024)  # each plan of a Service asks for the same few
def digest(*texts: str) -> str:
    """Twelve characters of a name that stand for the texts."""
    hashed = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).digest()
    return base64.b32encode(hashed)[:12].decode().lower()


def flatten_slices(slices: Iterable[Json]) -> frozenset[SliceEndpoint]:
    """The endpoints of all ``slices``; what is malformed is left out."""
    return frozenset(endpoint for one in slices for endpoint in _endpoints_of(one))


def _endpoints_of(one: Json) -> Iterator[SliceEndpoint]:
    ports: list[SlicePort | None] = [_port(p) for p in list_of(one.get("ports")) if _is_port(p)]
    for endpoint in list_of(one.get("endpoints")):
        if not isinstance(endpoint, dict):
            continue
        conditions = conditions_of(endpoint)
        hostname, zone = text_of(endpoint.get("hostname")), text_of(endpoint.get("zone"))
        for address in filter(is_text, list_of(endpoint.get("addresses"))):
            for port in ports or [None]:
                yield address, port, conditions, hostname, zone


def conditions_of(endpoint: Json) -> Conditions:
    told = endpoint.get("conditions")
    told = told if isinstance(told, dict) else {}
    serving, terminating = (
        value if isinstance(value := told.get(name), bool) else None
        for name in ("serving", "terminating")
    )
    return Conditions(told.get("ready") is not False, serving, terminating)


def _is_port(port: object) -> bool:
    return isinstance(port, dict) and isinstance(port.get("port"), int | None)


def _port(port: Json) -> SlicePort:
    return SlicePort(
        text_of(port.get("name")),
        port.get("port"),
        text_of(port.get("protocol")) or "TCP",
        text_of(port.get("appProtocol")),
    )


@lru_cache(maxsize=4096)  # as above
def family_of(address: str) -> str:
    """``IPv4`` or ``IPv6``; ``""`` for what is no address."""
    try:
        return f"IPv{ipaddress.ip_address(address).version}"
    except ValueError:
        return ""


def endpoints_of_slices(slices: Iterable[Json], family: str) -> set[Endpoint]:
    """The slices' addresses of one family as Endpoints tell them.

    Endpoints cannot tell a port that stands for all: what is behind it is behind none.
    """
    chosen = (one for one in slices if one.get("addressType") == family)
    return {
        (
            Address(address, hostname, conditions.ready),
            None
            if port is None or port.number is None
            else Port(port.name, port.number, *port[2:]),
        )
        for address, port, conditions, hostname, _ in flatten_slices(chosen)
    }


def slices_of_endpoints(endpoints: Json) -> list[Json]:
    """The slices that would say what the Endpoints say: of one family and one set of ports each.

    Their names stay as long as family and ports do, and an address stays in its slice while others
    come and go.
    """
    behind: defaultdict[Address, set[Port | None]] = defaultdict(set)
    for address, port in flatten(endpoints.get("subsets")):
        behind[address].add(port)
    groups: defaultdict[tuple[str, tuple[Port, ...]], list[Address]] = defaultdict(list)
    for address, ports in behind.items():
        family = family_of(address.ip)
        for layer in _layers(ports) if family else ():
            groups[family, layer].append(address)
    metadata = endpoints["metadata"]
    found = []
    for (family, layer), addresses in sorted(groups.items()):
        stem = f"{metadata['name']}-{digest(family, *map(repr, layer))}"
        for suffix, members in _spread(addresses):
            found.append(
                {
                    "metadata": {"name": stem + suffix, "namespace": metadata["namespace"]},
                    "addressType": family,
                    "endpoints": [_endpoint(address) for address in sorted(members)],
                    "ports": [_port_document(port) for port in layer],
                }
            )
    return found


def _layers(behind: Collection[Port | None]) -> list[tuple[Port, ...]]:
    """The ports in as few tuples as a slice can have: names must differ, and none is one, too."""
    layers: list[dict[str, Port]] = []
    for port in sorted(port for port in behind if port is not None):
        for layer in layers:
            if port.name not in layer and len(layer) < MOST_PORTS:
                layer[port.name] = port
                break
        else:
            layers.append({port.name: port})
    return [*([()] if None in behind else []), *(tuple(layer.values()) for layer in layers)]


def _spread(addresses: list[Address], prefix: str = "") -> Iterator[tuple[str, list[Address]]]:
    """The addresses in parts that fit into a slice, each with its suffix, split by a hash."""
    if len(addresses) <= MOST_ENDPOINTS:
        yield prefix and f"-{prefix}", addresses
        return
    halves: tuple[list[Address], list[Address]] = ([], [])
    for address in addresses:
        hashed = hashlib.sha256("\0".join((prefix, *map(str, address))).encode()).digest()
        halves[hashed[0] & 1].append(address)
    for bit, half in enumerate(halves):
        yield from _spread(half, f"{prefix}{bit}")


def _endpoint(address: Address) -> Json:
    document: Json = {"addresses": [address.ip], "conditions": {"ready": address.ready}}
    if address.hostname:
        document["hostname"] = address.hostname
    return document


def _port_document(port: Port) -> Json:
    document: Json = {"name": port.name, "port": port.number, "protocol": port.protocol}
    if port.app_protocol:
        document["appProtocol"] = port.app_protocol
    return document
