"""Watch streams: one JSON object and a newline an event, read and written.

A stream comes in pieces of any size and, from a stranger, with anything inside; one line that
cannot be used is told of and skipped, and the stream goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import orjson

from .objects import BadObject, Record, full_body, parse_version, record_of
from .resources import Resource
from .status import ApiError, from_status
from .strangers import Reader


class EventType(str, Enum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class ObjectEvent:
    """An object was added, changed or deleted; a deletion carries its last state."""

    type: EventType
    record: Record


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Everything up to this version has been sent."""

    version: int


@dataclass(frozen=True, slots=True)
class ErrorEvent:
    """The server gives the stream up."""

    error: ApiError


WatchEvent = ObjectEvent | Bookmark | ErrorEvent


def decode_event(
    resource: Resource, line: bytes, read: Reader = record_of, deleted: Reader = record_of
) -> WatchEvent:
    """Read one line of a watch stream.

    :param read: makes a record of an object.
    :param deleted: makes one of an object that was deleted.
    :raises BadObject: where it cannot be used.
    """
    try:
        event = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadObject(f"a line of the watch is no JSON: {error}") from None
    if not isinstance(event, dict):
        raise BadObject("a line of the watch is no event")
    kind, document = event.get("type"), event.get("object")
    if kind == "ERROR":
        return ErrorEvent(from_status(document))
    if kind == "BOOKMARK":
        metadata = document.get("metadata") if isinstance(document, dict) else None
        version = (
            parse_version(metadata.get("resourceVersion")) if isinstance(metadata, dict) else 0
        )
        if not version:
            raise BadObject("a bookmark without a resourceVersion")
        return Bookmark(version)
    if not isinstance(kind, str) or kind not in EventType.__members__:
        told = repr(kind[:40]) if isinstance(kind, str) else "that is no string"
        raise BadObject(f"unknown event type {told}")
    make = deleted if kind == "DELETED" else read
    return ObjectEvent(EventType(kind), make(resource, document))


def encode_event(resource: Resource, event_type: EventType, record: Record) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (
        event_type.value.encode(),
        full_body(resource, record),
    )


#: What a bookmark's empty object holds beside its version, in the words of the Go types.
_BOOKMARK_REST: dict[str, dict[str, Any]] = {
    "EndpointSlice": {"addressType": "", "endpoints": None, "ports": None},
    "Service": {"spec": {}, "status": {"loadBalancer": {}}},
    "Namespace": {"spec": {}, "status": {}},
}


def encode_bookmark(
    resource: Resource,
    version: int,
    *,
    initial_events_end: bool = False,
    null_timestamp: bool = False,
) -> bytes:
    """
    :param initial_events_end: mark the end of a streamed list.
    :param null_timestamp: write the missing creationTimestamp, as servers before 1.34 do.
    """
    metadata: dict[str, Any] = {"resourceVersion": str(version)}
    if null_timestamp:
        metadata["creationTimestamp"] = None
    if initial_events_end:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    document = {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": metadata,
        **_BOOKMARK_REST.get(resource.kind, {}),
    }
    return orjson.dumps({"type": "BOOKMARK", "object": document}) + b"\n"


def encode_error(error: ApiError) -> bytes:
    return orjson.dumps({"type": "ERROR", "object": error.body()}) + b"\n"


class LineSplitter:
    """Cuts a stream into lines of bounded length.

    :param limit: the longest line that is kept, in bytes. A longer one is thrown away up to its
        newline, without being buffered, and counted in ``too_long``.
    """

    def __init__(self, limit: int) -> None:
        self.too_long = 0
        self._limit = limit
        self._held = bytearray()  # not a list of pieces: of tiny ones it would be many times larger
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that ``data`` completes, without their newlines; blank ones are left out."""
        *ends, rest = data.split(b"\n")
        for end in ends:
            line = bytes(self._held + end) if self._held else end
            skip = self._skipping or len(line) > self._limit
            self._held, self._skipping = bytearray(), False
            if skip:
                self.too_long += 1
            elif line.strip():
                yield line
        if rest and not self._skipping:
            if len(self._held) + len(rest) > self._limit:
                self._held, self._skipping = bytearray(), True
            else:
                self._held += rest
