"""A program in a pseudo-terminal, and what a person would see there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pyte

#: Seconds within which what is waited for is seen, and within which a program ends.
SOON = 30.0

# The terminal is the program's own, so that keys are signals.
_LAUNCHER = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """
    :ivar written: all that the program wrote.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        directory: Path,
        *,
        columns: int = 80,
        lines: int = 24,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.written = b""
        self._screen = pyte.HistoryScreen(columns, lines, history=1000, ratio=0.5)
        self._stream = pyte.ByteStream(self._screen)
        self._ours, self._theirs = pty.openpty()
        self.resize(columns, lines)
        self.modes = termios.tcgetattr(self._theirs)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _LAUNCHER, *arguments],
            cwd=directory,
            env={
                "HOME": str(directory),
                "TMPDIR": str(directory),
                "PATH": os.environ.get("PATH", ""),
                "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
                "TERM": "xterm-256color",
                "LANG": "C.UTF-8",
                **(environment or {}),
            },
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
        )

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._screen.resize(lines, columns)

    def press(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    @property
    def shown(self) -> list[str]:
        """The lines of the screen, those at its end that are empty left out."""
        lines = [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            del lines[-1]
        return lines

    @property
    def text(self) -> str:
        """All that was written, without a terminal's codes."""
        told = re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]", b"", self.written)
        return told.replace(b"\r", b"").decode()

    def eventually(self, what: str, holds: Callable[[], bool]) -> None:
        """Read on until it holds."""
        deadline = time.monotonic() + SOON
        while not holds():
            assert time.monotonic() < deadline, f"{what}: not seen\n{self.text}"
            over = self.process.poll() is not None
            self._read()
            assert not over or holds(), f"ended before: {what}\n{self.text}"

    def ended(self) -> int:
        """The program's exit status, once it has ended; nothing of it runs any more."""
        deadline = time.monotonic() + SOON
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"does not end\n{self.text}"
            self._read()  # what fills the terminal's buffer would stop it
        self._read()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, 0)
            raise AssertionError("it has left a process")
        return self.process.returncode

    def is_as_it_was(self) -> bool:
        """Whether the terminal's modes are those of before, and its cursor is shown."""
        hidden = self.written.rfind(b"\x1b[?25l") > self.written.rfind(b"\x1b[?25h")
        others = set(re.findall(rb"\x1b\[\?(\d+)h", self.written)) - {b"25"}
        return not hidden and not others and termios.tcgetattr(self._theirs) == self.modes

    def close(self) -> None:
        """End the program, if it runs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def read(self, seconds: float) -> None:
        """Read all that is written for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._read()

    def _read(self) -> None:
        while select.select([self._ours], [], [], 0.05)[0]:
            told = os.read(self._ours, 65536)
            self.written += told
            self._stream.feed(told)
