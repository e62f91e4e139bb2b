"""Flags as the Go program spells them (spf13/pflag), on twisted.python.usage.

``--name value`` or ``--name=value``; a boolean alone means true and takes its value only behind
``=``; lists are comma-separated and repeatable; an empty value is the same as none. Nothing but
exactly the names of the table is taken.
"""

from __future__ import annotations

import difflib
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from twisted.python import usage

from .kube.globs import is_glob

_T = TypeVar("_T")

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")

_DECIMAL = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"

#: Seconds of the units that Go's time.ParseDuration knows; it takes either sign for micro.
_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "\u00b5s": 1e-6,
    "\u03bcs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
#: Bytes of the suffixes of Kubernetes' quantities.
_SIZES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}

_PART = f"({_DECIMAL})({'|'.join(_UNITS)})"

#: Go's durations are below 2**63 nanoseconds.
_LONGEST = 2**63 / 1e9

#: Seconds. The watch of a quiet source is opened anew several times in that time.
SHORTEST_SILENCE = 3.0

#: Seconds. What is done from time to time costs the cluster a little.
SHORTEST_PERIOD = 10.0

_LABEL = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"


@dataclass(frozen=True, slots=True)
class Flag:
    """
    :ivar read: makes the value out of the text; a ValueError says what is valid.
    :ivar many: whether the flag may be repeated; ``read`` is then given each text.
    :ivar split: whether a comma separates texts, too.
    :ivar join: makes the flag's values of those that were read, where they belong together.
    """

    name: str
    default: str
    help: str
    read: Callable[[str], Any] = str
    many: bool = False
    boolean: bool = False
    split: bool = True
    join: Callable[[list[Any]], list[Any]] = list

    @property
    def section(self) -> str:
        return self.name.partition(".")[0] if "." in self.name else ""


class FlagOptions(usage.Options):
    """Options by a table of flags. After parsing, ``self[name]`` is the value that a flag read.

    :ivar given: the texts of those that were given.
    """

    flags: ClassVar[tuple[Flag, ...]] = ()
    aliases: ClassVar[dict[str, str]] = {}
    shorts: ClassVar[dict[str, str]] = {}
    subCommands: ClassVar[list[list[Any]]] = []

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[str, str] = {}
        self.update({flag.name: flag.default for flag in self.flags})

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        :raises usage.UsageError: naming the flag and what is valid.
        """
        rest = self._take_flags(sys.argv[1:] if options is None else options)
        usage.Options.parseOptions(self, rest)

    def postOptions(self) -> None:
        for flag in self.flags:
            text = self[flag.name]
            try:
                self[flag.name] = self._read(flag, text)
            except ValueError as error:
                raise usage.UsageError(f"--{flag.name}: {error}") from None

    @staticmethod
    def _read(flag: Flag, text: str) -> Any:
        if not flag.many:
            return flag.read(text)
        separator = "," if flag.split else "\n"
        texts = text.replace("\n", separator).split(separator)
        return flag.join([flag.read(one.strip()) for one in texts if one.strip()])

    def _take_flags(self, arguments: Sequence[str]) -> list[str]:
        """Note the flags' texts; what is left is a subcommand's arguments, or ``--help``."""
        known = {flag.name: flag for flag in self.flags}
        found: dict[str, str] = {}
        rest = list(arguments)
        while rest and rest[0].startswith("-"):
            argument = rest.pop(0)
            argument = self.shorts.get(argument, argument)
            if argument in ("-h", "--help"):
                return ["--help"]
            name, equals, value = argument[2:].partition("=")
            flag = known.get(self.aliases.get(name, name))
            if flag is None or not argument.startswith("--"):
                raise usage.UsageError(
                    f"unknown flag {argument.partition('=')[0]}{self._like(name)}"
                )
            if not equals and flag.boolean:
                value = "true"
            elif not equals:
                if not rest:
                    raise usage.UsageError(f"--{name} needs a value")
                value = rest.pop(0)
            if flag.many and flag.name in found:
                value = f"{found[flag.name]}\n{value}"
            found[flag.name] = value
        if rest and rest[0] not in [command[0] for command in self.subCommands]:
            raise usage.UsageError(f"unexpected argument {rest[0]!r}; --help lists the flags")
        self.given = found
        self.update(found)
        return rest

    def _like(self, name: str) -> str:
        names = [flag.name for flag in self.flags] + list(self.aliases)
        close = difflib.get_close_matches(name, names, 1)
        return f"; did you mean --{close[0]}?" if close else "; --help lists the flags"

    def __str__(self) -> str:
        return f"{self.getSynopsis()}\n\n{describe(self.flags)}"


def describe(flags: Iterable[Flag]) -> str:
    """The flags, by role, as ``--help`` shows them."""
    titles = {
        "": "Flags",
        "client": "The clients of the host and of the sources",
        "emitter": "The Emitter",
        "reflector": "The Reflector",
    }
    lines: list[str] = []
    section = None
    for flag in flags:
        if flag.section != section:
            section = flag.section
            lines += [""] * bool(lines) + [f"{titles.get(section, section)}:"]
        shown = f"  --{flag.name}"
        told = f" (default {flag.default})" if flag.default else ""
        lines.append(shown)
        lines += textwrap.wrap(
            flag.help + told,
            80,
            initial_indent=" " * 8,
            subsequent_indent=" " * 8,
            break_on_hyphens=False,
        )
    return "\n".join(lines)


def boolean(text: str) -> bool:
    if text not in _TRUE + _FALSE:
        raise ValueError(f"{text!r} is no boolean: say true or false")
    return text in _TRUE


def port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > 65535:
        raise ValueError(f"{text!r} is no port: say a number from 0, which is off, to 65535")
    return int(text)


def count(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        raise ValueError(f"{text!r} is no number")
    return int(text)


def address(text: str) -> tuple[str, int]:
    # An IPv6 address has to stand in brackets, as in Go.
    match = re.fullmatch(r"(\[[^][]*\]|[^][:]*):([0-9]{1,5})", text)
    if match is None or int(match[2]) > 65535:
        raise ValueError(f"{text!r} is no address: say [host]:port, for example :9090")
    return match[1].strip("[]"), int(match[2])


def one_of(values: Sequence[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in values:
            raise ValueError(f"{text!r} is not one of {', '.join(filter(None, values))}")
        return text

    return read


def duration(text: str) -> float:
    """Seconds, of a duration as Go takes it, such as ``1h30m``; never a negative one."""
    spelled = text.removeprefix("+")
    parts = re.findall(_PART, spelled) if re.fullmatch(f"(?:{_PART})+", spelled) else []
    seconds = sum((float(number) * _UNITS[unit] for number, unit in parts), 0.0)
    if not (parts or spelled == "0") or seconds >= _LONGEST:
        raise ValueError(f"{text!r} is no duration: say a duration such as 30s or 5m")
    return seconds


def timeout(text: str) -> float:
    """Seconds, more than none: nothing can be had in no time."""
    seconds = duration(text)
    if not seconds:
        raise ValueError(f"{text!r} is too short: say a duration such as 30s")
    return seconds


def quiet_time(text: str) -> float:
    """Seconds for which a watch may bring nothing."""
    seconds = duration(text)
    if seconds < SHORTEST_SILENCE:
        raise ValueError(f"{text!r} is too short: say {SHORTEST_SILENCE:g}s at the least")
    return seconds


def size(text: str) -> int:
    """Bytes, as Kubernetes writes quantities of them; more than none."""
    match = re.fullmatch(r"([0-9]{1,15})(k|M|G|Ki|Mi|Gi)?", text, re.ASCII)
    if match is None or not int(match[1]):
        raise ValueError(f"{text!r} is no size: say a number of bytes such as 8Mi, 512Ki or 100000")
    return int(match[1]) * _SIZES[match[2] or ""]


def size_or_none(text: str) -> int:
    """The same, or 0."""
    return 0 if text == "0" else size(text)


def number(text: str) -> int:
    """A count, more than none."""
    if not count(text):
        raise ValueError(f"{text!r} is too small: say 1 at the least")
    return int(text)


def silence(text: str) -> float:
    """Seconds for which a source may be silent, 0 for ever."""
    seconds = duration(text)
    if 0 < seconds < SHORTEST_SILENCE:
        raise ValueError(f"{text!r} is too short: say {SHORTEST_SILENCE:g}s at the least, or 0")
    return seconds


def period(text: str) -> float:
    """Seconds between two times that something is done, 0 for never."""
    seconds = duration(text)
    if 0 < seconds < SHORTEST_PERIOD:
        raise ValueError(f"{text!r} is too short: say {SHORTEST_PERIOD:g}s at the least, or 0")
    return seconds


def object_name(text: str) -> str:
    """A name that most objects of Kubernetes may have, a DNS-1123 subdomain; or ``""``."""
    if text and (not re.fullmatch(_SUBDOMAIN, text) or len(text) > 253):
        raise ValueError(f"{text!r} is no name: say lower-case letters and digits, with - and .")
    return text


def fraction(text: str) -> float:
    if not re.fullmatch(_DECIMAL, text) or float(text) > 1:
        raise ValueError(f"{text!r} is no fraction: say a number from 0 to 1, for example 0.5")
    return float(text)


def glob(text: str) -> str:
    """A shell glob of namespaces, or of the keys of labels and annotations."""
    if not is_glob(text):
        raise ValueError(
            f"{text!r} is no pattern: say letters, digits and -._/ with *, ? and [a-z] or [!a-z]"
        )
    return text


def per_source(read: Callable[[str], _T]) -> Callable[[str], tuple[str, _T]]:
    """``[NAME=]VALUE``: the source's name, ``""`` in the value for all others, and the value."""

    def read_it(text: str) -> tuple[str, _T]:
        name, equals, value = text.partition("=")
        if not equals:
            return "", read(text)
        if not name or not value:
            raise ValueError(f"{text!r} is not of the form [NAME=]VALUE")
        return name, read(value)

    return read_it


def named_value(read: Callable[[str], _T]) -> Callable[[str], tuple[str, _T]]:
    """``NAME=VALUE``. The value may be empty, if ``read`` takes that, and have a ``=`` in it."""

    def read_it(text: str) -> tuple[str, _T]:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ValueError(f"{text!r} is not of the form NAME=VALUE")
        return name, read(value)

    return read_it
