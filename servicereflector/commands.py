"""The commands that ask the running program: status, explain, release, forget. They block."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, TextIO
from urllib.parse import quote

import orjson
from twisted.python import usage

from .flags import Flag, FlagOptions, one_of
from .ops.admin import default_path
from .printouts import explain_text, is_known, printable, status_text

#: Seconds within which the program answers.
TIMEOUT = 10.0

_SOCKET = Flag(
    "admin-socket",
    "",
    "The Unix socket of the running program, where its --admin-socket is not the default.",
)
_OUTPUT = Flag("output", "text", "text or json; also -o.", one_of(("text", "json")))

#: As kubectl has it.
SHORTS = {"-o": "--output"}


class CommandError(Exception):
    """The program cannot be asked, or says no: one line."""


class _CommandOptions(FlagOptions):
    """Flags before or behind the arguments.

    :ivar arguments: what is no flag, and all that is behind ``--``.
    """

    command: ClassVar[str]
    told: ClassVar[str]
    names: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__()
        self.arguments: list[str] = []

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        :raises usage.UsageError: naming what is wrong.
        """
        rest, flags = list(options or ()), []
        while rest:
            argument = rest.pop(0)
            if argument == "--":
                self.arguments += rest
                break
            if not argument.startswith("-"):
                self.arguments.append(argument)
                continue
            short, value = argument[:2], argument[2:]
            if short in self.shorts and value:  # -ojson, -o=json
                argument = f"{self.shorts[short]}={value.removeprefix('=')}"
            flags.append(argument)
            valued = {f"--{flag.name}" for flag in self.flags} | self.shorts.keys()
            if argument in valued:
                flags += rest[:1]
                del rest[:1]
        super().parseOptions(flags)

    def postOptions(self) -> None:
        super().postOptions()
        if not self["admin-socket"] and self.parent is not None:
            # The program has the flag, too: it counts wherever it stands.
            self["admin-socket"] = self.parent.get("admin-socket", "")
        if len(self.arguments) != len(self.names):
            told = " ".join((self.command, *self.names))
            raise usage.UsageError(f"say: service-reflector {told}")

    def getSynopsis(self) -> str:
        names = "".join(f" {name}" for name in self.names)
        return f"Usage: service-reflector {self.command}{names} [flags]\n\n{self.told}"


class StatusOptions(_CommandOptions):
    """The flags of ``service-reflector status``."""

    flags = (_SOCKET, _OUTPUT)
    shorts = SHORTS
    command = "status"
    told = "The sources and mirrors of the running program."


class ExplainOptions(_CommandOptions):
    """The flags of ``service-reflector explain``."""

    flags = (_SOCKET, _OUTPUT)
    shorts = SHORTS
    command = "explain"
    names = ("NAMESPACE/NAME",)
    told = "Who exports a Service, who owns the name, why, and what was done lately."

    def postOptions(self) -> None:
        super().postOptions()
        namespace, slash, name = self.arguments[0].partition("/")
        if not (namespace and slash and name) or "/" in name:
            raise usage.UsageError(f"{self.arguments[0]!r} is not of the form NAMESPACE/NAME")


class ReleaseOptions(_CommandOptions):
    """The flags of ``service-reflector release``."""

    flags = (_SOCKET,)
    command = "release"
    names = ("SOURCE",)
    told = "Has the deletions go ahead that are held because a list lacked most of the mirrors."


class ForgetOptions(_CommandOptions):
    """The flags of ``service-reflector forget``."""

    flags = (_SOCKET,)
    command = "forget"
    names = ("SOURCE",)
    told = "Deletes the mirrors of a source that is no longer configured."


#: As usage.Options takes them.
COMMANDS: list[list[Any]] = [
    ["status", None, StatusOptions, StatusOptions.told],
    ["explain", None, ExplainOptions, ExplainOptions.told],
    ["release", None, ReleaseOptions, ReleaseOptions.told],
    ["forget", None, ForgetOptions, ForgetOptions.told],
]


def run(options: FlagOptions, out: TextIO, err: TextIO) -> int:
    """Carry the command out; the status of the process."""
    assert isinstance(options, _CommandOptions)
    path = Path(options["admin-socket"] or default_path(os.environ))
    try:
        return _run(options, path, out)
    except CommandError as error:
        err.write(f"service-reflector: {printable(str(error))}\n")
        return 1


def _run(options: _CommandOptions, path: Path, out: TextIO) -> int:
    told: Iterator[str]
    status = 0
    match options:
        case StatusOptions():
            answer = ask(path, "GET", "/status")
            told = status_text(answer)
        case ExplainOptions():
            namespace, _, name = options.arguments[0].partition("/")
            answer = ask(path, "GET", f"/explain/{_quoted(namespace)}/{_quoted(name)}")
            told = explain_text(answer)
            status = 0 if is_known(answer) else 1
        case _:
            source = _quoted(options.arguments[0])
            answer = ask(path, "POST", f"/{options.command}?source={source}")
            told = iter([answer.get("message", "")])
    told = map(printable, told)
    if options.get("output") == "json":
        told = iter([orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode()])
    _write(out, "".join(f"{line}\n" for line in told))
    return status


def _write(out: TextIO, text: str) -> None:
    encoding = out.encoding or "utf-8"
    try:
        out.write(text.encode(encoding, "backslashreplace").decode(encoding))
        out.flush()
    except BrokenPipeError:
        # As head has it. Python would try once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="replace")


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.fspath(self._path))


def ask(path: Path, method: str, target: str) -> dict[str, Any]:
    """What the program behind the socket answers.

    :raises CommandError: nobody answers there, or with a refusal.
    """
    connection = _Connection(path)
    try:
        connection.request(method, target)
        answer = orjson.loads(connection.getresponse().read())
    except PermissionError:
        raise CommandError(f"{path} is another user's: ask as the one who runs it") from None
    except (OSError, http.client.HTTPException, orjson.JSONDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise CommandError(
            f"no service-reflector answers on {path} ({why}): is it running, as this user, and"
            " with this --admin-socket?"
        ) from None
    finally:
        connection.close()
    if not isinstance(answer, dict):
        raise CommandError(f"what answers on {path} is no service-reflector")
    if "error" in answer:
        raise CommandError(" ".join(str(answer["error"]).split()))
    found: dict[str, Any] = answer
    return found
