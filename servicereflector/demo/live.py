"""The two clusters as rich draws them: beside each other, or one above the other where the terminal
is narrow; beneath them how far the tour is."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .picture import Line, Picture

#: Columns from which there is room for two clusters in a line, and for ClusterIPs.
_WIDE, _WIDEST = 72, 110

_STYLES = {"own": "", "mirror": "green", "pending": "yellow", "conflict": "bold red"}


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is to be seen.

    :ivar steps: how many steps of the tour are done and how many there are; None without a tour.
    """

    clusters: tuple[Picture, ...]
    steps: tuple[int, int] | None = None


def draw(scene: Scene, width: int, height: int) -> RenderableType:
    """The scene for a terminal of this size."""
    beside = width >= _WIDE
    # Most of the terminal is for the lines above.
    most = max(1, height // 3 - 3 if beside else (height // 2 - 5) // 2)
    room = min(most, max(3, *(len(picture.lines) for picture in scene.clusters)))
    panels = [_panel(picture, room, width >= _WIDEST) for picture in scene.clusters]
    parts: list[RenderableType] = [*panels]
    if beside:
        grid = Table.grid(expand=True)
        for _ in panels:
            grid.add_column(ratio=1)
        grid.add_row(*panels)
        parts = [grid]
    if scene.steps is not None:
        parts.append(_progress(*scene.steps, width))
    if scene.steps is None or scene.steps[0] < scene.steps[1]:
        # A short last line: what the terminal itself writes for Ctrl-C stands behind it.
        parts.append(Text("Ctrl-C ends it.", style="dim"))
    return Group(*parts)


def _panel(picture: Picture, room: int, widest: bool) -> Panel:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(ratio=3, no_wrap=True, overflow="ellipsis")
    table.add_column(width=9, no_wrap=True)
    if widest:
        table.add_column(width=15, no_wrap=True)
    table.add_column(ratio=4, no_wrap=True, overflow="ellipsis")
    for line in picture.lines[:room]:
        table.add_row(*_cells(line, widest))
    more = picture.more + max(0, len(picture.lines) - room)
    for row in range(room - len(picture.lines)):
        table.add_row(Text("no Services yet" if not picture.lines and not row else "", style="dim"))
    hears = f"hears {picture.other}" if picture.hears else f"cannot hear {picture.other}"
    told = f"{hears}, {more} more Services" if more else hears
    return Panel(
        table,
        title=Text(f"{picture.name} {picture.url}"),
        title_align="left",
        subtitle=Text(told, style="green" if picture.hears else "bold red"),
        subtitle_align="left",
        height=room + 2,
    )


def _cells(line: Line, widest: bool) -> list[Text]:
    state = Text(line.state, style=_STYLES.get(line.state, "yellow"))
    cluster_ip = [Text(line.cluster_ip, style="dim")] if widest else []
    return [Text(line.key), state, *cluster_ip, Text(" ".join(line.addresses))]


def _progress(done: int, steps: int, width: int) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_row(
        Text(f"step {done} of {steps}"),
        ProgressBar(total=steps, completed=done, width=max(10, width - 20)),
    )
    return grid
