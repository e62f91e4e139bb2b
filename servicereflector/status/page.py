"""The page: a status document becomes HTML, and nothing is shown that it does not say."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib.resources import files
from xml.etree.ElementTree import Element

from ..kube.objects import Json
from ..kube.printing import human_duration
from ..mirror.states import State
from . import tables
from .drawing import picture
from .marks import BAD, GOOD, WARN, mark
from .markup import Content, raw, tag
from .plot import plot, summary
from .query import ATTENTION, URGENT, Query

_STYLE, _SCRIPT = (
    (files(__package__) / name).read_text("utf-8") for name in ("page.css", "page.js")
)

#: A circle with an arrow: without an icon of its own a browser would ask for one.
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Ccircle cx='8' cy='8' r='7' fill='%232563a8'/%3E"
    "%3Cpath d='M3 8h8M8 4l4 4-4 4' stroke='white' stroke-width='2' fill='none'/%3E%3C/svg%3E"
)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


#: Nothing is loaded from anywhere; the script asks this server alone.
POLICY = "; ".join(
    [
        "default-src 'none'",
        f"style-src {_hash(_STYLE)}",
        f"script-src {_hash(_SCRIPT)}",
        "img-src data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)


def page(told: Json, query: Query) -> Element:
    """
    :param told: the status document, with the mirrors of one page.
    """
    troubles = list(_troubles(told))
    title = f"({len(troubles)}) " if troubles else ""
    return tag(
        "html",
        tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("title", f"{title}Service-Reflector"),
            tag("link", rel="icon", href=_ICON),
            raw("style", _STYLE),
        ),
        tag(
            "body",
            tag("a", "Skip to the mirrors", href="#mirrors", class_="skip"),
            _header(told, len(troubles)),
            tag("main", *_sections(told, query, troubles)),
            _footer(),
            raw("script", _SCRIPT),
        ),
        lang="en",
    )


def _header(told: Json, troubles: int) -> Element:
    things = f"{troubles} thing{' needs' if troubles == 1 else 's need'} attention"
    state = mark(things, BAD) if troubles else mark("All is well", GOOD)
    return tag(
        "header",
        tag("h1", "Service-Reflector"),
        # Told by screen readers when it changes; the script leaves it alone where it does not.
        tag("p", state, id="told", role="status", aria_live="polite", data_live=True),
        tag("p", _of_process(told), id="process", class_="muted", data_live=True),
        tag("p", id="connection", role="alert", class_="mark bad", hidden=True),
    )


def _of_process(told: Json) -> str:
    role, election = "", told["election"]
    if election is not None:
        holder = election["holder"] or "nobody"
        leads = election["role"] == "leader"
        role = "this replica leads; " if leads else f"this replica stands by, {holder} leads; "
    return f"version {told['version']}; {role}as of {told['time']}"


def _sections(told: Json, query: Query, troubles: list[Element]) -> Iterator[Element]:
    if troubles:
        yield _section("attention", "Needs attention", tag("ul", *troubles, class_="troubles"))
    else:
        yield _section("attention", "Needs attention", tag("p", "Nothing."))
    drawn = tag(
        "div", picture(told), class_="drawn", tabindex=0, role="region", aria_label="Picture"
    )
    yield _section("clusters", "Clusters", drawn)
    delays = told["delays"]
    yield _section(
        "delays",
        "Propagation delay",
        tag("p", summary(delays)),
        tag("div", plot(delays), class_="drawn", tabindex=0, role="region", aria_label="Plot"),
        tag("p", "A bar is a minute: its dot is the median, its end the longest.", class_="muted"),
    )
    yield _section("sources", "Sources", tables.sources(told["sources"]))
    yield _section("emitter", "Emitter", _emitter(told["emitter"]))
    yield _mirrors(told, query)


def _section(name: str, heading: str, *contents: Content) -> Element:
    """What changes while one looks on is in an element of its own, for the script."""
    return tag(
        "section",
        tag("h2", heading, id=f"{name}-heading"),
        tag("div", *contents, id=f"{name}-live", data_live=True),
        id=name,
        aria_labelledby=f"{name}-heading",
    )


def _mirrors(told: Json, query: Query) -> Element:
    matching, rows = told["matching"], told["mirrors"]
    nothing = tag("p", "There is none, or none that the filter takes.")
    live = tag(
        "div",
        tables.pager(matching, query),
        tables.mirrors(rows) if rows else nothing,
        id="mirrors-live",
        data_live=True,
    )
    return tag(
        "section",
        tag("h2", "Mirrors", id="mirrors-heading"),
        tables.filter_form(told["sources"], query),
        live,
        id="mirrors",
        tabindex=-1,
        aria_labelledby="mirrors-heading",
    )


def _troubles(told: Json) -> Iterator[Element]:
    """What somebody should look at; conflicts and what is held come first."""
    for state in _OF_NAMES:
        if count := sum(source["mirrors"].get(state, 0) for source in told["sources"]):
            names = _names(count, Query(state=state))
            more = _command("explain NAMESPACE/NAME")
            yield _trouble(mark(state), " ", names, _MEANING[state], "; ", more, " tells more")
    for source in told["sources"]:
        yield from _of_source(source)
    if problem := told["host"]["problem"]:
        yield _trouble(mark("Host", BAD), f" {problem}")
    if count := told["problems"]:
        those = (
            "a file cannot be used as it is" if count == 1 else f"{count:,} files cannot be used"
        )
        yield _trouble(mark("Files", WARN), f" {those}: ", _command("status"), " tells why")
    certificate = (told["emitter"] or {}).get("certificate")
    if certificate and certificate["problem"]:
        told_by = _command("status")
        yield _trouble(mark("Certificate", WARN), " it stays as it was: ", told_by, " tells why")


#: What a name has by itself; the other states come from what its source is.
_OF_NAMES = tuple(s.value for s in (State.CONFLICT, State.FAILED, State.REJECTED))
_OF_SOURCES = tuple(s.value for s in URGENT if s.value not in _OF_NAMES)

_MEANING = {
    State.CONFLICT.value: ": taken by a Service that somebody made here, which is left alone",
    State.FAILED.value: ": could not be written, and will be tried again",
    State.REJECTED.value: ": the host does not take them as they are",
    State.HELD.value: ": a list lacked most of its mirrors, which are not deleted yet",
    State.WITHDRAWN.value: ": the endpoints are taken away until it is heard",
    State.STALE.value: ": the endpoints count as not ready until it is heard",
    State.ORPHANED.value: ": it is not configured, and its mirrors are kept",
}

#: What its operator can do about it.
_REMEDIES = {
    State.HELD.value: ("release", "lets them go"),
    State.ORPHANED.value: ("forget", "deletes them"),
}


def _of_source(source: Json) -> Iterator[Element]:
    name = source["name"]
    if source["state"] in ("Failing", "Stale", "Removed"):
        yield _trouble(mark(source["state"]), f" {name}: {source['reason']}")
    for state in _OF_SOURCES:
        if not (count := source["mirrors"].get(state, 0)):
            continue
        until = source["held_until_seconds"] if state == State.HELD.value else None
        told: list[Content] = [_names(count, Query(state=state, source=name)), _MEANING[state]]
        if until is not None:
            told.append(f" for another {human_duration(until)}")
        if state in _REMEDIES:
            command, does = _REMEDIES[state]
            told += ["; ", _command(f"{command} {name}"), f" {does}"]
        yield _trouble(mark(state), f" {name}, ", *told)


def _trouble(*contents: Content) -> Element:
    return tag("li", *contents)


def _names(count: int, query: Query) -> Element:
    told = f"{count:,} name{'' if count == 1 else 's'}"
    return tag("a", told, href=f"{query.url()}#mirrors")


def _command(arguments: str) -> Element:
    return tag("code", f"service-reflector {arguments}")


def _emitter(told: Json | None) -> Element:
    if told is None:
        return tag("p", "This process runs no Emitter.")
    facts = [
        ("Clients with watches", f"{told['clients']:,}"),
        ("Watches", f"{told['watchers']:,}"),
        ("Sent", bytes_text(told["sent_bytes"])),
        ("Watches ended because nobody read", f"{told['slow']:,}"),
        ("Requests refused", f"{told['refused']:,}"),
    ]
    if certificate := told["certificate"]:
        kind = "self-signed, " if certificate["self_signed"] else ""
        facts.append(("Certificate", f"{kind}until {certificate['expires']}"))
        facts.append(("Fingerprint", certificate["fingerprint"]))
    pairs = (tag("div", tag("dt", name), tag("dd", value)) for name, value in facts)
    return tag("dl", *pairs)


def bytes_text(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} TiB"


def _footer() -> Element:
    return tag(
        "footer",
        tag("a", "status.json", href="status.json"),
        tag("a", "its schema", href="status.schema.json"),
        tag("a", "metrics", href="metrics"),
        tag("a", "readiness", href="readyz?verbose"),
        tag("a", "what needs attention", href=f"{Query(state=ATTENTION).url()}#mirrors"),
    )
