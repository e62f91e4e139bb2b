"""Putting a case to both sides."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from .cases import Case, Kind
from .comparing import differences, normalised
from .sides import Answer, Side
from .world import World


def ask(case: Case, world: World) -> tuple[list[Answer], list[Answer]]:
    """What the real server and the Emitter answer to a case."""
    version = world.settle()
    target = world.target(case.path, case.query)
    sides = (world.real, world.emitter)
    with ThreadPoolExecutor(2) as pool:
        if case.kind is Kind.WATCH:
            open_ones = list(pool.map(lambda s: s.send(case.method, target, case.headers), sides))
            world.act(case.act)
            streams = list(pool.map(lambda exchange: exchange.events(case.events), open_ones))
            return [streams[0]], [streams[1]]
        if case.kind is Kind.ONCE and case.act:
            world.act(case.act)
            world.settle()
        first = list(pool.map(lambda side: _once(side, case, target), sides))
        if case.kind is Kind.ONCE:
            world.undo()
            return [first[0]], [first[1]]
        if case.act:
            world.act(case.act)
            world.emitter.await_version(world.all, version + 1)
        pages = list(pool.map(lambda side, page: _follow(side, case, target, page), sides, first))
        world.undo()
        return pages[0], pages[1]


def compare(
    case: Case, answers: tuple[list[Answer], list[Answer]], served: frozenset[str]
) -> list[str]:
    """Where they differ."""
    real, emitter = ([normalised(one, case, served) for one in side] for side in answers)
    if len(real) != len(emitter):
        return [f"{len(real)} pages, {len(emitter)} of the Emitter"]
    found = []
    for page, pair in enumerate(zip(real, emitter, strict=True)):
        found += differences(*pair, f"page {page + 1}" if page else "")
    return found


def _once(side: Side, case: Case, target: str) -> Answer:
    return side.send(case.method, target, case.headers).whole()


def _follow(side: Side, case: Case, target: str, first: Answer) -> list[Answer]:
    pages = [first]
    while token := _token(pages[-1].documents[0]):
        # A continued list may not name a version.
        head, _, query = target.partition("?")
        kept = [one for one in query.split("&") if not one.startswith("resourceVersion")]
        again = f"{head}?{'&'.join([*kept, 'continue=' + quote(token)])}"
        pages.append(_once(side, case, again))
    return pages


def _token(document: Any) -> str:
    metadata = document.get("metadata") if isinstance(document, dict) else None
    return (metadata or {}).get("continue") or ""
