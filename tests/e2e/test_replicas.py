"""Two real Emitters of one real cluster behind one address: who is led to another one misses
nothing, and does not go back in time."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from .clusters import Cluster, RunningProgram, eventually, run_emitter, run_reflector

KEYS = [f"shop/kept-{i}" for i in range(3)]
SEED = 20261123


class Chooser:
    """Leads each connection to one of several ports, by a seeded draw."""

    def __init__(self, ports: list[int]) -> None:
        self.chosen: list[int] = []
        self._ports = ports
        self._random = random.Random(SEED)
        self._open: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                port = self._random.choice(self._ports)
                try:
                    server = socket.create_connection(("127.0.0.1", port))
                except OSError:
                    client.close()
                    continue
                self.chosen.append(port)
                self._open += [client, server]
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=ends, daemon=True).start()

    @staticmethod
    def _carry(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        cut, self._open = self._open, []
        for end in cut:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()


class Watched:
    """The counters that the mirrors carry, read again and again: none may decrease."""

    def __init__(self, west: Cluster) -> None:
        self.went_back: list[tuple[str, int, int]] = []
        self.seen: dict[str, int] = {}
        self._west = west
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            for found in self._west.list("services"):
                key = f"{found['metadata']['namespace']}/{found['metadata']['name']}"
                count = int(found["metadata"].get("labels", {}).get("count", -1))
                if key in KEYS and count < self.seen.get(key, -1):
                    self.went_back.append((key, self.seen[key], count))
                if key in KEYS:
                    self.seen[key] = count

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture(scope="module")
def replicas(
    east: Cluster, directory: Path, programs: list[RunningProgram]
) -> Iterator[tuple[list[RunningProgram], Chooser]]:
    pair = [run_emitter(directory / name, east) for name in ("a", "b")]
    programs += [program for program, _ in pair]
    for program, _ in pair:
        program.wait_until_ready()
    chooser = Chooser([int(url.rsplit(":", 1)[1]) for _, url in pair])
    yield [program for program, _ in pair], chooser
    chooser.close()


def test_a_reflector_between_replicas(
    east: Cluster,
    west: Cluster,
    directory: Path,
    programs: list[RunningProgram],
    replicas: tuple[list[RunningProgram], Chooser],
) -> None:
    emitters, chooser = replicas
    east.namespace("shop")
    for key in KEYS:
        east.export(key, "10.9.0.1")
    reflector = run_reflector(
        directory, west, f"--source-api=east={chooser.url}", "--client.request-timeout=2s"
    )
    programs.append(reflector)
    numbers = iter(range(10_000))
    count = dict.fromkeys(KEYS, -1)

    def write() -> None:
        for key in KEYS:
            count[key] = next(numbers)
            east.change(
                "services",
                key,
                lambda s, n=str(count[key]): s["metadata"].setdefault("labels", {}).update(count=n),
            )

    write()
    watched = Watched(west)
    try:
        eventually(reflector.log, lambda: watched.seen == count)
        drawn = random.Random(SEED)
        for _ in range(4):
            lagging = drawn.choice(emitters)
            lagging.pause()
            try:
                write()
                led = len(chooser.chosen)
                chooser.cut()
                eventually("led anew", lambda led=led: len(chooser.chosen) > led)  # type: ignore[misc]
                write()
            finally:
                lagging.resume()
            chooser.cut()
            write()
        eventually(
            lambda: f"{watched.seen} {count} {reflector.log()}", lambda: watched.seen == count, 30
        )
    finally:
        watched.stop()
    assert watched.went_back == []
    assert len(set(chooser.chosen)) == 2
