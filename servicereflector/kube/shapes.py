"""What the fields of Services, Endpoints and EndpointSlices have to be like.

As Kubernetes' validation has them, as far as a mirror is made of them; that a field has a value
which this version does not know is no fault.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from .objects import Json
from .resources import ENDPOINTS, ENDPOINTSLICES, SERVICES, Resource
from .slices import FAMILIES, MOST_ENDPOINTS

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

MOST_PORTS = 1000

#: Addresses of one endpoint of a slice.
MOST_ADDRESSES = 100

#: What an object stands for: the sum of its products of addresses and ports. 1.5 MB of JSON have
#: room for products of thousands of millions.
MOST_PAIRS = 100_000

#: Characters of a field that is a name of something.
MOST_TEXT = 320

_BYTE = r"(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_BYTE}(\.{_BYTE}){{3}}")


class BadShape(Exception):
    """A field that is wrong.

    :ivar reason: one of few words, for a metric.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


#: Strings in a list: there are two IP families.
MOST_TEXTS = 2

_TEXTS_OF_A_SPEC = (
    "type",
    "externalName",
    "clusterIP",
    "sessionAffinity",
    "ipFamilyPolicy",
    "trafficDistribution",
)


def check_shape(resource: Resource, document: Json) -> None:
    """
    :raises BadShape: for what a mirror could not be made of.
    """
    check = _CHECKS.get(resource)
    if check is not None:
        check(document)


def _service(document: Json) -> None:
    spec = _object(document.get("spec"), "spec")
    for member in _TEXTS_OF_A_SPEC:
        _text(spec.get(member), f"spec.{member}")
    for member in ("clusterIPs", "ipFamilies"):
        _texts(spec.get(member), f"spec.{member}")
    _object(spec.get("sessionAffinityConfig"), "spec.sessionAffinityConfig")
    for port in _ports(spec.get("ports"), MOST_PORTS):
        target = port.get("targetPort")
        if isinstance(target, str):
            _text(target, "a targetPort")
        elif target:  # 0 is how Go writes that there is none
            _number(target, "a targetPort")
        if port.get("port") is None:
            raise BadShape("ports", "a port has no number")


def _endpoints(document: Json) -> None:
    pairs = 0
    for subset in _objects(document.get("subsets"), "subsets"):
        ports = _ports(subset.get("ports"), MOST_PORTS)
        if any(port.get("port") is None for port in ports):
            raise BadShape("ports", "a port has no number")
        count = 0
        for member in ("addresses", "notReadyAddresses"):
            for address in _objects(subset.get(member), member):
                ip = address.get("ip")
                if not isinstance(ip, str) or not _family(ip):
                    raise BadShape("addresses", f"{told(ip)} is no IP address")
                _text(address.get("hostname"), "a hostname")
                _text(address.get("nodeName"), "a nodeName")
                count += 1
        pairs += count * max(1, len(ports))
    _check_pairs(pairs)


def _slice(document: Json) -> None:
    family = document.get("addressType")
    _text(family, "addressType")
    ports = _ports(document.get("ports"), MOST_PORTS)
    endpoints = _objects(document.get("endpoints"), "endpoints")
    if len(endpoints) > MOST_ENDPOINTS:
        raise BadShape(
            "addresses", f"it has {len(endpoints)} endpoints, more than {MOST_ENDPOINTS}"
        )
    count = 0
    for endpoint in endpoints:
        addresses = endpoint.get("addresses") or []
        if not isinstance(addresses, list):
            raise BadShape("malformed", "addresses is no list")
        if len(addresses) > MOST_ADDRESSES:
            raise BadShape(
                "addresses",
                f"an endpoint has {len(addresses)} addresses, more than {MOST_ADDRESSES}",
            )
        for address in addresses:
            if not isinstance(address, str) or not address:
                raise BadShape("addresses", f"{told(address)} is no address")
            _text(address, "an address")
            if family in FAMILIES and _family(address) != family:
                raise BadShape("addresses", f"{told(address)} is no {family} address")
        count += len(addresses)
        for member in ("hostname", "nodeName", "zone"):
            _text(endpoint.get(member), f"a {member}")
        _object(endpoint.get("conditions"), "conditions")
    _check_pairs(count * max(1, len(ports)))


_CHECKS: dict[Resource, Callable[[Json], None]] = {
    SERVICES: _service,
    ENDPOINTS: _endpoints,
    ENDPOINTSLICES: _slice,
}


def _check_pairs(pairs: int) -> None:
    if pairs > MOST_PAIRS:
        raise BadShape(
            "size", f"it stands for {pairs} addresses with a port, more than {MOST_PAIRS}"
        )


def _object(value: object, what: str) -> Json:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadShape("malformed", f"{what} is no object")
    return value


def _objects(value: object, what: str) -> list[Json]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadShape("malformed", f"{what} is no list")
    for one in value:
        if not isinstance(one, dict):
            raise BadShape("malformed", f"{what} is no list of objects")
    return value


def _text(value: object, what: str) -> None:
    if value is None or value == "":
        return
    if not isinstance(value, str):
        raise BadShape("malformed", f"{what} is no string")
    if len(value) > MOST_TEXT or not value.isprintable():
        raise BadShape("text", f"{what} is no printable text of at most {MOST_TEXT} characters")


def _texts(value: object, what: str) -> None:
    if value is None:
        return
    if not isinstance(value, list) or len(value) > MOST_TEXTS or not all(map(_is_text, value)):
        raise BadShape("malformed", f"{what} is no list of at most {MOST_TEXTS} strings")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MOST_TEXT and value.isprintable()


def _ports(value: object, most: int) -> list[Json]:
    ports = _objects(value, "ports")
    if len(ports) > most:
        raise BadShape("ports", f"it has {len(ports)} ports, more than {most}")
    for port in ports:
        name = port.get("name")
        if name and not (isinstance(name, str) and LABEL.fullmatch(name)):
            raise BadShape("ports", f"{told(name)} is no name of a port")
        if port.get("port") is not None:
            _number(port["port"], "a port")
        _text(port.get("protocol"), "a port's protocol")
        _text(port.get("appProtocol"), "a port's appProtocol")
    return ports


def _number(value: object, what: str) -> None:
    if type(value) is not int or not 1 <= value <= 65535:
        raise BadShape("ports", f"{what} is no number from 1 to 65535")


def _family(address: str) -> str:
    """``IPv4`` or ``IPv6``; ``""`` for what is neither, or has a zone of one machine's links."""
    if _IPV4.fullmatch(address):
        return "IPv4"
    if len(address) > 45 or "%" in address or ":" not in address:
        return ""
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        return ""
    return "IPv6"


def told(value: object) -> str:
    """A value in a message: what is no string may be nested too deep to be printed."""
    return repr(value[:80]) if isinstance(value, str) else "what is no string"
