"""Server processes for tests: they log to a file, end by pid and die with whoever started them."""

import os
import random
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_LOG_TAIL_BYTES = 4000
# Below every system's ephemeral range. A port of that range can be lost between a server's kill and
# its restart: a client that keeps trying to connect to it may get it as its own local port.
_PORTS = range(15000, 30000)

#: The ports that were given, each with what keeps it from other processes that ask for one.
_given: dict[int, socket.socket] = {}

# Becomes the program, under the same pid. A preexec_fn would do, but not beside threads.
_LAUNCHER = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):  # ended before the line above
        sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""


def free_port() -> int:
    """Pick a TCP port of 127.0.0.1 on which nothing listens now; never the same one twice.

    On Linux no other process is given it either, as long as this one runs, even while the port's
    server is down: a socket stays bound to it. Servers can listen there beside it if they set
    SO_REUSEADDR, as those of Go, Node.js and Twisted do.
    """
    while True:
        port = random.choice(_PORTS)
        if port in _given:  # its server may be down for a moment
            continue
        probe = socket.socket()
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            probe.close()
            continue
        # Since now: with it before, two processes could bind the same port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform != "linux":  # elsewhere nobody could listen beside it
            probe.close()
        _given[port] = probe
        return port


class Process:
    """One program that can be started, killed and started again with the same arguments.

    On Linux the kernel kills it when the *thread* that called :meth:`start` ends, however it ends:
    start servers from the main thread, or from one that lives as long as they are needed.
    """

    def __init__(self, arguments: Sequence[str], directory: Path, log_name: str) -> None:
        """Start nothing yet. `directory` is its working directory, HOME, and place of its log."""
        self._arguments = arguments
        self._directory = directory
        self._log = directory / log_name
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        if self._running is None or self._running.poll() is not None:
            return None
        return self._running.pid

    def start(self) -> None:
        """Start it, in a session of its own: a terminal's Ctrl-C is for the tests alone."""
        # A bare environment: etcd takes every ETCD_* variable for a flag.
        environment = {"HOME": str(self._directory), "TMPDIR": str(self._directory)}
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(os.getpid()), *self._arguments],
                cwd=self._directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it with SIGKILL and wait until it is gone. Does nothing where it does not run."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None

    def log_tail(self) -> str:
        """Return the end of its log."""
        return self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
