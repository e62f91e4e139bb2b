"""Watch streams: events read and written, and streams cut into lines."""

from __future__ import annotations

import sys
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servicereflector.kube.objects import BadObject, Record
from servicereflector.kube.resources import ENDPOINTS, NAMESPACES, SERVICES, Resource
from servicereflector.kube.status import expired_watch
from servicereflector.kube.watchevents import (
    Bookmark,
    ErrorEvent,
    EventType,
    LineSplitter,
    ObjectEvent,
    decode_event,
    encode_bookmark,
    encode_error,
    encode_event,
)
from servicereflector.testing import strategies as kube

NESTED = b"[" * 1010 + b"]" * 1010

event_types = st.sampled_from(EventType)


@given(event_types, kube.records(SERVICES, kube.services()))
def test_an_encoded_event_decodes_to_the_same(event_type: EventType, record: Record) -> None:
    """One line, with a newline at its end only."""
    line = encode_event(SERVICES, event_type, record)
    assert line.index(b"\n") == len(line) - 1
    assert decode_event(SERVICES, line) == ObjectEvent(event_type, record)


@pytest.mark.parametrize("resource", [SERVICES, ENDPOINTS, NAMESPACES])
def test_an_encoded_bookmark_decodes_to_its_version(resource: Resource) -> None:
    """For every resource."""
    assert decode_event(resource, encode_bookmark(resource, 4800)) == Bookmark(4800)


def test_bookmarks_are_kube_apiservers() -> None:
    """Byte for byte."""
    assert encode_bookmark(SERVICES, 4800) == (
        b'{"type":"BOOKMARK","object":{"kind":"Service","apiVersion":"v1",'
        b'"metadata":{"resourceVersion":"4800"},"spec":{},"status":{"loadBalancer":{}}}}\n'
    )
    assert encode_bookmark(ENDPOINTS, 4800) == (
        b'{"type":"BOOKMARK","object":{"kind":"Endpoints","apiVersion":"v1",'
        b'"metadata":{"resourceVersion":"4800"}}}\n'
    )


def test_an_expired_watch_is_told_in_kube_apiservers_words() -> None:
    """Byte for byte."""
    assert encode_error(expired_watch(1, 4711)) == (
        b'{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},'
        b'"status":"Failure","message":"too old resource version: 1 (4711)",'
        b'"reason":"Expired","code":410}}\n'
    )


def test_an_encoded_error_decodes_to_its_status() -> None:
    """Code, reason and message."""
    event = decode_event(SERVICES, encode_error(expired_watch(1, 2)))
    assert isinstance(event, ErrorEvent)
    assert (event.error.code, event.error.reason) == (410, "Expired")
    assert event.error.message == "too old resource version: 1 (2)"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 2000,
        b'{"object":{}}',
        b'{"type":"GONE","object":{}}',
        b'{"type":["ADDED"],"object":{}}',
        b'{"type":%s,"object":{}}' % NESTED,
        b'{"type":"ADDED"}',
        b'{"type":"ADDED","object":{"kind":%s}}' % NESTED,
        b'{"type":"BOOKMARK","object":{"metadata":{}}}',
        b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"x"}}}',
        b'{"type":"BOOKMARK","object":[]}',
    ],
)
def test_a_bad_line_is_refused(line: bytes) -> None:
    """With BadObject, whatever is bad about it."""
    with pytest.raises(BadObject):
        decode_event(SERVICES, line)


@given(
    st.sampled_from(("ADDED", "DELETED", "BOOKMARK", "ERROR", "GONE")) | kube.json_values,
    kube.json_values | st.fixed_dictionaries({"metadata": kube.json_values}),
)
def test_any_json_is_an_event_or_bad(event_type: Any, document: Any) -> None:
    """Never another exception."""
    try:
        decode_event(SERVICES, orjson.dumps({"type": event_type, "object": document}))
    except BadObject:
        return


def test_an_error_of_any_shape_is_an_error() -> None:
    """A server that gives up does not have to do so in good form."""
    event = decode_event(
        SERVICES, b'{"type":"ERROR","object":{"kind":"Status","message":%s}}' % NESTED
    )
    assert isinstance(event, ErrorEvent)
    assert event.error.code == 500


#: Streams in which newlines are frequent and lines of every length near the limit of 4 occur.
pieces = st.lists(st.text("ab\n", max_size=7).map(str.encode), max_size=12)


@given(pieces)
def test_lines_do_not_depend_on_how_the_stream_is_cut(chunks: list[bytes]) -> None:
    """They are those of the whole stream, without blank ones."""
    splitter = LineSplitter(1000)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    assert lines == [line for line in b"".join(chunks).split(b"\n")[:-1] if line]
    assert splitter.too_long == 0


@given(pieces)
def test_overlong_lines_are_counted_and_the_others_kept(chunks: list[bytes]) -> None:
    """Wherever they are cut, and without losing the line that follows."""
    splitter = LineSplitter(4)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    whole = b"".join(chunks).split(b"\n")[:-1]
    assert lines == [line for line in whole if 0 < len(line) <= 4]
    assert splitter.too_long == sum(len(line) > 4 for line in whole)


@pytest.mark.parametrize("size", [1, 2, 999])
def test_an_endless_line_is_not_held(size: int) -> None:
    """However it arrives, no more than the limit is kept of it."""
    splitter = LineSplitter(1000)
    most = 0
    for _ in range(3000):
        assert not list(splitter.feed(b"a" * size))
        most = max(most, held(splitter))
    assert most <= 2 * 1000 + 200
    assert list(splitter.feed(b"\nok\n")) == [b"ok"]
    assert splitter.too_long == 1


def held(splitter: LineSplitter) -> int:
    """The bytes of memory behind everything that the splitter refers to."""
    total = 0
    for value in vars(splitter).values():
        total += sys.getsizeof(value) if isinstance(value, bytearray) else 0
        if isinstance(value, list):
            total += sys.getsizeof(value) + sum(map(sys.getsizeof, value))
    return total
