"""The demo in a terminal: what is seen there, at any size; Ctrl-C leaves nothing behind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pseudoterminal import Terminal

CTRL_C = b"\x03"
FRAMES = "╭│╰"

Start = Callable[..., Terminal]


def demo(home: Path, *flags: str, environment: dict[str, str] | None = None) -> Terminal:
    """It runs with these flags; its temporary files are in ``home``, too."""
    arguments = [sys.executable, "-m", "servicereflector", "demo", *flags]
    return Terminal(arguments, home, environment=environment)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def start(home: Path) -> Iterator[Start]:
    started: list[Terminal] = []

    def begin(*flags: str, environment: dict[str, str] | None = None) -> Terminal:
        started.append(demo(home, *flags, environment=environment))
        return started[-1]

    yield begin
    for terminal in started:
        terminal.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """A demo that shows everything, in 80 columns and 24 lines."""
    terminal = demo(tmp_path_factory.mktemp("home"))
    try:
        terminal.eventually("both clusters", lambda: shows_both(terminal))
        yield terminal
    finally:
        terminal.close()


def frames(terminal: Terminal) -> list[str]:
    return [line for line in terminal.shown if line and line[0] in FRAMES]


def shows_both(terminal: Terminal) -> bool:
    """West has the mirror, and both tell of the conflict."""
    shown = "\n".join(frames(terminal))
    whole = all(told in shown for told in ("hears west", "hears east", " mirror "))
    return whole and shown.count(" conflict ") == 2


def shows_the_greeting(terminal: Terminal) -> bool:
    return "Ctrl-C ends it." in terminal.text


def is_in_the_middle_of_the_tour(terminal: Terminal) -> bool:
    return "cut from each other" in terminal.text


@pytest.mark.parametrize(
    ("flags", "moment"),
    [
        ((), shows_the_greeting),
        ((), shows_both),
        (("--once",), is_in_the_middle_of_the_tour),
    ],
)
def test_ctrl_c_leaves_nothing_behind(
    start: Start, home: Path, flags: tuple[str, ...], moment: Callable[[Terminal], bool]
) -> None:
    """At whatever moment: no process, no file, no directory, the terminal as it was, status 0."""
    terminal = start("--kubeconfig-dir=new/files", *flags)
    terminal.eventually(moment.__name__, lambda: moment(terminal))
    assert (home / "new/files/west.yaml").exists()
    terminal.press(CTRL_C)
    assert terminal.ended() == 0, terminal.text
    assert terminal.is_as_it_was()
    assert not list(home.iterdir())
    assert "Traceback" not in terminal.text


def test_ctrl_c_before_anything_is_shown_leaves_nothing_behind(start: Start, home: Path) -> None:
    """The kubeconfigs are written, and the reactor does not run yet or hardly does."""
    terminal = start("--kubeconfig-dir=files")
    terminal.eventually("the kubeconfig", (home / "files/west.yaml").exists)
    terminal.press(CTRL_C)
    assert terminal.ended() == 0, terminal.text
    assert terminal.is_as_it_was()
    assert not list(home.iterdir())


def test_the_clusters_stand_side_by_side(running: Terminal) -> None:
    """Beneath the commands, of which the last ones are still seen."""
    (heads,) = [line for line in frames(running) if "east http" in line]
    assert "west http" in heads
    assert any(line.startswith("kubectl") for line in running.shown)
    assert running.shown[-1] == "Ctrl-C ends it."
    assert b"\x1b[32m" in running.written


def test_what_does_not_change_is_not_drawn_again(running: Terminal) -> None:
    """So that commands which are marked with the mouse stay marked."""

    def is_silent() -> bool:
        drawn = len(running.written)
        running.read(seconds=1.0)
        return len(running.written) == drawn

    running.eventually("a second of silence", is_silent)


@pytest.mark.parametrize(("columns", "lines", "stacked"), [(40, 24, True), (120, 40, False)])
def test_another_size_is_drawn_anew(
    running: Terminal, columns: int, lines: int, *, stacked: bool
) -> None:
    """Whole frames as wide as the terminal; nothing of what was drawn before is left among them."""
    running.resize(columns, lines)

    def fits() -> bool:
        return shows_both(running) and {len(line) for line in frames(running)} == {columns}

    running.eventually(f"{columns} columns", fits)
    assert [line.count("╭") for line in frames(running) if "╭" in line] == (
        [1, 1] if stacked else [2]
    )


def test_the_tour_is_played_beside_the_clusters(start: Start) -> None:
    """Every step above, all of them counted below, and in the end the last state is left."""
    terminal = start("--once")
    terminal.eventually("the middle", lambda: "cannot hear east" in "\n".join(terminal.shown))
    assert terminal.ended() == 0, terminal.text
    assert any(line.startswith("step 17 of 17") for line in terminal.shown)
    assert any("west: Event NameTaken" in line for line in terminal.shown)
    assert terminal.is_as_it_was()


def test_without_colours_there_are_frames(start: Start) -> None:
    """NO_COLOR is for colours alone."""
    terminal = start(environment={"NO_COLOR": "1"})
    terminal.eventually("both clusters", lambda: shows_both(terminal))
    assert b"\x1b[32m" not in terminal.written


def test_a_dumb_terminal_gets_lines_alone(start: Start) -> None:
    """No codes at all."""
    terminal = start(environment={"TERM": "dumb"})
    terminal.eventually("the greeting", lambda: shows_the_greeting(terminal))
    assert b"\x1b" not in terminal.written
    assert "╭" not in terminal.text
