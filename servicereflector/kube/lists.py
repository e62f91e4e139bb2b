"""List bodies, read and written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import orjson

from .objects import BadObject, Record, parse_version, record_of
from .resources import Resource
from .strangers import Reader

#: Items that are read at a time: a source's are checked, and several milliseconds are long.
PIECE = 100


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a list.

    :ivar version: the list's resourceVersion; 0 where the upstream tells none.
    :ivar continue_token: ``""`` on the last page.
    :ivar bad: why each unusable item was left out.
    """

    records: tuple[Record, ...]
    version: int
    continue_token: str = ""
    bad: tuple[BadObject, ...] = field(default=())


def decode_list(resource: Resource, body: bytes, read: Reader = record_of) -> ListPage:
    """Read a list body; an unusable item is left out and told of in ``bad``.

    :param read: makes a record of an item.
    :raises BadObject: where the body as a whole is no list of the resource.
    """
    return joined(decode_in_pieces(resource, body, read))


def joined(pieces: Iterable[ListPage]) -> ListPage:
    """The page that these are pieces of."""
    whole = list(pieces)
    return replace(
        whole[-1],
        records=tuple(record for piece in whole for record in piece.records),
        bad=tuple(bad for piece in whole for bad in piece.bad),
    )


def decode_in_pieces(
    resource: Resource, body: bytes, read: Reader = record_of
) -> Iterator[ListPage]:
    """The same as :func:`decode_list`, a part of the items each: at least one piece."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadObject(f"the list is no JSON: {error}") from None
    if not isinstance(document, dict) or document.get("kind") != resource.list_kind:
        raise BadObject(f"the answer is no {resource.list_kind}")
    metadata = document.get("metadata") or {}
    items = document.get("items") or []
    if not isinstance(metadata, dict) or not isinstance(items, list):
        raise BadObject(f"the {resource.list_kind} is malformed")
    token = metadata.get("continue") or ""
    if not isinstance(token, str):
        raise BadObject(f"the {resource.list_kind} is malformed")
    version = parse_version(metadata.get("resourceVersion"))
    for start in range(0, max(1, len(items)), PIECE):
        records: list[Record] = []
        bad: list[BadObject] = []
        for item in items[start : start + PIECE]:
            try:
                records.append(read(resource, item))
            except BadObject as error:
                bad.append(error)
        yield ListPage(tuple(records), version, token, tuple(bad))


def encode_list(
    resource: Resource,
    records: Iterable[Record],
    version: int,
    continue_token: str = "",
    remaining: int | None = None,
) -> bytes:
    """A list body out of the records' own bytes: nothing is parsed or encoded again.

    :param remaining: the remainingItemCount, or None to leave it out.
    """
    metadata: dict[str, object] = {"resourceVersion": str(version)}
    if continue_token:
        metadata["continue"] = continue_token
        if remaining is not None:
            metadata["remainingItemCount"] = remaining
    return b'{"kind":"%s","apiVersion":"%s","metadata":%s,"items":[%s]}\n' % (
        resource.list_kind.encode(),
        resource.api_version.encode(),
        orjson.dumps(metadata),
        b",".join(record.body for record in records),
    )
