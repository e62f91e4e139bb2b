"""Processes of a benchmark: what they cost, the compiled load, the program."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from servicereflector.testing.certificates import Authority
from servicereflector.testing.processes import Process, free_port

LOAD = Path(__file__).parent / "load"

_TICKS = os.sysconf("SC_CLK_TCK")

#: Bytes.
PAGE = os.sysconf("SC_PAGE_SIZE")

#: Seconds within which anything begins or ends.
SOON = 300.0


def cpu_seconds(pid: int) -> float:
    """What a process has computed so far, in the kernel too, in all of its threads."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(stat[11]) + int(stat[12])) / _TICKS  # utime and stime, see proc(5)


def resident(pid: int) -> int:
    """Bytes of its memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def until(
    what: str, look: Callable[[], object], seconds: float = SOON, pause: float = 0.02
) -> None:
    """
    :param pause: seconds between two looks.
    :raises TimeoutError: it has not come to that.
    """
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(pause)


class Load:
    """The compiled tool; see ``load/main.go``.

    :raises FileNotFoundError: there is no Go to compile it.
    """

    def __init__(self, directory: Path) -> None:
        go = shutil.which("go")
        if go is None:
            raise FileNotFoundError("the yardsticks are compiled: Go 1.19 or newer is needed")
        self.program = directory / "load"
        subprocess.run([go, "build", "-o", str(self.program), "."], cwd=LOAD, check=True)

    def run(self, *arguments: object, lines: Iterable[bytes] = ()) -> dict[str, Any]:
        """What it tells when it has ended.

        :param lines: what it reads.
        :raises subprocess.CalledProcessError: something was not as expected.
        """
        done = subprocess.run(
            [str(self.program), *map(str, arguments)],
            input=b"".join(line + b"\n" for line in lines),
            stdout=subprocess.PIPE,
            check=True,
        )
        return _last(done.stdout)

    def start(self, *arguments: object) -> Running:
        """One that goes on, once it has told that it has begun."""
        return Running([str(self.program), *map(str, arguments)])


class Running:
    """A context manager: it ends with its block."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._answer()

    @property
    def pid(self) -> int:
        return self._process.pid

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, line: str) -> dict[str, Any]:
        """Its answer to a line.

        :raises EOFError: it has ended instead; why is on standard error.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return _last(self._process.stdout.readline())


def _last(told: bytes) -> dict[str, Any]:
    if not told.strip():
        raise EOFError("the load has ended early")
    answer: dict[str, Any] = json.loads(told.splitlines()[-1])
    return answer


class Program:
    """The installed program. A context manager: it ends with its block.

    :ivar plain: its Emitter over HTTP.
    :ivar secure: the same over HTTPS, whose certificate ``ca_file`` vouches for.
    :ivar began: when it was started, by ``time.monotonic``.
    """

    def __init__(self, directory: Path, kubeconfig: Path, *flags: str) -> None:
        directory.mkdir(parents=True)
        health, plain, secure = free_port(), free_port(), free_port()
        authority = Authority.create(directory / "pki", "benchmark")
        certificate, key = authority.server(["127.0.0.1"])
        self.ca_file = authority.ca_file
        self.plain, self.secure = f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{secure}"
        self._health = f"http://127.0.0.1:{health}"
        command = [
            *(sys.executable, "-m", "servicereflector"),
            f"--kubeconfig={kubeconfig}",
            f"--listen=127.0.0.1:{health}",
            *("--emitter.insecure-bind-address=127.0.0.1", f"--emitter.insecure-port={plain}"),
            *("--emitter.bind-address=127.0.0.1", f"--emitter.secure-port={secure}"),
            f"--emitter.tls-cert-file={certificate}",
            f"--emitter.tls-private-key-file={key}",
            # All clients are of one address here.
            "--emitter.max-connections-per-client=0",
            "--emitter.max-watches-per-client=0",
            "--log-level=warn",
            *flags,
        ]
        self._process = Process(command, directory, "log")

    def __enter__(self) -> Program:
        self.began = time.monotonic()
        self._process.start()
        try:
            until("the program is ready", self.ready)
        except BaseException:
            self._process.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            sys.stderr.write(self._process.log_tail())
        self._process.kill()

    @property
    def pid(self) -> int:
        pid = self._process.pid
        if pid is None:
            raise ChildProcessError(f"the program has ended: {self._process.log_tail()}")
        return pid

    def pause(self) -> None:
        """It does nothing more until it is ended."""
        os.kill(self.pid, signal.SIGSTOP)

    def ready(self) -> bool:
        return self.pid > 0 and self._fetch("/readyz") == b"ok"

    def samples(self) -> dict[str, float]:
        """Its metrics, by name and labels, less the prefix that all have."""
        lines = self._fetch("/metrics").decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name.removeprefix("service_reflector_"): float(value) for name, _, value in pairs}

    def _fetch(self, path: str) -> bytes:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self._health + path, timeout=SOON) as answer:
                body: bytes = answer.read()
                return body
        except OSError:  # also an HTTPError: not yet
            return b""
