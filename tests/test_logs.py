"""The lines of the log: their facts, their colours, and what strangers can do to them."""

from __future__ import annotations

import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from servicereflector.mirror.states import State
from servicereflector.ops.colours import takes_colours
from servicereflector.ops.logs import FACTS, MOST_MESSAGE, make_observer
from servicereflector.reasons import Code


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


XTERM = {"TERM": "xterm-256color"}


def written(
    log_format: str,
    text: str,
    *,
    stream: io.StringIO | None = None,
    environment: dict[str, str] | None = None,
    level: LogLevel = LogLevel.warn,
    **facts: object,
) -> str:
    stream = stream or io.StringIO()
    observer = make_observer("all", log_format, stream, environment or XTERM)
    Logger("servicereflector.x", observer=observer).emit(level, text, **facts)
    return stream.getvalue()


def members(**facts: object) -> dict[str, object]:
    """Of the JSON of a line with these, beside those that every line has."""
    document = json.loads(written("json", "told", **facts))
    always = ("ts", "level", "logger", "msg")
    return {name: value for name, value in document.items() if name not in always}


def test_facts_are_members_of_their_own() -> None:
    """An alert or a query reads them without taking sentences apart."""
    facts = {"source": "east", "key": "shop/cart", "count": 3, "delay_seconds": 1.5}
    found = members(reason=Code.NAME_TAKEN, state=State.CONFLICT, **facts)
    assert found == {"reason": "NameTaken", "state": "Conflict", **facts}


def test_what_is_not_named_is_no_member() -> None:
    """A line may be made of anything; only what is meant for people gets out."""
    assert members(token="opensesame", error="no", connection=object(), source="east") == {
        "source": "east"
    }


@pytest.mark.parametrize("value", [object(), b"bytes", ["a"], {"a": "b"}, None, Failure(OSError())])
@pytest.mark.parametrize("name", FACTS)
def test_a_fact_that_is_no_plain_value_is_no_member(name: str, value: object) -> None:
    """Whole objects would tell what nobody looked at."""
    assert members(**{name: value}) == {}


@given(st.text(), st.sampled_from(FACTS), st.sampled_from(["json", "text"]))
def test_strangers_make_no_lines_of_their_own(told: str, name: str, log_format: str) -> None:
    """Whatever they say stands in one printable line of the ASCII that terminals obey, or less."""
    line = written(log_format, "{" + name + "}", **{name: told})
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    if log_format == "json":
        document = json.loads(line)
        assert document["msg"].isprintable()
        assert document[name].isprintable()


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_hostile_name_stays_one_line_of_bounded_length(log_format: str) -> None:
    """Line ends, colours, marks that turn the direction of writing, and very much of it."""
    hostile = "\n2026-01-01T00:00:00.000Z INFO  all is well\x1b[2J\u202e\ud800\r" + "x" * 100_000
    line = written(log_format, "{source}: {error}", source=hostile, error=hostile)
    assert line.count("\n") == 1
    assert not set(line[:-1]) & {"\x1b", "\u202e", "\r"}
    assert len(line) < 2 * MOST_MESSAGE


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_trace_is_no_way_out_either(log_format: str) -> None:
    """Its lines are ours; what an error says is not."""
    failure = Failure(ValueError("bad\x1b[31m\n2026-01-01T00:00:00.000Z INFO  well\ud800"))
    lines = written(log_format, "it broke", log_failure=failure).splitlines()
    if log_format == "json":
        lines = json.loads(lines[0])["trace"].splitlines()
    else:
        assert all(line.startswith("  ") for line in lines[1:])
    assert all(line.isprintable() for line in lines)


def test_the_text_has_the_reason_before_the_message() -> None:
    line = written("text", "{source}: lost", source="east", reason=Code.UNREACHABLE)
    assert re.fullmatch(r"\S+Z WARN  Unreachable: east: lost\n", line)


def test_a_terminal_gets_colours() -> None:
    """The time is dim, the level has its colour, the reason is bold; the message is as it is."""
    line = written("", "east: lost", reason=Code.UNREACHABLE, stream=Terminal())
    shape = r"\x1b\[2m\S+Z\x1b\[0m \x1b\[33mWARN \x1b\[0m \x1b\[1mUnreachable:\x1b\[0m east: lost\n"
    assert re.fullmatch(shape, line)


def test_levels_can_be_told_apart() -> None:
    found = {
        written("text", "x", level=LogLevel.lookupByName(name), stream=Terminal()).split()[1]
        for name in ("debug", "info", "warn", "error", "critical")
    }
    assert len(found) == 5


@pytest.mark.parametrize(
    ("stream", "environment"),
    [
        (io.StringIO, XTERM),
        (Terminal, {**XTERM, "NO_COLOR": "1"}),
        (Terminal, {"TERM": "dumb"}),
        (Terminal, {"PATH": "/bin"}),
    ],
    ids=["piped", "NO_COLOR", "dumb", "no TERM"],
)
def test_nobody_else_gets_colours(stream: type[io.StringIO], environment: dict[str, str]) -> None:
    line = written(
        "text", "lost", reason=Code.UNREACHABLE, stream=stream(), environment=environment
    )
    assert "\x1b" not in line
    assert "WARN  Unreachable: lost" in line


def test_json_has_no_colours_in_a_terminal() -> None:
    """It is asked for by name there."""
    json.loads(written("json", "lost", reason=Code.UNREACHABLE, stream=Terminal()))


def test_an_empty_no_color_is_none() -> None:
    """As https://no-color.org has it."""
    assert takes_colours({**XTERM, "NO_COLOR": ""})
