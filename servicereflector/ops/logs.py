"""Where log events go: to stderr, as text for people or as JSON lines for machines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timezone
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

_LEVELS = {
    "all": LogLevel.debug,
    "debug": LogLevel.debug,
    "info": LogLevel.info,
    "warn": LogLevel.warn,
    "error": LogLevel.error,
}

_PACKAGE = "servicereflector."


def _time(event: LogEvent) -> str:
    moment = datetime.fromtimestamp(event["log_time"], timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(event: LogEvent) -> str:
    """The text, in one line: what another cluster says may hold anything."""
    text = formatEvent(event)
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def _trace(event: LogEvent) -> str:
    failure = event.get("log_failure")
    return failure.getTraceback() if failure is not None else ""


def _logger_name(event: LogEvent) -> str:
    return str(event.get("log_namespace", "")).removeprefix(_PACKAGE)


def as_json(event: LogEvent) -> str:
    """One JSON object: ts, level, logger, msg, and trace where there is one."""
    document = {
        "ts": _time(event),
        "level": event["log_level"].name,
        "logger": _logger_name(event),
        "msg": _message(event),
    }
    if trace := _trace(event):
        document["trace"] = trace
    return orjson.dumps(document).decode()


def as_text(event: LogEvent) -> str:
    """One line, and the trace below it where there is one."""
    level = event["log_level"].name.upper()
    lines = [f"{_time(event)} {level:5} {_message(event)}"]
    return "\n".join(lines + _trace(event).splitlines())


def make_observer(level: str, log_format: str, stream: TextIO | None = None) -> ILogObserver:
    """The observer for these flags.

    :param level: of --log-level.
    :param log_format: ``json``, ``text``, or ``""`` to go by whether the stream is a terminal.
    """
    out = stream or sys.stderr
    shape: Callable[[LogEvent], str] = as_text if log_format == "text" else as_json
    if not log_format and out.isatty():
        shape = as_text

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
        # Twisted tells of every factory that it starts.
        for namespace in ("twisted", "log_legacy", "-"):
            predicate.setLogLevelForNamespace(namespace, max(LogLevel.warn, _LEVELS[level]))
    return predicate
