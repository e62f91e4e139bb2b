"""Names, and the forms in which the API server keeps what it is given."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from ..kube.objects import Json
from ..kube.resources import ENDPOINTS, NAMESPACES, SERVICES, Resource
from ..kube.status import ApiError, bad_request, invalid

_LABEL_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(rf"{_LABEL_1123.pattern}(\.{_LABEL_1123.pattern})*")


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
    if resource is NAMESPACES:
        name = metadata["name"]
        metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = name
        document["spec"] = (before or {}).get("spec") or {"finalizers": ["kubernetes"]}
        document["status"] = (before or {}).get("status") or {"phase": "Active"}
    if resource is ENDPOINTS:
        _check_subsets(metadata["name"], document.get("subsets"))
        if not document.get("subsets"):
            document.pop("subsets", None)


def _check_subsets(name: str, subsets: Any) -> None:
    for i, subset in enumerate(subsets or ()):
        for member in ("addresses", "notReadyAddresses"):
            for j, address in enumerate(subset.get(member) or ()):
                _check_ip(name, f"subsets[{i}].{member}[{j}].ip", address.get("ip"))
        for j, port in enumerate(subset.get("ports") or ()):
            port.setdefault("protocol", "TCP")
            number = port.get("port")
            if type(number) is not int or not 0 < number < 65536:
                raise _bad(
                    name,
                    f"subsets[{i}].ports[{j}].port",
                    f"Invalid value: {number}: must be between 1 and 65535, inclusive",
                )


def _check_ip(name: str, field: str, text: object) -> None:
    try:
        ip = ipaddress.ip_address(str(text))
    except ValueError:
        raise _bad(name, field, f'Invalid value: "{text}": must be a valid IP address') from None
    ranges = {
        "loopback range (127.0.0.0/8, ::1/128)": ip.is_loopback,
        "link-local range (169.254.0.0/16, fe80::/10)": ip.is_link_local,
        "unspecified": ip.is_unspecified,
    }
    for words, inside in ranges.items():
        if inside:
            raise _bad(name, field, f'Invalid value: "{text}": may not be in the {words}')


def _bad(name: str, field: str, message: str) -> ApiError:
    return invalid("Endpoints", name, (field, "FieldValueInvalid", message))
