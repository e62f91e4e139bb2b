"""Lists: versions, matches, limits, pages, order, size."""

from __future__ import annotations

import base64
import itertools
import json

from .cases import Case, Kind

_VERSIONS = ("", "0", "{floor}", "{created}", "{moved}", "{now}", "{future}", "abc", "-1", "007")
_MATCHES = ("", "Exact", "NotOlderThan", "x")
_LIMITS = ("", "0", "2")


def _table() -> list[Case]:
    """Every resourceVersion with every resourceVersionMatch and every limit."""
    cases = []
    for version, match, limit in itertools.product(_VERSIONS, _MATCHES, _LIMITS):
        if limit == "0" and version in ("abc", "-1", "007", "{future}"):
            continue  # as without
        asked = {"resourceVersion": version, "resourceVersionMatch": match, "limit": limit}
        query = "&".join(f"{name}={value}" for name, value in asked.items() if value)
        # 1.20 iterates over its cache's map for what is served from there.
        cases.append(Case(f"table {query}", query=query, unordered=match != "Exact"))
    return cases


def token(version: int | str, start: str, api: str = "meta.k8s.io/v1") -> str:
    return encoded(json.dumps({"v": api, "rv": version, "start": start}))


def encoded(text: str) -> str:
    """As a continue token is."""
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


_BAD_TOKENS = {
    "no base64": "!!!",
    "padded": base64.urlsafe_b64encode(b'{"v":"meta.k8s.io/v1","rv":-1,"start":"a"}').decode(),
    "other version": token(5, "a\0", "meta.k8s.io/v2"),
    "no start": token(5, ""),
    "version 0": token(0, "a\0"),
    "path upwards": token(-1, "../x\0"),
    "path inside": token(-1, "a/../../x\0"),
    "unclean": token(-1, "a//b\0"),
    "empty object": encoded("{}"),
}

CASES: tuple[Case, ...] = (
    Case("all namespaces", "{all}"),
    Case("order of keys", "{all}", "fieldSelector=metadata.namespace!=default"),
    Case("one namespace"),
    Case("a namespace that is not there", "{group}/namespaces/nowhere/{plural}"),
    Case("one object", "{ns}/cart"),
    Case("one object at 0", "{ns}/cart", "resourceVersion=0"),
    Case("one object at a version", "{ns}/cart", "resourceVersion={created}"),
    Case("one object of the future", "{ns}/cart", "resourceVersion={future}"),
    Case("one object at no version", "{ns}/cart", "resourceVersion=abc"),
    Case("one object ignores watch", "{ns}/cart", "watch=true"),
    Case("one object ignores selectors", "{ns}/cart", "labelSelector=,"),
    *_table(),
    Case("limit of all", query="limit=100"),
    Case("limit negative", query="limit=-1"),
    Case("limit no number", query="limit=abc"),
    Case("limit of too many digits", query="limit=99999999999999999999"),
    Case("limit with a plus", query="limit=+2"),
    Case("limit empty", query="limit="),
    Case("limit of the exact number", "{group}/namespaces/{namespace}-b/{plural}", "limit=1"),
    Case("limit and labels", query="limit=1&labelSelector=tier=web"),
    Case("limit and fields", query="limit=1&fieldSelector=metadata.name!=bare"),
    Case("limit and a name", query="limit=1&fieldSelector=metadata.name=cart"),
    Case("a version twice", query="resourceVersion={created}&resourceVersion=abc&limit=1"),
    Case("timeoutSeconds no number", query="timeoutSeconds=abc"),
    Case("timeoutSeconds negative", query="timeoutSeconds=-1"),
    Case("timeout", query="timeout=5s"),
    Case("timeout no duration", query="timeout=x"),
    Case("watch=0", query="watch=0"),
    Case("watch=FALSE", query="watch=FALSE"),
    Case("unknown parameters", query="includeUninitialized=1&fieldValidation=Strict&x=y"),
    Case("sendInitialEvents", query="sendInitialEvents=true"),
    Case("bookmarks", query="allowWatchBookmarks=true"),
    Case("trailing slash", "{ns}/"),
    Case("gzip of what is small", query="limit=1", headers={"Accept-Encoding": "gzip"}),
    Case("gzip of what is large", "{all}", headers={"Accept-Encoding": "gzip"}, act="grow"),
    Case("gzip among others", "{all}", headers={"Accept-Encoding": "br, gzip, x"}, act="grow"),
    Case("gzip by weight", "{all}", headers={"Accept-Encoding": "gzip;q=1.0"}, act="grow"),
    Case("gzip by star", "{all}", headers={"Accept-Encoding": "*"}, act="grow"),
    Case("no gzip of what is large", "{all}", act="grow"),
    Case("pages", query="limit=2", kind=Kind.PAGES, act="rewrite_all"),
    Case(
        "pages of all",
        "{all}",
        "limit=3&fieldSelector=metadata.namespace!=default",
        kind=Kind.PAGES,
        act="rewrite_all",
    ),
    Case("pages of one label", query="limit=1&labelSelector=tier", kind=Kind.PAGES, act="touch"),
    Case("pages that end empty", query="limit=1&labelSelector=app=cart", kind=Kind.PAGES),
    Case(
        "pages not older",
        query="limit=3&resourceVersion={now}&resourceVersionMatch=NotOlderThan",
        kind=Kind.PAGES,
        act="touch",
    ),
    Case(
        "pages at a version",
        query="limit=3&resourceVersion={created}&resourceVersionMatch=Exact",
        kind=Kind.PAGES,
        act="touch",
    ),
    *(Case(f"token: {name}", query=f"continue={token}") for name, token in _BAD_TOKENS.items()),
    Case("token and version 0", query=f"continue={token(-1, 'cart')}&resourceVersion=0"),
    Case("token and a version", query=f"continue={token(-1, 'cart')}&resourceVersion=5"),
    Case("token and match", query=f"continue={token(-1, 'cart')}&resourceVersionMatch=Exact"),
    Case("token of the newest", query=f"continue={token(-1, 'cart' + chr(0))}&limit=2"),
    Case("token with a slash", query=f"continue={token(-1, '/cart' + chr(0))}&limit=2"),
    Case("token of the end", query=f"continue={token(-1, 'zzz' + chr(0))}&limit=2"),
    Case("token too old", query=f"continue={token(1, 'cart' + chr(0))}&limit=2"),
    Case("token without a limit", query=f"continue={token(-1, 'gate' + chr(0))}"),
    Case("token of the future", query=f"continue={token(9_000_000, 'cart' + chr(0))}"),
)
