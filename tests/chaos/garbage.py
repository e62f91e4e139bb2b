"""What a server says that is no Kubernetes API: each an endless or a whole answer to a request."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n"
_JSON = _HEAD % b"application/json"


def _whole(head: bytes, body: bytes) -> Iterator[bytes]:
    yield head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    yield body


def html() -> Iterator[bytes]:
    """A login page, with 200."""
    page = b"<!DOCTYPE html><html><body><form>Please sign in</form></body></html>\n"
    return _whole(_HEAD % b"text/html", page)


def nested() -> Iterator[bytes]:
    """JSON, nested deeper than any parser recurses."""
    return _whole(_JSON, b'{"items":' + b"[" * 200_000 + b"]" * 200_000 + b"}")


def endless_line() -> Iterator[bytes]:
    """The body of a watch that never comes to the end of its first line."""
    block = b"a" * 65536
    yield _JSON + b"Transfer-Encoding: chunked\r\n\r\n"
    yield b'10\r\n{"type":"ADDED",\r\n'
    yield from itertools.repeat(b"%x\r\n%s\r\n" % (len(block), block))


def endless_headers() -> Iterator[bytes]:
    yield _JSON
    for number in itertools.count():
        yield b"X-%d: %s\r\n" % (number, b"a" * 1000)


def endless_status() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 "
    yield from itertools.repeat(b"O" * 1000)


def dripping() -> Iterator[bytes]:
    """A gigabyte is announced, and comes by the byte."""
    yield _JSON + b"Content-Length: 1000000000\r\n\r\n"
    yield from itertools.repeat(b" ")
