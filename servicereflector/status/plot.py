"""The propagation delay of the last hour, minute by minute, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from ..kube.objects import Json
from .markup import tag

#: Seconds at the bottom and the top; what is beyond is drawn there.
LEAST, MOST = 0.001, 1000.0

_HOUR = 3600.0
_WIDTH, _HEIGHT = 600, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 8, 10, 24

_SCALE = {0.001: "1 ms", 0.01: "10 ms", 0.1: "0.1 s", 1.0: "1 s", 10.0: "10 s", 100.0: "100 s"}


def plot(delays: Sequence[Json]) -> Element:
    """A bar for each minute, from the median to the longest, and a dot on the median.

    :param delays: as the status document has them.
    """
    return tag(
        "svg",
        tag("title", summary(delays), id="plotted"),
        *_grid(),
        *(e for delay in delays for e in _minute(delay)),
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
        role="img",
        aria_labelledby="plotted",
    )


def summary(delays: Sequence[Json]) -> str:
    """The plot in a sentence."""
    if not delays:
        return "No change of a source was mirrored in the last hour."
    changes = sum(delay["count"] for delay in delays)
    longest = max(delay["longest_seconds"] for delay in delays)
    last = delays[-1]
    return (
        f"{changes:,} change{'' if changes == 1 else 's'} mirrored in the last hour: the longest"
        f" took {seconds_text(longest)}, and in the last minute that had any the median was"
        f" {seconds_text(last['median_seconds'])}."
    )


def seconds_text(seconds: float) -> str:
    """With two digits that count."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.2g} ms"
    return f"{seconds:.2g} s" if seconds < 99.5 else f"{seconds:,.0f} s"


def _x(seconds_ago: float) -> float:
    inner = _WIDTH - _LEFT - _RIGHT
    return round(_LEFT + inner * (1 - min(max(seconds_ago, 0.0), _HOUR) / _HOUR), 1)


def _y(seconds: float) -> float:
    part = math.log(min(max(seconds, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return round(_HEIGHT - _BOTTOM - part * (_HEIGHT - _TOP - _BOTTOM), 1)


def _grid() -> Iterator[Element]:
    for seconds, told in _SCALE.items():
        y = _y(seconds)
        yield tag("path", d=f"M{_LEFT} {y}H{_WIDTH - _RIGHT}", class_="grid")
        yield tag("text", told, x=_LEFT - 6, y=y + 4, class_="end told")
    for minutes in (60, 45, 30, 15, 0):
        told = f"{minutes} min ago" if minutes else "now"
        where = "middle" if 0 < minutes < 60 else "end" if not minutes else "start"
        yield tag("text", told, x=_x(minutes * 60), y=_HEIGHT - 6, class_=f"{where} told")


def _minute(delay: Json) -> Iterator[Element]:
    x = _x(delay["seconds_ago"])
    median, longest = _y(delay["median_seconds"]), _y(delay["longest_seconds"])
    yield tag("path", d=f"M{x} {median}V{longest}", class_="bar")
    yield tag("circle", cx=x, cy=median, r=3, class_="dot")
