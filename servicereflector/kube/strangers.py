"""What an object of a source has to be like, so that one bad one stands in no other's way.

A real API server has validated what it serves; whoever answers under a source's URL need not have.
An object that breaks a rule is rejected alone. A deletion needs no more than a name that is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from .names import label_key_errors, label_value_errors
from .objects import BadObject, Json, Record, forget_managers, key_of, record_of
from .resources import ENDPOINTSLICES, SERVICES, Resource
from .shapes import LABEL, BadShape, check_shape, told
from .slices import SERVICE_NAME

#: etcd takes no larger request.
MOST_BYTES = 1536 * 1024

#: Of all keys and values, as Kubernetes counts them.
MOST_ANNOTATION_BYTES = 256 * 1024

MOST_UID = 128

#: Characters of a label's or annotation's key: of a subdomain, a slash and a name.
_MOST_KEY = 253 + 1 + 63
_MOST_VALUE = 63

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")

#: Makes a record of an object as a list or an event brings it.
Reader = Callable[[Resource, object], Record]


class Rejected(BadObject):
    """An object that breaks a rule.

    :ivar reason: one of few words, for a metric.
    :ivar key: ``namespace/name``, or ``""`` where they are none.
    :ivar service: the key of the Service that it belongs to, or is; ``""`` where that is not told.
    """

    def __init__(self, reason: str, message: str, key: str = "", service: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.key = key
        self.service = service


def checked_record(resource: Resource, document: object, namespace: str = "") -> Record:
    """The record of an object of a source, without its managedFields.

    :param namespace: that was asked for, ``""`` for all.
    :raises Rejected: and nothing else.
    """
    key = _checked_key(resource, document, namespace)
    assert isinstance(document, dict)
    service = _service_of(resource, document, key)
    try:
        _check_type(resource, document)
        forget_managers(document)
        record = record_of(resource, document)
        _check(document, record)
        check_shape(resource, document)
    except (Rejected, BadShape) as error:
        raise Rejected(error.reason, f"{key}: {error}", key, service) from None
    except BadObject as error:
        raise Rejected("malformed", f"{key}: {error}", key, service) from None
    return record


def deleted_record(resource: Resource, document: object, namespace: str = "") -> Record:
    """Of an object that is deleted: its name and versions only, whatever else it was.

    :raises Rejected: where these are none.
    """
    key = _checked_key(resource, document, namespace)
    assert isinstance(document, dict)
    metadata = {name: document["metadata"].get(name) for name in ("name", "namespace")}
    metadata["resourceVersion"] = document["metadata"].get("resourceVersion")
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
        raise Rejected("name", f"the name of a {resource.kind} is {told(name)}")
    if not isinstance(namespace, str) or not LABEL.fullmatch(namespace):
        raise Rejected("namespace", f"the namespace of {resource.kind} {name} is {told(namespace)}")
    if only and namespace != only:
        raise Rejected("namespace", f"{namespace}/{name} is not of namespace {only}, as asked for")
    return key_of(namespace, name)


def _is_name(resource: Resource, name: str) -> bool:
    if resource is SERVICES:
        return LABEL.fullmatch(name) is not None
    return len(name) <= 253 and _SUBDOMAIN.fullmatch(name) is not None


def _service_of(resource: Resource, document: Json, key: str) -> str:
    if resource is not ENDPOINTSLICES:
        return key
    labels = document["metadata"].get("labels")
    name = labels.get(SERVICE_NAME) if isinstance(labels, dict) else None
    if not isinstance(name, str) or not LABEL.fullmatch(name):
        return ""
    return key_of(document["metadata"]["namespace"], name)


def _check_type(resource: Resource, document: Json) -> None:
    # The items of a list need not say.
    for member, right in (("apiVersion", resource.api_version), ("kind", resource.kind)):
        value = document.get(member)
        if value is not None and value not in ("", right):
            raise Rejected("type", f"{member} is {told(value)}, not {right}")


def _check(document: Json, record: Record) -> None:
    if len(record.body) > MOST_BYTES:
        raise Rejected("size", f"it has {len(record.body)} bytes, more than {MOST_BYTES}")
    if len(record.uid) > MOST_UID or not record.uid.isprintable():
        raise Rejected("uid", f"the uid is no printable text of at most {MOST_UID} characters")
    for key, value in record.labels.items():
        if len(key) > _MOST_KEY or not _is_label_key(key):
            raise Rejected("labels", f"{told(key)} is no label's key")
        if value and (len(value) > _MOST_VALUE or not _is_label_value(value)):
            raise Rejected("labels", f"{told(value)} is no label's value")
    annotations = document["metadata"].get("annotations") or {}
    size = 0
    for key, value in annotations.items():
        if len(key) > _MOST_KEY or not _is_label_key(key.lower()):
            raise Rejected("annotations", f"{told(key)} is no annotation's key")
        size += len(key) + len(value.encode())
    if size > MOST_ANNOTATION_BYTES:
        raise Rejected(
            "annotations", f"its annotations have {size} bytes, more than {MOST_ANNOTATION_BYTES}"
        )


# The same few come again with every object. What is remembered is short.


@lru_cache(maxsize=2048)
def _is_label_key(key: str) -> bool:
    return not label_key_errors(key)


@lru_cache(maxsize=2048)
def _is_label_value(value: str) -> bool:
    return not label_value_errors(value)
