"""The subsets of an Endpoints object as a set, and back.

A subset stands for the product of its addresses and its ports. The same set can be written in many
ways, and who writes Endpoints may choose any, so two of them are equal when their sets are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import accumulate, pairwise
from typing import Any, NamedTuple, TypeGuard

Json = dict[str, Any]


class Port(NamedTuple):
    name: str
    number: int
    protocol: str
    app_protocol: str


class Address(NamedTuple):
    ip: str
    hostname: str
    ready: bool


#: An address behind a port; the port is None where a subset names no ports at all.
Endpoint = tuple[Address, Port | None]


def flatten(subsets: object) -> frozenset[Endpoint]:
    """The endpoints of ``subsets``; what is malformed is left out."""
    found: set[Endpoint] = set()
    for subset in list_of(subsets):
        if not isinstance(subset, dict):
            continue
        ports: list[Port | None] = [_port(p) for p in list_of(subset.get("ports")) if _is_port(p)]
        for member, ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in list_of(subset.get(member)):
                if isinstance(address, dict) and isinstance(address.get("ip"), str):
                    told = Address(address["ip"], text_of(address.get("hostname")), ready)
                    found.update((told, port) for port in ports or [None])
    return frozenset(found)


def pack(endpoints: Iterable[Endpoint]) -> list[Json]:
    """The fewest subsets that hold the endpoints, in a fixed order."""
    behind: defaultdict[Port | None, set[Address]] = defaultdict(set)
    for address, port in endpoints:
        behind[port].add(address)
    sharing: defaultdict[frozenset[Address], list[Port]] = defaultdict(list)
    for port, addresses in behind.items():
        ports = sharing[frozenset(addresses)] if port is not None else []
        if port is not None:
            ports.append(port)
    packed = [_subset(addresses, sorted(ports)) for addresses, ports in sharing.items()]
    if None in behind:
        packed.append(_subset(behind[None], []))
    return sorted(packed, key=repr)


def truncate(subsets: list[Json], most: int) -> tuple[list[Json], bool]:
    """The subsets with at most this many addresses, and whether some had to go.

    Ready ones stay before others, and each subset keeps its share.
    """
    ready = [len(subset.get("addresses", ())) for subset in subsets]
    unready = [len(subset.get("notReadyAddresses", ())) for subset in subsets]
    if sum(ready) + sum(unready) <= most:
        return subsets, False
    kept = {
        "addresses": _shares(ready, most),
        "notReadyAddresses": _shares(unready, max(0, most - sum(ready))),
    }
    found = []
    for i, subset in enumerate(subsets):
        cut = {member: subset.get(member, [])[: shares[i]] for member, shares in kept.items()}
        cut = {member: addresses for member, addresses in cut.items() if addresses}
        if cut:
            found.append({**cut, **({"ports": subset["ports"]} if "ports" in subset else {})})
    return found, True


def _shares(counts: list[int], most: int) -> list[int]:
    """What each keeps of its count so that all keep ``most``, or all if those are fewer."""
    total = sum(counts)
    if total <= most:
        return counts
    bounds = [before * most // total for before in accumulate(counts, initial=0)]
    return [after - before for before, after in pairwise(bounds)]


def list_of(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str)


def text_of(value: object) -> str:
    return value if isinstance(value, str) else ""


def _is_port(port: object) -> bool:
    return isinstance(port, dict) and isinstance(port.get("port"), int)


def _port(port: Json) -> Port:
    return Port(
        text_of(port.get("name")),
        port["port"],
        text_of(port.get("protocol")) or "TCP",
        text_of(port.get("appProtocol")),
    )


def _subset(addresses: Iterable[Address], ports: list[Port]) -> Json:
    subset: Json = {}
    for member, ready in (("addresses", True), ("notReadyAddresses", False)):
        chosen = sorted(a for a in addresses if a.ready is ready)
        if chosen:
            subset[member] = [
                {"ip": a.ip, "hostname": a.hostname} if a.hostname else {"ip": a.ip} for a in chosen
            ]
    if ports:
        subset["ports"] = [_port_document(port) for port in ports]
    return subset


def _port_document(port: Port) -> Json:
    document: Json = {"name": port.name} if port.name else {}
    document |= {"port": port.number, "protocol": port.protocol}
    if port.app_protocol:
        document["appProtocol"] = port.app_protocol
    return document
