"""Objects, lists and events in the form that a client asked for.

Plain JSON is made of the objects' own bytes; only a Table or PartialObjectMetadata parses them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from ..kube import printing
from ..kube.lists import encode_list
from ..kube.objects import Json, Record, full_body
from ..kube.resources import Resource
from ..kube.server import ServerInfo
from ..kube.watchevents import EventType, encode_bookmark
from ..store.history import Change
from . import pieces
from .negotiation import Form, encode

#: Where a Table event of a watch tells its columns: in the first of a stream only.
_NO_COLUMNS = b'"columnDefinitions":null'

#: The minor version from which a PartialObjectMetadataList tells how many items remain.
_COUNTS_PARTIALS = 21

#: The minor version from which a missing creationTimestamp is left out.
_OMITS_ZERO = 34


class Encoder:
    """One resource in one form: also the Frames of a view.

    :param now: the time in seconds since the epoch, for ages.
    :param server: the upstream, whose words and columns are used.
    """

    def __init__(
        self,
        resource: Resource,
        form: Form,
        now: Callable[[], float],
        server: ServerInfo,
    ) -> None:
        self._resource = resource
        self._form = form
        self._now = now
        self._minor = server.minor
        self._columns = server.columns.get(resource.plural) or printing.columns_of(resource)

    @property
    def is_plain(self) -> bool:
        return not self._form.transform

    # Lists and single objects

    def of_object(self, record: Record) -> bytes:
        """The body of a GET of one object."""
        if self._form == Form():
            return full_body(self._resource, record) + b"\n"
        return encode(self._shown(record), self._form)

    def of_list(
        self,
        records: Iterable[Record],
        version: int,
        continue_token: str,
        remaining: int | None,
    ) -> Iterator[bytes]:
        """The body of a list, in pieces. All ages in it are told at the moment of the first."""
        form = self._form
        if form == Form():
            yield encode_list(self._resource, records, version, continue_token, remaining)
            return
        metadata: Json = {"resourceVersion": str(version)}
        if continue_token:
            metadata["continue"] = continue_token
            counts = form.transform != "PartialObjectMetadata" or self._minor >= _COUNTS_PARTIALS
            if remaining is not None and counts:
                metadata["remainingItemCount"] = remaining
        documents = (record.document() for record in records)
        if form.transform == "Table":
            now = self._now()
            rows = (self._row(document, now) for document in documents)
            listed = printing.table([], metadata, self._columns, version=form.version)
            yield from pieces.encode_list(listed, "rows", rows, form)
        elif form.transform:
            partial = (printing.partial_object(d, version=form.version) for d in documents)
            listed = printing.partial_list((), metadata, version=form.version)
            yield from pieces.encode_list(listed, "items", partial, form)
        else:
            listed = orjson.loads(encode_list(self._resource, (), version))
            listed["metadata"] = metadata
            yield from pieces.encode_list(listed, "items", documents, form)

    # Frames of a view

    def of_change(self, change: Change, event_type: EventType) -> bytes:
        if self.is_plain:
            return change.encoded(self._resource, event_type)
        return self._event(event_type.value, self._shown(change.carried(event_type), None))

    def of_record(self, record: Record) -> bytes:
        """An ADDED event."""
        if self.is_plain:
            return b'{"type":"ADDED","object":%s}\n' % full_body(self._resource, record)
        return self._event("ADDED", self._shown(record, None))

    def of_bookmark(self, version: int, *, initial_events_end: bool = False) -> bytes:
        """
        :param initial_events_end: say that the current state has been sent.
        """
        plain = encode_bookmark(
            self._resource,
            version,
            initial_events_end=initial_events_end,
            null_timestamp=self._minor < _OMITS_ZERO,
        )
        if self.is_plain:
            return plain
        bookmark = orjson.loads(plain)["object"]
        form = self._form
        if form.transform == "PartialObjectMetadata":
            return self._event("BOOKMARK", printing.partial_object(bookmark, version=form.version))
        row = printing.bookmark_row(
            self._resource, bookmark, include_object=form.include_object, version=form.version
        )
        metadata = {"resourceVersion": str(version)}
        return self._event("BOOKMARK", printing.table([row], metadata, None, version=form.version))

    def first(self, data: bytes) -> bytes:
        """The first events of a stream, which tell the columns of a Table."""
        if self._form.transform != "Table":
            return data
        columns = b'"columnDefinitions":' + orjson.dumps(self._columns)
        return data.replace(_NO_COLUMNS, columns, 1)

    def _shown(self, record: Record, columns: Any = ...) -> Json:
        document = record.document()
        form = self._form
        if form.transform == "Table":
            metadata = {"resourceVersion": str(record.version)}
            told = self._columns if columns is ... else columns
            return printing.table(
                [self._row(document, self._now())], metadata, told, version=form.version
            )
        full = {
            "kind": self._resource.kind,
            "apiVersion": self._resource.api_version,
            **document,
        }
        if form.transform:
            return printing.partial_object(full, version=form.version)
        return full

    def _row(self, document: Json, now: float) -> Json:
        return printing.row(
            self._resource,
            document,
            now,
            include_object=self._form.include_object,
            version=self._form.version,
        )

    @staticmethod
    def _event(kind: str, shown: Json) -> bytes:
        return orjson.dumps({"type": kind, "object": shown}) + b"\n"
