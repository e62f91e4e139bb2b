"""How far a long first sync is, as it is seen at the bottom of a terminal while the log goes by."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from .progress import Counts, Progress
from .terminal import Above, Region

if TYPE_CHECKING:
    from rich.console import RenderableType

#: Seconds between two looks at the program.
PERIOD = 0.5


class ProgressBars(Service):
    """Draws while there is something to wait for, and leaves nothing on the terminal.

    :param stream: the terminal.
    :param count: tells how far it is now.
    """

    def __init__(self, reactor: IReactorTime, stream: TextIO, count: Callable[[], Counts]) -> None:
        self._reactor = reactor
        self._stream = stream
        self._count = count
        self._progress = Progress()
        self._seen = Counts()
        self._region: Region[Counts] | None = None
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def above(self) -> TextIO:
        """Where the log is to be written."""
        return Above(self._say)

    def startService(self) -> None:
        super().startService()
        self._looking.start(PERIOD, now=False)

    def stopService(self) -> None:
        super().stopService()
        self._looking.stop()
        self._clear()

    def _say(self, line: str) -> None:
        if self._region is not None:
            self._region.say(line)
        else:
            self._stream.write(f"{line}\n")
            self._stream.flush()

    def _look(self) -> None:
        seen = self._progress.look(self._count(), self._reactor.seconds())
        if seen is None:
            self._clear()
            return
        self._seen = seen
        if self._region is None:
            self._region = Region(
                self._reactor, self._stream, lambda: self._seen, draw, period=PERIOD, stays=False
            )
            self._region.startService()

    def _clear(self) -> None:
        if self._region is not None:
            region, self._region = self._region, None
            region.stopService()


def draw(counts: Counts, width: int, height: int) -> RenderableType:
    """The counts for a terminal of this size. Of a list it is not known how long it will be."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True, overflow="ellipsis")
    room = max(1, height // 3)
    for source, what, count in counts.listing[:room]:
        grid.add_row(Text(f"{source}: {what}: {count:,} listed"))
    if (more := len(counts.listing) - room) > 0:
        grid.add_row(Text(f"and {more} more lists", style="dim"))
    if counts.waiting:
        total = counts.mirrored + counts.waiting
        bar = ProgressBar(total=total, completed=counts.mirrored, width=max(10, width - 40))
        line = Table.grid(padding=(0, 1))
        line.add_row(Text(f"mirrored {counts.mirrored:,} of {total:,}"), bar)
        grid.add_row(line)
    return grid
