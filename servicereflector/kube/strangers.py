"""What an object of a source has to be like, so that one bad one stands in no other's way.

A real API server has validated what it serves; whoever answers under a source's URL need not have.
An object that breaks a rule is rejected alone. The version of it that was good stays in the store,
in lists, too: what became bad was not deleted. A deletion needs no more than a name that is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .names import label_key_errors, label_value_errors
from .objects import BadObject, Json, Record, key_of, record_of
from .resources import SERVICES, Resource

#: etcd takes no larger request.
MOST_BYTES = 1536 * 1024
#: Of all keys and values, as Kubernetes counts them.
MOST_ANNOTATION_BYTES = 256 * 1024
MOST_PORTS = 1000
MOST_DEPTH = 64
MOST_UID = 128

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")

#: Makes a record of an object as a list or an event brings it.
Reader = Callable[[Resource, object], Record]


class Rejected(BadObject):
    """An object that breaks a rule.

    :ivar reason: one of few words, for a metric.
    :ivar key: ``namespace/name``, or ``""`` where they are none.
    """

    def __init__(self, reason: str, message: str, key: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.key = key


def checked_record(resource: Resource, document: object, namespace: str = "") -> Record:
    """The record of an object of a source.

    :raises Rejected: and nothing else.
    """
    key = _checked_key(resource, document, namespace)
    try:
        _check_type(resource, document)
        record = record_of(resource, document)
        assert isinstance(document, dict)
        _check(resource, document, record)
    except Rejected as error:
        raise Rejected(error.reason, f"{key}: {error}", key) from None
    except BadObject as error:
        raise Rejected("malformed", f"{key}: {error}", key) from None
    return record


def deleted_record(resource: Resource, document: object, namespace: str = "") -> Record:
    """Of an object that is deleted: its name and versions only, whatever else it was.

    :raises Rejected: where these are none.
    """
    key = _checked_key(resource, document, namespace)
    assert isinstance(document, dict)
    members = ("name", "namespace", "uid", "resourceVersion")
    metadata = {name: document["metadata"].get(name) or "" for name in members}
    try:
        return record_of(resource, {"metadata": metadata})
    except BadObject as error:
        raise Rejected("malformed", f"{key}: {error}", key) from None


def _checked_key(resource: Resource, document: object, only: str) -> str:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(metadata, dict):
        raise Rejected("malformed", f"a {resource.kind} without metadata")
    name, namespace = metadata.get("name"), metadata.get("namespace")
    if not isinstance(name, str) or not _is_name(resource, name):
        raise Rejected("name", f"a {resource.kind}'s name is none: {_told(name)}")
    if resource.namespaced and (not isinstance(namespace, str) or not _LABEL.fullmatch(namespace)):
        raise Rejected("namespace", f"a {resource.kind}'s namespace is none: {_told(namespace)}")
    if only and namespace != only:
        raise Rejected(
            "namespace", f"a {resource.kind} of namespace {namespace!r}, asked was for {only!r}"
        )
    return key_of(namespace or "", name)


def _is_name(resource: Resource, name: str) -> bool:
    if resource is SERVICES:
        return _LABEL.fullmatch(name) is not None
    return len(name) <= 253 and _SUBDOMAIN.fullmatch(name) is not None


def _told(value: object) -> str:
    return repr(value[:80]) if isinstance(value, str) else "no string"


def _check_type(resource: Resource, document: object) -> None:
    told = document.get("apiVersion") if isinstance(document, dict) else None
    if told not in (None, "", resource.api_version):
        raise Rejected("type", f"apiVersion is {_told(told)}, not {resource.api_version}")
    kind = document.get("kind") if isinstance(document, dict) else None
    if kind not in (None, "", resource.kind):
        raise Rejected("type", f"kind is {_told(kind)}, not {resource.kind}")


def _check(resource: Resource, document: Json, record: Record) -> None:
    if len(record.body) > MOST_BYTES:
        raise Rejected("size", f"it has {len(record.body)} bytes, more than {MOST_BYTES}")
    if _is_deep(record.body, document):
        raise Rejected("depth", f"it is nested more than {MOST_DEPTH} deep")
    if len(record.uid) > MOST_UID or not record.uid.isprintable():
        raise Rejected("uid", f"the uid is no printable text of at most {MOST_UID} characters")
    for key, value in record.labels.items():
        if label_key_errors(key):
            raise Rejected("labels", f"{key[:80]!r} is no label's key")
        if label_value_errors(value):
            raise Rejected("labels", f"{value[:80]!r} is no label's value")
    annotations = document["metadata"].get("annotations") or {}
    size = sum(len(k.encode()) + len(v.encode()) for k, v in annotations.items())
    if size > MOST_ANNOTATION_BYTES:
        raise Rejected(
            "annotations", f"its annotations have {size} bytes, more than {MOST_ANNOTATION_BYTES}"
        )
    for key in annotations:
        if label_key_errors(key.lower()):
            raise Rejected("annotations", f"{key[:80]!r} is no annotation's key")
    if resource is SERVICES:
        _check_ports((document.get("spec") or {}).get("ports") or [])


def _check_ports(ports: list[Json]) -> None:
    if len(ports) > MOST_PORTS:
        raise Rejected("ports", f"it has {len(ports)} ports, more than {MOST_PORTS}")
    for port in ports:
        number, target = port.get("port"), port.get("targetPort")
        if not _is_port(number):
            raise Rejected("ports", "a port's number is none from 1 to 65535")
        if (
            target is not None
            and not isinstance(target, str)
            and not (target == 0 or _is_port(target))
        ):
            raise Rejected("ports", "a targetPort is neither a name nor a number to 65535")
        for member in ("name", "protocol", "appProtocol"):
            if not isinstance(port.get(member) or "", str):
                raise Rejected("ports", f"a port's {member} is no string")


def _is_port(number: object) -> bool:
    return type(number) is int and 1 <= number <= 65535


def _is_deep(body: bytes, document: Json) -> bool:
    if body.count(b"{") + body.count(b"[") <= MOST_DEPTH:
        return False
    level: list[Any] = [document]
    for _ in range(MOST_DEPTH):
        inner = [list(one.values()) if isinstance(one, dict) else one for one in level]
        level = [each for one in inner for each in one if isinstance(each, (dict, list))]
        if not level:
            return False
    return True
