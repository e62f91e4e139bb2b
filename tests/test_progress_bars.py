"""In a terminal a long first sync is drawn, beneath the log, and gone when it is over."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pyte
import pytest
from pseudoterminal import Terminal
from twisted.internet.task import Clock

from servicereflector.ops.bars import PERIOD, ProgressBars
from servicereflector.ops.progress import PATIENCE, Counts

CTRL_C = b"\x03"


class Screen(io.StringIO):
    """A terminal of 80 columns and 24 lines."""

    def __init__(self) -> None:
        super().__init__()
        self._screen = pyte.Screen(80, 24)
        self._stream = pyte.Stream(self._screen)

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._stream.feed(text.replace("\n", "\r\n"))
        return len(text)

    @property
    def shown(self) -> list[str]:
        return [line.rstrip() for line in self._screen.display if line.strip()]


class Watched:
    """Bars, and what they are told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("LINES", "24")
        monkeypatch.setenv("TERM", "xterm-256color")
        self.counts = Counts()
        self.screen = Screen()
        self._clock = Clock()
        self.bars = ProgressBars(self._clock, self.screen, lambda: self.counts)
        self.bars.startService()

    def see(self, counts: Counts, seconds: float = 2 * PERIOD) -> list[str]:
        """What is shown when it has been so for so long."""
        self.counts = counts
        self._clock.pump([PERIOD] * round(seconds / PERIOD))
        return self.screen.shown

    def say(self, line: str) -> None:
        self.bars.above().write(f"{line}\n")

    def pending(self) -> int:
        return len(self._clock.getDelayedCalls())


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    watched = Watched(monkeypatch)
    yield watched
    if watched.bars.running:
        watched.bars.stopService()


def listing(count: int) -> Counts:
    return Counts((("east", "services", count),))


def test_a_long_sync_is_drawn_and_gone_when_it_is_over(watched: Watched) -> None:
    """The lists first, then a bar; the log goes by above."""
    watched.say("before")
    assert watched.see(listing(500)) == ["before"]
    assert watched.see(listing(6000), PATIENCE)[1:] == ["east: services: 6,000 listed"]
    watched.say("between")
    assert watched.screen.shown == ["before", "between", "east: services: 6,000 listed"]
    *log, bar = watched.see(Counts((), 1, 1000, 3000))
    assert log == ["before", "between"]
    assert bar.startswith("mirrored 1,000 of 4,000 ━━━")
    assert watched.see(Counts((), 1, 4000, 0)) == ["before", "between"]
    watched.say("after")
    assert watched.screen.shown == ["before", "between", "after"]


def test_a_short_sync_is_not_drawn(watched: Watched) -> None:
    assert watched.see(listing(500), PATIENCE) == []
    assert watched.see(Counts((), 1, 500, 0), 60) == []


def test_many_lists_leave_the_most_of_the_terminal_to_the_log(watched: Watched) -> None:
    many = Counts(tuple((f"source{n}", "services", n) for n in range(30)))
    shown = watched.see(many, PATIENCE + PERIOD)
    assert len(shown) == 9
    assert shown[-1] == "and 22 more lists"


def test_nothing_is_left_of_what_ends_meanwhile(watched: Watched) -> None:
    """Neither on the terminal nor in the reactor."""
    assert watched.see(listing(500), PATIENCE + PERIOD)
    watched.bars.stopService()
    assert watched.screen.shown == []
    assert watched.pending() == 0


class _EndlessSource(BaseHTTPRequestHandler):
    """Its first page of Services comes, the second does not."""

    protocol_version = "HTTP/1.1"
    over: threading.Event

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path != "/api/v1/services" or "continue" in parse_qs(url.query):
            self.over.wait()
            self.close_connection = True
            return
        items = [
            {"metadata": {"name": f"s{n}", "namespace": "shop", "uid": f"{n}",
                          "resourceVersion": "1"}, "spec": {}}
            for n in range(3)
        ]  # fmt: skip
        told = {"resourceVersion": "1", "continue": "more"}
        body = json.dumps(
            {"kind": "ServiceList", "apiVersion": "v1", "metadata": told, "items": items}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endless_source() -> Iterator[str]:
    """Its URL."""
    over = threading.Event()
    handler = type("Handler", (_EndlessSource,), {"over": over})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    over.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_program_in_a_terminal(endless_source: str, tmp_path: Path) -> None:
    """Its log stays, what is drawn goes, and Ctrl-C leaves the terminal as it was."""
    (tmp_path / "kubeconfig").write_text(
        json.dumps(
            {
                "current-context": "c",
                "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
                "users": [{"name": "c", "user": {}}],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
            }
        )
    )
    terminal = Terminal(
        [
            *(sys.executable, "-m", "servicereflector", "--emitter=false", "--listen=127.0.0.1:0"),
            *(f"--kubeconfig={tmp_path}/kubeconfig", f"--admin-socket={tmp_path}/socket"),
            f"--source-api=east={endless_source}",
        ],
        tmp_path,
    )
    try:
        drawn = "east: services: 3 listed"
        terminal.eventually("the list", lambda: terminal.shown[-1:] == [drawn])
        terminal.press(CTRL_C)
        assert terminal.ended() == 0
        assert drawn not in terminal.shown
        assert any("ConnectFailed" in line or "refused" in line for line in terminal.shown)
        assert terminal.is_as_it_was()
    finally:
        terminal.close()
