"""The tables of the page: sources, and mirrors with their filter and pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from xml.etree.ElementTree import Element

from ..kube.objects import Json
from ..kube.printing import human_duration
from .marks import mark
from .markup import Content, tag
from .plot import seconds_text
from .query import ATTENTION, STATES, Query

#: Mirrors on one page.
ROWS = 200

#: Addresses of a mirror that are shown.
_ADDRESSES = 2


def ago(seconds: float | None) -> str:
    return "never" if seconds is None else f"{human_duration(seconds)} ago"


def sources(told: Sequence[Json]) -> Element:
    if not told:
        return tag("p", "This process follows no source.")
    columns = ("Source", "State", "Last event", "Objects", "Lag", "Mirrors", "Reason", "Location")
    rows = (tag("tr", *_source(source)) for source in told)
    return _table("Sources", columns, rows)


def _source(source: Json) -> Iterator[Element]:
    yield tag("th", _link(source["name"], Query(source=source["name"])), scope="row")
    yield _cell(mark(source["state"]))
    yield _cell(ago(source["heard_seconds_ago"]), class_="nowrap")
    objects = (f"{count:,} {plural}" for plural, count in source["objects"].items())
    yield _cell(*_lines(objects), class_="nowrap")
    lag = seconds_text(source["lag_seconds"]) if source["lag_seconds"] else ""
    waiting = f"{source['waiting']:,} waiting" if source["waiting"] else "none"
    yield _cell(*_lines(filter(None, (lag, waiting))), class_="nowrap")
    counts = source["mirrors"].items()
    links = (
        _link(f"{count:,} {state}", Query(source=source["name"], state=state))
        for state, count in counts
    )
    yield _cell(*_lines(links), class_="nowrap")
    yield _cell(source["reason"], class_="words")
    yield _cell(source["location"], class_="words")


def mirrors(rows: Sequence[Json]) -> Element:
    columns = ("Name", "Source", "State", "Reason", "Owner", "Addresses", "Last change")
    return _table("Mirrors", columns, (tag("tr", *_mirror(row)) for row in rows))


def _mirror(row: Json) -> Iterator[Element]:
    theirs = row["source_key"] if row["source_key"] != row["key"] else ""
    yield tag("th", row["key"], tag("small", f" from {theirs}") if theirs else None, scope="row")
    yield _cell(row["source"])
    yield _cell(mark(row["state"]), class_="nowrap")
    yield _cell(row["reason"], class_="words")
    yield _cell(row["owner"])
    shown = row["addresses"][:_ADDRESSES]
    more = row["address_count"] - len(shown)
    refused = row["refused_addresses"]
    yield _cell(
        ", ".join(shown),
        tag("small", f" and {more:,} more") if more else None,
        tag("small", f" {refused:,} left out") if refused else None,
    )
    changed = row["changed_seconds_ago"]
    yield _cell("" if changed is None else ago(changed), class_="nowrap")


def filter_form(told: Sequence[Json], query: Query) -> Element:
    """
    :param told: the sources.
    """
    states = [("", "any"), (ATTENTION, "needs attention"), *((s, s) for s in STATES)]
    names = [("", "any"), *((source["name"], source["name"]) for source in told)]
    return tag(
        "form",
        tag("label", "Name contains", for_="q"),
        tag("input", id="q", name="q", type="search", value=query.q, autocomplete="off"),
        tag("label", "State", for_="state"),
        _select("state", states, query.state),
        tag("label", "Source", for_="source"),
        _select("source", names, query.source),
        tag("button", "Filter", type="submit"),
        tag("a", "Show all", href="?"),
        id="filter",
        method="get",
        role="search",
        aria_label="Filter the mirrors",
    )


def _select(name: str, options: Iterable[tuple[str, str]], chosen: str) -> Element:
    found = (tag("option", told, value=v, selected=v == chosen) for v, told in options)
    return tag("select", *found, id=name, name=name)


def pages_of(matching: int) -> int:
    return max(1, -(-matching // ROWS))


def pager(matching: int, query: Query) -> Element:
    """How many there are, and the way to the other pages."""
    last = pages_of(matching)
    if last == 1:
        return tag("p", f"{matching:,} mirror{'' if matching == 1 else 's'}")
    first = (query.page - 1) * ROWS + 1
    shown = f"Mirrors {first:,} to {min(matching, query.page * ROWS):,} of {matching:,} "
    ways = (("First", 1), ("Previous", query.page - 1), ("Next", query.page + 1), ("Last", last))
    return tag(
        "nav",
        tag("span", shown),
        *(
            _way(name, page, query) if 1 <= page <= last else tag("span", name)
            for name, page in ways
        ),
        tag("span", f"page {query.page:,} of {last:,}"),
        class_="pager",
        aria_label="Pages of mirrors",
    )


def _way(name: str, page: int, query: Query) -> Element:
    if page == query.page:
        return tag("span", name)
    return tag("a", name, href=query.url(page), id=f"page-{name.lower()}")


def _table(name: str, columns: Sequence[str], rows: Iterable[Element]) -> Element:
    """What is too wide for a screen is scrolled in a region of its own, with the keyboard, too."""
    head = tag("tr", *(tag("th", column, scope="col") for column in columns))
    table = tag(
        "table",
        tag("caption", name, class_="unseen"),
        tag("thead", head),
        tag("tbody", *rows),
    )
    return tag("div", table, class_="wide", tabindex=0, role="region", aria_label=name)


def _cell(*contents: Content, class_: str | None = None) -> Element:
    return tag("td", *contents, class_=class_)


def _lines(contents: Iterable[Content]) -> Iterator[Content]:
    for number, content in enumerate(contents):
        if number:
            yield tag("br")
        yield content


def _link(text: str, query: Query) -> Element:
    return tag("a", text, href=f"{query.url()}#mirrors")
