"""What the API server does to an EndpointSlice on its way in: completion and checks.

The rules and texts are those of pkg/apis/discovery/validation. A port's number is not checked
there, and an address may stand in a slice twice.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ..kube.names import label_key_errors, label_value_errors, quoted
from ..kube.objects import Json
from ..kube.resources import ENDPOINTSLICES
from ..kube.status import Cause, bad_request, invalid
from .validation import PROTOCOLS, special_range, unsupported

MOST_ENDPOINTS = 1000
MOST_ADDRESSES = 100
MOST_PORTS = 20000
MOST_HINTS = 8

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"

_ADDRESS_TYPES = ("IPv4", "IPv6", "FQDN")
_CONDITIONS = ("ready", "serving", "terminating")
_WORDS = {list: "list", dict: "object", str: "string", bool: "boolean", int: "32 bit integer"}


def admit_slice(document: Json, before: Json | None) -> None:
    """Complete and check an EndpointSlice, and count its generation.

    :param before: the slice that it replaces.
    :raises ApiError: 400 or 422.
    """
    _complete(document)
    kind = document.get("addressType") or ""
    causes = [
        *_address_type(kind),
        *_endpoints(document["endpoints"] or (), kind),
        *_ports(document["ports"] or ()),
    ]
    if before is not None and kind != before["addressType"]:
        causes.append(_bad("addressType", kind, "field is immutable"))
    if causes:
        name = document["metadata"]["name"]
        raise invalid(ENDPOINTSLICES.kind, name, *causes, group=ENDPOINTSLICES.group)
    if before is None:
        document["metadata"]["generation"] = 1
    elif _counted(document) != _counted(before):
        document["metadata"]["generation"] = before["metadata"]["generation"] + 1


def _counted(document: Json) -> list[Any]:
    """What makes a new generation when it changes."""
    members = [document[member] for member in ("addressType", "endpoints", "ports")]
    return [*members, document["metadata"].get("labels")]


def _complete(document: Json) -> None:
    """Into the form in which the API keeps it: both lists are there, null where they are empty;
    an endpoint has conditions, a port its name and protocol."""
    _take(document, "addressType", str, "addressType")
    for member in ("endpoints", "ports"):
        document[member] = _take(document, member, list, member) or None
        for i, item in enumerate(document[member] or ()):
            _check_type(item, dict, f"{member}[{i}]")
    for i, endpoint in enumerate(document["endpoints"] or ()):
        field = f"endpoints[{i}]"
        for address in _take(endpoint, "addresses", list, f"{field}.addresses") or ():
            _check_type(address, str, f"{field}.addresses")
        for member in ("hostname", "nodeName", "zone"):
            _take(endpoint, member, str, f"{field}.{member}")
        _take(endpoint, "targetRef", dict, f"{field}.targetRef")
        endpoint.pop("deprecatedTopology", None)
        hints = _take(endpoint, "hints", dict, f"{field}.hints") or {}
        for member in ("forZones", "forNodes"):
            for hint in _take(hints, member, list, f"{field}.hints.{member}") or ():
                _check_type(hint, dict, f"{field}.hints.{member}")
                _check_type(hint.setdefault("name", ""), str, f"{field}.hints.{member}")
        conditions = _take(endpoint, "conditions", dict, f"{field}.conditions") or {}
        for member in _CONDITIONS:
            _take(conditions, member, bool, f"{field}.conditions.{member}")
        endpoint["conditions"] = conditions
    for i, port in enumerate(document["ports"] or ()):
        for member in ("name", "protocol", "appProtocol"):
            _take(port, member, str, f"ports[{i}].{member}")
        number = _take(port, "port", int, f"ports[{i}].port") or 0
        if not -(2**31) <= number < 2**31:
            raise _malformed(f"ports[{i}].port", int)
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def _take(holder: Json, member: str, kind: type, field: str) -> Any:
    """The member, or None; one that is null is as good as none."""
    value = holder.get(member)
    if value is None:
        holder.pop(member, None)
        return None
    _check_type(value, kind, field)
    return value


def _check_type(value: object, kind: type, field: str) -> None:
    if type(value) is not kind:
        raise _malformed(field, kind)


def _malformed(field: str, kind: type) -> Exception:
    return bad_request(
        'EndpointSlice in version "v1" cannot be handled as a EndpointSlice: '
        f"{field} is no {_WORDS[kind]}"
    )


def _address_type(kind: str) -> Iterator[Cause]:
    if not kind:
        yield "addressType", "FieldValueRequired", "Required value"
    elif kind not in _ADDRESS_TYPES:
        yield unsupported("addressType", kind, _ADDRESS_TYPES)


def _endpoints(endpoints: Sequence[Json], kind: str) -> Iterator[Cause]:
    if len(endpoints) > MOST_ENDPOINTS:
        yield _too_many("endpoints", len(endpoints), MOST_ENDPOINTS)
        return
    for i, endpoint in enumerate(endpoints):
        field = f"endpoints[{i}]"
        addresses = endpoint.get("addresses") or ()
        if not addresses:
            message = "Required value: must contain at least 1 address"
            yield f"{field}.addresses", "FieldValueRequired", message
        elif len(addresses) > MOST_ADDRESSES:
            yield _too_many(f"{field}.addresses", len(addresses), MOST_ADDRESSES)
        for j, address in enumerate(addresses):
            yield from _address(f"{field}.addresses[{j}]", address, kind)
        for error in _subdomain_errors(endpoint.get("nodeName", "a")):
            yield _bad(f"{field}.nodeName", endpoint["nodeName"], error)
        for error in _label_errors(endpoint.get("hostname", "a")):
            yield _bad(f"{field}.hostname", endpoint["hostname"], error)
        yield from _hints(f"{field}.hints", endpoint.get("hints") or {})


def _address(field: str, address: str, kind: str) -> Iterator[Cause]:
    if kind == "FQDN":
        yield from _domain(field, address)
    elif kind in _ADDRESS_TYPES:
        ip = _parsed(address)
        if ip is None or f"IPv{ip.version}" != kind:
            yield _bad(field, address, f"must be a valid {kind} address")
        yield from _endpoint_ip(field, address)


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An IPv4 address in IPv6 form is one of IPv4; one with a zone is none."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return None
    if "%" in address:
        return None
    return (ip.ipv4_mapped or ip) if ip.version == 6 else ip


def _endpoint_ip(field: str, address: str) -> Iterator[Cause]:
    ip = _parsed(address)
    if ip is None:
        yield _bad(field, address, "must be a valid IP address")
    elif ip.is_unspecified:
        yield _bad(field, address, f"may not be unspecified ({address})")
    elif inside := special_range(ip):
        yield _bad(field, address, f"may not be in the {inside}")


def _domain(field: str, name: str) -> Iterator[Cause]:
    bare = name[:-1] if name.endswith(".") else name
    if not name:
        yield field, "FieldValueRequired", "Required value"
    elif errors := _subdomain_errors(bare):
        yield _bad(field, bare, ",".join(errors))
    elif "." not in bare:
        words = "should be a domain with at least two segments separated by dots"
        yield _bad(field, bare, words)
    else:
        for label in bare.split("."):
            if errors := _label_errors(label):
                yield _bad(field, label, ",".join(errors))
                return


def _hints(field: str, hints: Json) -> Iterator[Cause]:
    zones = [hint["name"] for hint in hints.get("forZones") or ()]
    if len(zones) > MOST_HINTS:
        yield _too_many(f"{field}.forZones", len(zones), MOST_HINTS)
        return
    for i, zone in enumerate(zones):
        if zone in zones[:i]:
            yield _duplicate(f"{field}.forZones[{i}].name", zone)
        for error in label_value_errors(zone):
            yield _bad(f"{field}.forZones[{i}].name", zone, error)


def _ports(ports: Sequence[Json]) -> Iterator[Cause]:
    if len(ports) > MOST_PORTS:
        yield _too_many("ports", len(ports), MOST_PORTS)
        return
    names: set[str] = set()
    for i, port in enumerate(ports):
        name = port["name"]
        for error in _label_errors(name or "a"):
            yield _bad(f"ports[{i}].name", name, error)
        if name in names:
            yield _duplicate(f"ports[{i}].name", name)
        names.add(name)
        if port["protocol"] not in PROTOCOLS:
            yield unsupported(f"ports[{i}].protocol", port["protocol"], PROTOCOLS)
        for error in label_key_errors(port.get("appProtocol", "a")):
            yield _bad(f"ports[{i}].appProtocol", port["appProtocol"], error)


def _label_errors(text: str) -> list[str]:
    """Why the text is no RFC 1123 label; nothing where it is one."""
    found = [_too_long(63)] if len(text) > 63 else []
    if not re.fullmatch(_LABEL, text):
        found.append(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or "
            "'-', and must start and end with an alphanumeric character (e.g. 'my-name',  or "
            f"'123-abc', regex used for validation is '{_LABEL}')"
        )
    return found


def _subdomain_errors(text: str) -> list[str]:
    """Why the text is no RFC 1123 subdomain; nothing where it is one."""
    found = [_too_long(253)] if len(text) > 253 else []
    if not re.fullmatch(_SUBDOMAIN, text):
        found.append(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
            "'-' or '.', and must start and end with an alphanumeric character (e.g. "
            f"'example.com', regex used for validation is '{_SUBDOMAIN}')"
        )
    return found


def _too_long(most: int) -> str:
    return f"must be no more than {most} bytes"


def _bad(field: str, value: str, why: str) -> Cause:
    return field, "FieldValueInvalid", f"Invalid value: {quoted(value)}: {why}"


def _too_many(field: str, number: int, most: int) -> Cause:
    message = f"Too many: {number}: must have at most {most} items"
    return field, "FieldValueTooMany", message


def _duplicate(field: str, value: str) -> Cause:
    return field, "FieldValueDuplicate", f'Duplicate value: "{value}"'
