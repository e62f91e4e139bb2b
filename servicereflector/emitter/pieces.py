"""Answers with long lists, encoded item by item.

The pieces together are the bytes of :func:`.negotiation.encode`; each is short work.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

import orjson

from ..kube.objects import Json
from .negotiation import Form, encode
from .yamldump import dump_yaml

#: Bytes that are compressed at a time.
_COMPRESSED = 256 * 1024

#: For zlib: a gzip header and trailer.
_GZIP = 31


def encode_list(document: Json, member: str, items: Iterable[Json], form: Form) -> Iterator[bytes]:
    """
    :param document: the answer as it is where there are no items.
    :param member: the last in it, which holds the items.
    """
    found = iter(items)
    first = next(found, None)
    if first is None:
        yield encode(document, form)
    elif form.serialization == "yaml":
        yield from _yaml(document, member, first, found)
    else:
        yield from _json(document, member, first, found, form)


def _json(
    document: Json, member: str, first: Json, others: Iterator[Json], form: Form
) -> Iterator[bytes]:
    empty = encode({**document, member: []}, form)
    head, end = empty[: empty.rindex(b"]")], empty[empty.rindex(b"]") :]
    yield head + _item(first, form)
    for item in others:
        yield b"," + _item(item, form)
    yield b"\n  " + end if form.pretty else end


def _item(item: Json, form: Form) -> bytes:
    if not form.pretty:
        return orjson.dumps(item)
    # A string of JSON has no newlines.
    indented = orjson.dumps(item, option=orjson.OPT_INDENT_2).replace(b"\n", b"\n    ")
    return b"\n    " + indented


def _yaml(document: Json, member: str, first: Json, others: Iterator[Json]) -> Iterator[bytes]:
    """The members are sorted, and a list's items are not indented."""
    before = {name: value for name, value in document.items() if name < member}
    after = {name: value for name, value in document.items() if name > member}
    yield (dump_yaml(before) if before else b"") + member.encode() + b":\n" + dump_yaml([first])
    for item in others:
        yield dump_yaml([item])
    if after:
        yield dump_yaml(after)


def compress(data: bytes) -> Iterator[bytes]:
    """The data in gzip's format, at the level that kube-apiserver takes."""
    compressor = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    for start in range(0, len(data), _COMPRESSED):
        yield compressor.compress(data[start : start + _COMPRESSED])
    yield compressor.flush()
