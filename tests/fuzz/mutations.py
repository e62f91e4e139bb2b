"""Bytes made of good ones."""

from __future__ import annotations

import json
from copy import deepcopy
from random import Random
from typing import Any

#: What parsers trip over.
ODD_BYTES = (
    b"\x00",
    b"\xff",
    b"\xc3\x28",
    b"\xed\xa0\x80",
    b"\n",
    b"\r\n",
    b"\t",
    b" ",
    b"%00",
    b"%",
    b"%2f",
    b"%zz",
    b"{",
    b"}",
    b"[" * 300,
    b'{"a":' * 300,
    b'"',
    b"'",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b",",
    b":",
    b";",
    b"=",
    b"==",
    b"!=",
    b"!",
    b"(",
    b")",
    b" in (",
    b"notin",
    b"<",
    b">",
    b"/",
    b"..",
    b"*",
    b"&a [*a]",
    b"&",
    b"#",
    b"?",
    b"@",
    b"0",
    b"-1",
    b"1e999",
    b"9" * 25,
    b"9" * 5000,
    b"0x",
    b"NaN",
    b"null",
    b"true",
    b"<<: *a",
    b"!!python/object:os.system",
    b"2026-02-30",
    b"sha256:",
    b"http://",
    b"https://[",
    b"https://u:p@",
    b"chunked",
    b"Transfer-Encoding",
    b"Content-Length",
    b"HTTP/1.1",
    b"Bearer ",
    b";as=Table;g=meta.k8s.io;v=v1",
    b";q=",
    "\u202e".encode(),
    "\u0665".encode(),
    b"a" * 3000,
)

ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    1.5,
    1e308,
    2**63,
    10**25,
    "",
    "0",
    "-1",
    "a" * 300,
    "None",
    "..",
    "a/b",
    "\u0000",
    "\u202e",
    "\ud7ff",
    "::ffff:1.2.3.4",
    "1.2.3.4",
    "fe80::1%eth0",
    "256.1.1.1",
    [],
    [[]],
    [None],
    [0],
    [""],
    {},
    {"": None},
    {"a": {"b": []}},
    [{}],
    [{"ip": None}],
    [{"port": "x"}],
    [{"port": 70000}],
)


def mutated(rng: Random, seeds: tuple[bytes, ...], *, as_json: bool) -> bytes:
    """One of the seeds, with a few things wrong."""
    data = rng.choice(seeds)
    if as_json and rng.random() < 0.6:
        document = json.loads(data)
        for _ in range(rng.randint(1, 3)):
            document = _with_odd_value(rng, document)
        data = json.dumps(document).encode()
        if rng.random() < 0.8:
            return data
    for _ in range(rng.randint(1, 4)):
        data = _with_odd_bytes(rng, data, seeds)
    return data


def _with_odd_value(rng: Random, document: Any) -> Any:
    """Replaces, removes or doubles something anywhere."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        children = node.items() if isinstance(node, dict) else enumerate(node)
        for key, child in children:
            places.append((node, key))
            if isinstance(child, (dict, list)):
                walk(child)

    if isinstance(document, (dict, list)):
        walk(document)
    if not places or rng.random() < 0.02:
        return deepcopy(rng.choice(ODD_VALUES))
    node, key = rng.choice(places)
    match rng.randrange(4):
        case 0:
            del node[key]
        case 1 if isinstance(node, list):
            node.extend(deepcopy(node[key]) for _ in range(rng.choice((1, 3, 50))))
        case 1:
            node[rng.choice(("", "a/b", "metadata", "\u202e", "x" * 400))] = deepcopy(node[key])
        case _:
            node[key] = deepcopy(rng.choice(ODD_VALUES))
    return document


def _with_odd_bytes(rng: Random, data: bytes, seeds: tuple[bytes, ...]) -> bytes:
    one, other = sorted((rng.randint(0, len(data)), rng.randint(0, len(data))))
    match rng.randrange(7):
        case 0:
            return data[:one] + rng.choice(ODD_BYTES) + data[one:]
        case 1:
            return data[:one] + rng.choice(ODD_BYTES) + data[other:]
        case 2:
            return data[:one] + data[other:]
        case 3:
            return data[:other] + data[one:]
        case 4:
            return data[:one]
        case 5:
            return data[:one] + rng.choice(seeds)[one:]
    return data[:one] + bytes([rng.randrange(256)]) + data[one + 1 :]
