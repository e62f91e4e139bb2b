"""Faults of scarcity: no slot of an API server, no descriptor, no room for the log."""

from __future__ import annotations

import os
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

from e2e.clusters import Cluster, RunningProgram, eventually, fetch

from servicereflector.testing.envtest import ApiServer

#: What an API server cannot put into the kernel's buffers when nobody reads.
_BIG = 8
_CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


class Slots:
    """Takes all of an API server's slots for requests, as a flood does, but with no work at all.

    :ivar server: started with ``--max-requests-inflight`` and
        ``--max-mutating-requests-inflight``, and without priorities.
    """

    def __init__(self, server: ApiServer, token: str, count: int) -> None:
        """
        :param token: of nobody in system:masters, for whom there is always a slot.
        """
        self.server = server
        self._token = token
        self._count = count
        self._held = ExitStack()
        self._tls = ssl.create_default_context(cafile=str(server.ca_file))

    def take_writes(self) -> None:
        """By bodies that do not come."""
        self._take("POST", "Content-Type: application/json\r\nContent-Length: 1000\r\n", b"{")
        self._wait("DELETE")

    def take_reads(self) -> None:
        """By answers that nobody takes."""
        admin = Cluster(self.server)
        for number in range(_BIG):
            body = {"metadata": {"name": f"big-{number}"}, "data": {"text": "x" * 1_000_000}}
            with suppress(ValueError):
                admin.call("POST", _CONFIG_MAPS, body)
        self._take("GET", "", b"")
        self._wait("GET")

    def release(self) -> None:
        self._held.close()

    def _take(self, method: str, headers: str, body: bytes) -> None:
        head = f"{method} {_CONFIG_MAPS} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: flood\r\n"
        head += f"Authorization: Bearer {self._token}\r\n{headers}\r\n"
        address = urlsplit(self.server.url)
        for _ in range(self._count):
            plain = socket.socket()
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.settimeout(20)
            plain.connect((address.hostname, address.port))
            client = self._tls.wrap_socket(plain, server_hostname="127.0.0.1")
            self._held.enter_context(client)
            client.sendall(head.encode() + body)

    def _wait(self, method: str) -> None:
        """Until there is no slot left."""
        url = f"{self.server.url}{_CONFIG_MAPS}/none"
        headers = {"Authorization": f"Bearer {self._token}"}

        def refused() -> bool:
            return fetch(url, self._tls, method=method, headers=headers)[0] == 429

        eventually("429", refused)


class Descriptors:
    """Takes all of a program's descriptors, by connections that say nothing."""

    def __init__(self, program: RunningProgram, url: str, spare: int = 4) -> None:
        """
        :param url: where it takes connections.
        :param spare: how many more than now it may have, from now on.
        """
        pid = program.pid
        assert pid is not None
        self.limit = len(os.listdir(f"/proc/{pid}/fd")) + spare
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (self.limit, hard))
        address = urlsplit(url)
        self._held = [
            socket.create_connection((address.hostname, address.port or 80)) for _ in range(64)
        ]
        eventually("none is left", lambda: len(os.listdir(f"/proc/{pid}/fd")) >= self.limit)

    def release(self) -> None:
        """The connections go, the limit stays."""
        for client in self._held:
            client.close()


class FullDisk:
    """The log of a program cannot grow any more."""

    def __init__(self, program: RunningProgram) -> None:
        assert program.pid is not None
        self._pid = program.pid
        self._before = resource.prlimit(self._pid, resource.RLIMIT_FSIZE)
        size = program.log_file.stat().st_size
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (size, self._before[1]))

    def release(self) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, self._before)


def resident(pid: int) -> int:
    """KB of memory that a process has."""
    return next(int(line.split()[1]) for line in _status(pid) if line.startswith("VmRSS"))


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _status(pid: int) -> Iterator[str]:
    with open(f"/proc/{pid}/status") as file:
        yield from file
