"""What changes at the bottom of a terminal, while other lines go by above it.

No mode of the terminal is changed, the cursor stays where it is seen: however the process ends,
nothing has to be restored. rich is imported only once something is to be drawn.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TextIO, TypeVar

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

if TYPE_CHECKING:
    from rich.console import RenderableType

_T = TypeVar("_T")

#: So many of the lines above are shown again when the terminal has got another size.
_REMEMBERED = 100


def is_live(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether the stream is a terminal on which lines can be drawn anew."""
    return stream.isatty() and environ.get("TERM", "dumb") not in ("dumb", "unknown")


class Region(Service, Generic[_T]):
    """The last lines of a terminal while it runs; drawn when they change, and not otherwise, so
    that what somebody marks with the mouse stays marked.

    :param stream: a terminal.
    :param look: what is to be seen now; drawn where it is not equal to what it was.
    :param draw: it, for a terminal of so many columns and lines.
    :param period: seconds between two looks.
    :param stays: whether its last state is left on the terminal when it stops.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        stream: TextIO,
        look: Callable[[], _T],
        draw: Callable[[_T, int, int], RenderableType],
        *,
        period: float = 0.1,
        stays: bool = True,
    ) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._live = Live(
            console=self._console,
            auto_refresh=False,  # that is a thread
            redirect_stdout=False,
            redirect_stderr=False,
            transient=not stays,
        )
        self._look = look
        self._draw = draw
        self._period = period
        self._seen: tuple[Any, _T] | None = None
        self._said: deque[str] = deque(maxlen=_REMEMBERED)
        self._looking = LoopingCall(self._refresh)
        self._looking.clock = reactor

    def startService(self) -> None:
        Service.startService(self)
        self._live.start()
        self._console.show_cursor(True)  # rich has hidden it
        self._looking.start(self._period)

    def stopService(self) -> None:
        Service.stopService(self)
        self._refresh()
        self._looking.stop()
        self._live.stop()

    def say(self, line: str) -> None:
        """Write a line, which may have colours, above the region."""
        from rich.text import Text

        self._said.append(line)
        self._console.print(Text.from_ansi(line), soft_wrap=True)

    def above(self) -> TextIO:
        """A stream of lines, for whoever knows nothing of the region."""
        return Above(self.say)

    def _refresh(self) -> None:
        size, seen = self._console.size, self._look()
        if (size, seen) == self._seen:
            return
        if self._seen is not None and self._seen[0] != size:
            self._begin_anew()
        self._seen = (size, seen)
        self._live.update(self._draw(seen, size.width, size.height), refresh=True)

    def _begin_anew(self) -> None:
        """How a terminal of another size has wrapped what was drawn, nobody knows."""
        self._console.clear()
        said, self._said = self._said, deque(maxlen=_REMEMBERED)
        for line in said:
            self.say(line)


class Above(io.StringIO):
    """A terminal's lines above a region: takes whole lines, as logs write them."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._say = say

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._say(text.removesuffix("\n"))
        return len(text)
