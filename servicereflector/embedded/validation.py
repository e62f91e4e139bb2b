"""Names, and the forms in which the API server keeps what it is given."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Any

from ..kube.names import label_key_errors, label_value_errors, quoted
from ..kube.objects import Json
from ..kube.resources import ENDPOINTS, LEASES, NAMESPACES, SERVICES, Resource
from ..kube.status import ApiError, Cause, bad_request, invalid

_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL_1123.pattern}(\.{_LABEL_1123.pattern})*")

_LINK_LOCAL_MULTICAST = [ipaddress.ip_network(n) for n in ("224.0.0.0/24", "ff02::/16")]

PROTOCOLS = ("TCP", "UDP", "SCTP")


def check_name(resource: Resource, name: str) -> None:
    """
    :raises ApiError: 422, where the resource may not be called so.
    """
    if not name:
        raise invalid(
            resource.kind,
            "",
            (
                "metadata.name",
                "FieldValueRequired",
                "Required value: name or generateName is required",
            ),
        )
    if resource is SERVICES:
        good, rule = _LABEL_1035.fullmatch(name) and len(name) <= 63, "a DNS-1035 label"
    elif resource is NAMESPACES:
        good, rule = _LABEL_1123.fullmatch(name) and len(name) <= 63, "a DNS-1123 label"
    else:
        good, rule = _SUBDOMAIN.fullmatch(name) and len(name) <= 253, "a DNS-1123 subdomain"
    if not good:
        raise invalid(
            resource.kind,
            name,
            ("metadata.name", "FieldValueInvalid", f'Invalid value: "{name}": must be {rule}'),
        )


def normalise(resource: Resource, document: Json, before: Json | None = None) -> None:
    """Bring an object into the form in which the API keeps it.

    :raises ApiError: 400 or 422.
    """
    metadata = document["metadata"]
    for member in ("labels", "annotations"):
        texts = metadata.get(member)
        if texts is None or texts == {}:
            metadata.pop(member, None)
        elif not isinstance(texts, dict) or any(type(v) is not str for v in texts.values()):
            raise bad_request(f"metadata.{member} is no map of strings")
    _check_labels(resource.kind, metadata)
    if resource is NAMESPACES:
        name = metadata["name"]
        metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = name
        document["spec"] = (before or {}).get("spec") or {"finalizers": ["kubernetes"]}
        document["status"] = (before or {}).get("status") or {"phase": "Active"}
    if resource is ENDPOINTS:
        _check_subsets(metadata["name"], document.get("subsets"))
        if not document.get("subsets"):
            document.pop("subsets", None)
    if resource is LEASES:
        _check_lease(metadata["name"], document.setdefault("spec", {}))


def unversioned(resource: Resource, name: str) -> ApiError:
    """The update of something that wants to be told of which version."""
    message = "Invalid value: 0x0: must be specified for an update"
    cause = ("metadata.resourceVersion", "FieldValueInvalid", message)
    return invalid(resource.kind, name, cause, group=resource.group)


def check_ports(field: str, ports: Sequence[Json]) -> Iterator[Cause]:
    """What is wrong with the ports of a Service or of a subset."""
    for i, port in enumerate(ports):
        number = port.get("port")
        if type(number) is not int or not 0 < number < 65536:
            message = f"Invalid value: {number}: must be between 1 and 65535, inclusive"
            yield f"{field}[{i}].port", "FieldValueInvalid", message
        if len(ports) > 1 and not port.get("name"):
            yield f"{field}[{i}].name", "FieldValueRequired", "Required value"
        if port.get("protocol") not in PROTOCOLS:
            yield unsupported(f"{field}[{i}].protocol", port.get("protocol"), PROTOCOLS)


def unsupported(field: str, value: object, supported: Sequence[str]) -> Cause:
    """The cause for a value outside a set."""
    known = ", ".join(f'"{one}"' for one in sorted(supported))
    message = f'Unsupported value: "{value}": supported values: {known}'
    return field, "FieldValueNotSupported", message


def _check_labels(kind: str, metadata: Json) -> None:
    causes: list[Cause] = []
    for key, value in (metadata.get("labels") or {}).items():
        errors = [(key, error) for error in label_key_errors(key)]
        errors += [(value, error) for error in label_value_errors(value)]
        for text, error in errors:
            message = f"Invalid value: {quoted(text)}: {error}"
            causes.append(("metadata.labels", "FieldValueInvalid", message))
    if causes:
        raise invalid(kind, metadata["name"], *causes)


def _check_subsets(name: str, subsets: Any) -> None:
    for i, subset in enumerate(subsets or ()):
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            message = "Required value: must specify `addresses` or `notReadyAddresses`"
            raise invalid("Endpoints", name, (f"subsets[{i}]", "FieldValueRequired", message))
        for member in ("addresses", "notReadyAddresses"):
            for j, address in enumerate(subset.get(member) or ()):
                _check_ip(name, f"subsets[{i}].{member}[{j}].ip", address.get("ip"))
        ports = subset.get("ports") or ()
        for port in ports:
            port.setdefault("protocol", "TCP")
        if causes := list(check_ports(f"subsets[{i}].ports", ports)):
            raise invalid("Endpoints", name, *causes)


def _check_lease(name: str, spec: Json) -> None:
    causes: list[Cause] = []
    for member, least, told in (
        ("leaseDurationSeconds", 1, "must be greater than 0"),
        ("leaseTransitions", 0, "must be greater than or equal to 0"),
    ):
        number = spec.get(member)
        if number is not None and number < least:
            message = f"Invalid value: {number}: {told}"
            causes.append((f"spec.{member}", "FieldValueInvalid", message))
    if causes:
        raise invalid(LEASES.kind, name, *causes, group=LEASES.group)


def _check_ip(name: str, field: str, text: object) -> None:
    try:
        ip = ipaddress.ip_address(str(text))
    except ValueError:
        raise _bad(name, field, f'Invalid value: "{text}": must be a valid IP address') from None
    if inside := special_range(ip):
        raise _bad(name, field, f'Invalid value: "{text}": may not be in the {inside}')


def special_range(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """The range that the address lies in and no endpoint may; ``""`` for others."""
    ranges = {
        "loopback range (127.0.0.0/8, ::1/128)": ip.is_loopback,
        "link-local range (169.254.0.0/16, fe80::/10)": ip.is_link_local,
        "unspecified": ip.is_unspecified,
        "link-local multicast range (224.0.0.0/24, ff02::/10)": any(
            ip in network for network in _LINK_LOCAL_MULTICAST
        ),
    }
    return next((words for words, inside in ranges.items() if inside), "")


def _bad(name: str, field: str, message: str) -> ApiError:
    return invalid("Endpoints", name, (field, "FieldValueInvalid", message))
