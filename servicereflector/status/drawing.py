"""The clusters as a picture: this one, its sources with the state of each link, its clients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from ..kube.objects import Json
from ..kube.printing import human_duration
from ..mirror.states import State
from .marks import SIGNS, WARN, kind_of
from .markup import tag

#: Sources that are drawn, those in trouble before others.
MOST = 12

_WIDTH, _ROW, _BOX = 600, 64, 48
_SOURCE, _HERE, _CLIENTS = (2, 190), (332, 112), (494, 104)  # x and width of the columns

#: Characters that a box has room for.
_ROOM = 21

#: States of names that have a mirror of the source here.
_KEPT = tuple(
    s.value for s in (State.MIRRORED, State.HELD, State.STALE, State.WITHDRAWN, State.ORPHANED)
)

_URGENCY = ("bad", "warn", "busy", "quiet", "good")


def picture(told: Json) -> Element:
    """
    :param told: the status document.
    """
    sources = told["sources"]
    drawn = _drawn(sources)
    more = len(sources) - len(drawn)
    rows = max(1, len(drawn) + (more > 0))
    height = rows * _ROW
    middle = height / 2
    described = "; ".join(f"{s['name']}: {s['state']}" for s in drawn) or "none"
    emitter = told["emitter"]
    clients = "no Emitter" if emitter is None else _clients(emitter["clients"])
    return tag(
        "svg",
        tag(
            "title", f"Sources of this cluster: {described}. Its Emitter: {clients}.", id="pictured"
        ),
        *(e for row, source in enumerate(drawn) for e in _link(source, row, middle)),
        _more(more, len(drawn)) if more else None,
        *_box(_HERE, middle, "this cluster", _role(told), "here"),
        *(_to_clients(middle, emitter, clients) if emitter is not None else ()),
        viewBox=f"0 0 {_WIDTH} {height}",
        width=_WIDTH,
        height=height,
        role="img",
        aria_labelledby="pictured",
    )


def _drawn(sources: Sequence[Json]) -> list[Json]:
    if len(sources) <= MOST:
        return list(sources)
    urgent = sorted(sources, key=lambda source: _URGENCY.index(_kind(source)))
    return urgent[: MOST - 1]


def _kind(source: Json) -> str:
    return WARN if source["held"] else kind_of(source["state"])


def _role(told: Json) -> str:
    election = told["election"]
    return election["role"] if election is not None else ""


def _clients(count: int) -> str:
    return f"{count:,} client{'' if count == 1 else 's'}"


def _link(source: Json, row: int, middle: float) -> Iterator[Element]:
    kind, y = _kind(source), (row + 0.5) * _ROW
    heard = source["heard_seconds_ago"]
    age = "never heard" if heard is None else f"heard {human_duration(heard)} ago"
    state = f"{SIGNS[kind]} {source['state']}, {age}"
    yield from _box(_SOURCE, y, _fitting(source["name"]), state, kind)
    start, end = sum(_SOURCE), _HERE[0]
    turn = (start + end) / 2
    path = f"M{start} {y}C{turn} {y} {turn} {middle} {end - 9} {middle}"
    yield tag("path", d=path, class_=f"link {kind}")
    yield _arrow(end, middle, kind)
    count = sum(source["mirrors"].get(state, 0) for state in _KEPT)
    told = f"{count:,} mirror{'' if count == 1 else 's'}"
    if source["held"]:
        told = f"{source['held']:,} of {count:,} held"
    # Beside the link, which turns to the middle.
    yield tag("text", told, x=start + 8, y=y - 6 if y <= middle else y + 16, class_="label")


def _more(count: int, row: int) -> Element:
    x, width = _SOURCE
    told = f"and {count:,} more, in the table below"
    return tag("text", told, x=x + width / 2, y=(row + 0.5) * _ROW + 5, class_="middle muted")


def _to_clients(middle: float, emitter: Json, clients: str) -> Iterator[Element]:
    kind = "good" if emitter["clients"] else "quiet"
    start, end = sum(_HERE), _CLIENTS[0]
    yield tag("path", d=f"M{start} {middle}H{end - 9}", class_=f"link {kind}")
    yield _arrow(end, middle, kind)
    watches = f"{emitter['watchers']:,} watches"
    yield from _box(_CLIENTS, middle, clients, watches, kind)


def _box(column: tuple[int, int], y: float, name: str, told: str, kind: str) -> Iterator[Element]:
    x, width = column
    top = y - _BOX / 2
    yield tag("rect", x=x, y=top, width=width, height=_BOX, rx=8, class_=f"box {kind}")
    middle = x + width / 2
    yield tag("text", name, x=middle, y=y - 3 if told else y + 5, class_="middle name")
    if told:
        yield tag("text", told, x=middle, y=y + 15, class_="middle told")


def _arrow(x: float, y: float, kind: str) -> Element:
    return tag("path", d=f"M{x} {y}l-10 -5v10z", class_=f"arrow {kind}")


def _fitting(name: str) -> str:
    return name if len(name) <= _ROOM else name[: _ROOM - 1] + "…"
