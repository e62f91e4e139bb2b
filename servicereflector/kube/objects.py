"""Objects as the stores keep them: the upstream's bytes, and the few fields that selection needs.

A parsed object costs some ten times its bytes in memory, and every dict of it slows the garbage
collector; so an object is parsed once on arrival and again only where its content matters.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from ..reasons import Code
from .annotations import ORIGIN, REFLECTED, SOURCE
from .resources import SERVICES, Resource

Json = dict[str, Any]

_NO_LABELS: dict[str, str] = {}


class BadObject(Exception):
    """One object that cannot be used; the message says which and why."""

    told_as = Code.BAD_ANSWER


def key_of(namespace: str, name: str) -> str:
    """etcd's key below the resource's prefix: lists go by it, so ``a-b/x`` precedes ``a/x``."""
    return f"{namespace}/{name}" if namespace else name


def split_key(key: str) -> tuple[str, str]:
    """``(namespace, name)``; the namespace of a cluster-scoped object is empty."""
    namespace, _, name = key.rpartition("/")
    return namespace, name


@dataclass(frozen=True, slots=True)
class Record:
    """One version of one object.

    :ivar key: ``namespace/name``; kept, so that all who go by it have the same string.
    :ivar version: metadata.resourceVersion as a number; 0 where the upstream tells none.
    :ivar source: the source that the object mirrors by its annotations, ``""`` where they name
        none; None where the program did not create the object.
    :ivar origin: the key in that source of what the object mirrors, ``""`` where it is the same.
    :ivar reflected: whether it says by annotation or by label that it is a mirror.
    :ivar body: the JSON object without ``kind`` and ``apiVersion``, as a list holds its items; a
        mirror's also without its managedFields.
    """

    namespace: str
    name: str
    uid: str
    version: int
    body: bytes = field(repr=False)
    labels: dict[str, str] = field(default_factory=dict, repr=False)
    source: str | None = None
    reflected: bool = False
    origin: str = ""
    key: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "key", key_of(self.namespace, self.name))

    def document(self) -> Json:
        """The object, parsed anew: the caller may change it."""
        document: Json = orjson.loads(self.body)
        return document

    def at_version(self, version: int) -> Record:
        """The same content under another resourceVersion."""
        document = self.document()
        document["metadata"]["resourceVersion"] = str(version)
        return replace(self, version=version, body=orjson.dumps(document))


def parse_version(text: object) -> int:
    """A resourceVersion as a number. Kubernetes itself compares them as decimals since 1.35.

    :raises BadObject: for anything but a decimal of at most 20 digits; absent or ``""`` is 0.
    """
    if text is None or text == "":
        return 0
    if not isinstance(text, str):
        raise BadObject("the resourceVersion is no string")
    if not text.isascii() or not text.isdecimal() or len(text) > 20:
        raise BadObject(f"resourceVersion {text[:40]!r} is no decimal number")
    return int(text)


def _text(metadata: Json, field_name: str) -> str:
    value = metadata.get(field_name, "")
    if not isinstance(value, str):
        raise BadObject(f"metadata.{field_name} is no string")
    return value


def _texts(metadata: Json, field_name: str) -> dict[str, str]:
    value = metadata.get(field_name)
    if value is None:
        return _NO_LABELS
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise BadObject(f"metadata.{field_name} is no map of strings")
    return value


def _check_shape(resource: Resource, document: Json) -> None:
    """Refuse what could only be stumbled over later, where it would stand in others' way."""
    spec = document.get("spec")
    if spec is not None and not isinstance(spec, dict):
        raise BadObject(f"the {resource.kind}'s spec is no object")
    ports = spec.get("ports") if spec is not None else None
    if ports is None or resource is not SERVICES:
        return
    if not isinstance(ports, list) or not all(isinstance(port, dict) for port in ports):
        raise BadObject("the Service's spec.ports is no list of objects")


def record_of(resource: Resource, document: object) -> Record:
    """The record of a parsed object, as it stands in a list or in a watch event.

    :raises BadObject: where it has no usable metadata, or another kind or shape.
    """
    if not isinstance(document, dict):
        raise BadObject("the object is no JSON object")
    kind = document.pop("kind", None)
    document.pop("apiVersion", None)
    if kind not in (None, "", resource.kind):
        # What is nested deeply cannot be printed: the recursion would end in another exception.
        told = repr(kind[:60]) if isinstance(kind, str) else "no string"
        raise BadObject(f"kind is {told}, not {resource.kind}")
    metadata = document.get("metadata")
    if not isinstance(metadata, dict):
        raise BadObject("the object has no metadata")
    name, namespace = _text(metadata, "name"), _text(metadata, "namespace")
    if not name or "/" in name or "/" in namespace:
        raise BadObject(f"metadata.name {name[:80]!r} is no name")
    if bool(namespace) != resource.namespaced:
        raise BadObject(f"{resource.kind} {name[:80]!r} has namespace {namespace[:80]!r}")
    _check_shape(resource, document)
    annotations = _texts(metadata, "annotations")
    source = annotations.get(SOURCE, "") if annotations.get(REFLECTED) == "true" else None
    labels = _texts(metadata, "labels")
    if source is not None:
        forget_managers(document)
    try:
        # A copy: orjson's own bytes hold on to a buffer of 4 KB and more, whatever they need.
        body = bytes(memoryview(orjson.dumps(document)))
    except orjson.JSONEncodeError as error:
        raise BadObject(f"{resource.kind} {name[:80]!r} cannot be kept: {error}") from None
    return Record(
        namespace=namespace,
        name=name,
        uid=_text(metadata, "uid"),
        version=parse_version(metadata.get("resourceVersion")),
        body=body,
        labels=labels,
        source=source,
        reflected=source is not None or labels.get(REFLECTED) == "true",
        origin=annotations.get(ORIGIN, "") if source is not None else "",
    )


def forget_managers(document: Json) -> None:
    """Leave out who set which field: half of what an object weighs, and an API server knows it by
    itself. One that gets an update without it keeps what it has; only an empty entry resets that.
    (``fieldmanager`` of apiserver; docs, Server-Side Apply, Clearing managedFields.)

    :param document: with metadata.
    """
    document["metadata"].pop("managedFields", None)


def full_body(resource: Resource, record: Record) -> bytes:
    """The object with ``kind`` and ``apiVersion``, as GET answers it and watch events carry it."""
    return b'{"kind":"%s","apiVersion":"%s",%s' % (
        resource.kind.encode(),
        resource.api_version.encode(),
        record.body[1:],
    )
