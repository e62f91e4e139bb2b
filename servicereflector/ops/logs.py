"""Where log events go: to stderr, as text for people or as JSON lines for machines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from enum import Enum
from functools import partial
from typing import TextIO

import orjson
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
)
from zope.interface import implementer

from ..kube.text import shown
from .colours import COLOURS, PLAIN, Style, takes_colours

_LEVELS = {
    "all": LogLevel.debug,
    "debug": LogLevel.debug,
    "info": LogLevel.info,
    "warn": LogLevel.warn,
    "error": LogLevel.error,
}

_PACKAGE = "servicereflector."

#: Who tells what Twisted tells: of every factory that it starts, of every idle client. Its channel
#: does so in the name of ours.
_TWISTED = ("twisted", "log_legacy", "-", f"{_PACKAGE}ops.channels")

#: Characters of a message, or of a line of a trace, that are written.
MOST_MESSAGE = 1000

#: What of an event is a member of its own beside the message: nothing else is, so that neither an
#: object nor a credential gets there by accident.
FACTS = (
    "reason",
    "source",
    "resource",
    "namespace",
    "key",
    "state",
    "count",
    "attempts",
    "lasted_seconds",
    "delay_seconds",
    "silent_seconds",
    "lease",
    "holder",
    "path",
)


def _time(event: LogEvent) -> str:
    moment = datetime.fromtimestamp(event["log_time"], timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(event: LogEvent) -> str:
    """The text, in one line that has an end: what another cluster says may hold anything."""
    return shown(formatEvent(event), MOST_MESSAGE)


def _trace(event: LogEvent) -> list[str]:
    failure = event.get("log_failure")
    if failure is None:
        return []
    return [shown(line, MOST_MESSAGE) for line in failure.getTraceback().splitlines()]


def _facts(event: LogEvent) -> Iterator[tuple[str, str | int | float]]:
    """Those of the event that are named in FACTS, as far as they are plain values."""
    for name in FACTS:
        value = event.get(name)
        if isinstance(value, Enum):
            value = value.value
        if isinstance(value, str):
            yield name, shown(value)
        elif isinstance(value, int | float):
            yield name, value


def as_json(event: LogEvent) -> str:
    """One JSON object: ts, level, logger, msg, the facts, and trace where there is one."""
    document: dict[str, object] = {
        "ts": _time(event),
        "level": event["log_level"].name,
        "logger": str(event.get("log_namespace", "")).removeprefix(_PACKAGE),
        "msg": _message(event),
        **dict(_facts(event)),
    }
    if trace := _trace(event):
        document["trace"] = "\n".join(trace)
    return orjson.dumps(document).decode()


def as_text(event: LogEvent, style: Style = PLAIN) -> str:
    """One line: when, how grave, the reason code if it has one, what; the trace below it."""
    level = event["log_level"].name
    reason = dict(_facts(event)).get("reason", "")
    told = [
        style.apply("time", _time(event)),
        style.apply(level, f"{level.upper():5}"),
        *([style.apply("reason", f"{reason}:")] if reason else []),
        _message(event),
    ]
    return "\n".join([" ".join(told), *(f"  {line}" for line in _trace(event))])


def make_observer(
    level: str,
    log_format: str,
    stream: TextIO | None = None,
    environment: Mapping[str, str] = os.environ,
) -> ILogObserver:
    """The observer for these flags.

    :param level: of --log-level.
    :param log_format: ``json``, ``text``, or ``""`` to go by whether the stream is a terminal.
    :param environment: in which NO_COLOR and TERM speak of colours.
    """
    out = stream or sys.stderr
    style = COLOURS if out.isatty() and takes_colours(environment) else PLAIN
    shape: Callable[[LogEvent], str] = as_json
    if log_format == "text" or (not log_format and out.isatty()):
        shape = partial(as_text, style=style)

    @implementer(ILogObserver)
    def write(event: LogEvent) -> None:
        out.write(shape(event) + "\n")
        out.flush()

    observer: ILogObserver = (
        _nowhere if level == "none" else FilteringLogObserver(write, [_predicate(level)])
    )
    return observer


@implementer(ILogObserver)
def _nowhere(_event: LogEvent) -> None:
    pass


def _predicate(level: str) -> LogLevelFilterPredicate:
    predicate = LogLevelFilterPredicate(defaultLogLevel=_LEVELS[level])
    if level != "all":
        for namespace in _TWISTED:
            predicate.setLogLevelForNamespace(namespace, max(LogLevel.warn, _LEVELS[level]))
    return predicate
