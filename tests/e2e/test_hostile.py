"""Clients that mean harm to the installed Emitter: it stays small, and serves the others.

Each prints its line of figures; ``docs/limits.md`` tells those of one run.
"""

from __future__ import annotations

import json
import resource
import select
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from .clusters import Cluster, RunningProgram, eventually, fetch, in_parallel, run_emitter

#: Bytes of the annotation that makes lists large; and how many Services there are.
PADDING, SERVICES = 8192, 300

#: Seconds within which a client that behaves is answered, on a machine that does much else.
PROMPT = 20.0

#: Bytes by which the process may grow. Python gives back little of what it had.
MOST = 96 * 2**20


class Victim:
    """An Emitter, and what harms it."""

    def __init__(self, program: RunningProgram, url: str) -> None:
        self.program = program
        self.url = url
        self._port = urlsplit(url).port
        self._before = 0
        self._open: list[socket.socket] = []

    def resident(self) -> int:
        """Bytes of memory."""
        pages = Path(f"/proc/{self.program.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    def connect(self, client: int, *, small: bool = False) -> socket.socket:
        """A connection of one of many clients.

        :param small: with little room for what comes.
        """
        found = socket.socket()
        if small:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        found.bind((f"127.0.{1 + client // 250}.{1 + client % 250}", 0))
        found.connect(("127.0.0.1", self._port))
        self._open.append(found)
        return found

    def limit(self, name: str) -> float:
        return self.program.metric(f'service_reflector_emitter_limits_total{{limit="{name}"}}')

    def behaves(self) -> float:
        """Seconds that a client needs for a list and the beginning of a watch."""
        began = time.monotonic()
        code, body = fetch(f"{self.url}/api/v1/services")
        assert code == 200, body
        assert len(json.loads(body)["items"]) == SERVICES
        code, body = fetch(f"{self.url}/api/v1/services?watch=1&timeoutSeconds=1&limit=1")
        assert code == 200
        return time.monotonic() - began - 1

    @contextmanager
    def under(self, what: str) -> Iterator[Callable[[], None]]:
        """Measures at the call of what it gives, and again at its end."""
        before, worst = self.resident(), [0.0, 0]

        def look() -> None:
            took = self.behaves()
            worst[:] = [max(worst[0], took), max(worst[1], self.resident() - before)]

        try:
            yield look
            look()
        finally:
            for one in self._open:
                one.close()
            self._open.clear()
        print(f"{what}: +{worst[1] / 2**20:.1f} MiB, others wait {worst[0]:.2f} s")  # noqa: T201
        assert worst[1] < MOST
        assert worst[0] < PROMPT


@pytest.fixture(scope="module")
def victim(east: Cluster, directory: Path, programs: list[RunningProgram]) -> Victim:
    east.namespace("shop")
    padding = {"padding": "x" * PADDING}
    in_parallel(
        lambda n: east.create(
            "services",
            f"shop/s{n:03}",
            metadata={"annotations": padding},
            spec={"ports": [{"port": 80}]},
        ),
        range(SERVICES),
    )
    flags = ("--emitter.header-timeout=5s", "--emitter.max-watches-per-client=600")
    program, url = run_emitter(directory, east, *flags)
    programs.append(program)
    program.wait_until_ready()
    victim = Victim(program, url)
    eventually(program.log, lambda: victim.behaves() is not None)
    for _ in range(3):  # what it has needed once, it keeps
        victim.behaves()
    return victim


def ended(connections: list[socket.socket]) -> int:
    """How many of them the server has closed, having sent nothing."""
    found = 0
    for one in connections:
        readable, _, _ = select.select([one], [], [], 0) if one.fileno() < 1024 else poll(one)
        if readable:
            try:
                found += one.recv(1) == b""
            except ConnectionResetError:
                found += 1
    return found


def poll(one: socket.socket) -> tuple[list[object], list[object], list[object]]:
    """As select, which knows descriptors below 1024 only."""
    poller = select.poll()
    poller.register(one, select.POLLIN)
    return [*poller.poll(0)], [], []


def test_a_slow_loris(victim: Victim) -> None:
    """Five hundred connections, each a byte now and then of a request that does not end."""
    with victim.under("500 that send a byte at a time") as look:
        slow = [victim.connect(n % 5) for n in range(500)]
        gone: set[int] = set()

        def all_gone() -> bool:
            for number, one in enumerate(slow):
                try:
                    one.send(b"G")
                except OSError:
                    gone.add(number)
            return len(gone) == len(slow)

        all_gone()
        look()
        eventually("the end of all", all_gone, 15)
        assert victim.limit("header_timeout") >= 500


def test_ten_thousand_that_say_nothing(victim: Victim) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    many = min(10_000, hard - 1000)
    assert many > 3000, "too few descriptors for this test"
    before = victim.limit("header_timeout")
    with victim.under(f"{many} that say nothing") as look:
        for n in range(many):
            victim.connect(n % 100)
        look()
        eventually("their end", lambda: victim.limit("header_timeout") - before >= many * 0.9, 30)


def test_one_client_has_no_more_than_its_share(victim: Victim) -> None:
    """The connections of others stay."""
    with victim.under("1500 of one client") as look:
        other = victim.connect(1)
        greedy = [victim.connect(0) for _ in range(1500)]
        look()
        evicted = victim.limit("evicted") + victim.limit("connections_per_client")
        assert evicted >= 500
        assert ended(greedy) >= 500
        assert ended([other]) == 0


def test_watches_that_are_not_read(victim: Victim, east: Cluster) -> None:
    """Five hundred, beside which everything changes."""
    watch = b"GET /api/v1/services?watch=1 HTTP/1.1\r\nHost: x\r\n\r\n"
    with victim.under("500 watches that are not read") as look:
        for _ in range(500):
            victim.connect(0, small=True).sendall(watch)
        eventually(
            "all",
            lambda: victim.program.metric("service_reflector_emitter_watchers") >= 500,
        )
        in_parallel(
            lambda n: east.change(
                "services",
                f"shop/s{n:03}",
                lambda found: found["metadata"]["annotations"].update(round="1"),
            ),
            range(SERVICES),
        )
        look()


def test_lists_that_are_not_read(victim: Victim) -> None:
    """Two hundred, where a hundred are served at a time: who takes nothing makes room."""
    get = b"GET /api/v1/services HTTP/1.1\r\nHost: x\r\n\r\n"
    with victim.under("200 lists that are not read") as look:
        for n in range(200):
            victim.connect(n // 18, small=True).sendall(get)
        eventually("a full house", lambda: victim.limit("lists") > 0)
        eventually("room", lambda: fetch(f"{victim.url}/api/v1/services")[0] == 200, 5)
        look()


def test_absurd_questions(victim: Victim) -> None:
    def asks(query: str) -> int:
        began = time.monotonic()
        code, body = fetch(f"{victim.url}/api/v1/services?{query}")
        assert time.monotonic() - began < PROMPT
        assert code == 414 or json.loads(body)["kind"] in ("Status", "ServiceList")
        return code

    with victim.under("absurd questions"):
        many = ",".join(f"k{n}" for n in range(10_000))
        assert asks(f"labelSelector={many}") == 414
        assert asks(f"labelSelector={many[:8000]}") == 400
        assert asks(f"labelSelector=k+in+({many[:8000]})") == 400
        assert asks(f"fieldSelector={','.join(['metadata.name=a'] * 500)}") in (200, 400)
        assert asks("limit=-5") == 200
        assert asks(f"limit={10**30}") == 400
        assert asks("timeoutSeconds=" + "9" * 5000) == 400
        assert asks("continue=" + "A" * 8000) == 400
        assert asks("resourceVersion=" + "9" * 8000) in (400, 500)
