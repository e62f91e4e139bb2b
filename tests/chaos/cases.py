"""Every fault that is tried, and where. docs/failure.md tells of each kind."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from . import garbage
from .limits import Descriptors, FullDisk, Slots
from .proxy import Answer, BlackHole, Fault, HalfOpen, Refuse, Reset, Throttle
from .world import (
    API_TO_EMITTER,
    API_TO_REFLECTOR,
    EMITTER_TO_REFLECTOR,
    HOST,
    INFLIGHT,
    World,
)

#: Begins the fault; the result ends it.
Begin = Callable[[World], Callable[[], None]]

#: Pairs of processes that are killed together are drawn from this seed.
SEED = 20261123


@dataclass(frozen=True, slots=True)
class Case:
    """
    :ivar kind: as docs/failure.md calls it.
    :ivar where: which process or link.
    :ivar quick: whether it is tried in every run of the tests.
    :ivar apart: whether the healthy source must not notice.
    :ivar bound: seconds within which everything must be as it should be again.
    """

    kind: str
    where: str
    begin: Begin
    quick: bool = False
    apart: bool = True
    bound: float = 60.0

    @property
    def name(self) -> str:
        return f"{self.kind}: {self.where}"


def kill(*names: str) -> Begin:
    def begin(world: World) -> Callable[[], None]:
        for name in names:
            world.kill[name]()

        def end() -> None:
            # An API server cannot be ready before its etcd is.
            for name in sorted(names, key=lambda name: not name.endswith("etcd")):
                world.start[name]()

        return end

    return begin


def between(link: str, fault: Fault) -> Begin:
    def begin(world: World) -> Callable[[], None]:
        world.links[link].use(fault)
        return lambda: world.links[link].use(None)

    return begin


def compaction(link: str) -> Begin:
    """Who watched over the link is away, and etcd forgets what it missed."""

    def begin(world: World) -> Callable[[], None]:
        world.links[link].use(Refuse())
        cluster = world.west if link == HOST else world.east

        def end() -> None:
            listed = cluster.must("GET", "/api/v1/services")
            cluster.server.compact_etcd(listed["metadata"]["resourceVersion"])
            cluster.server.restart_apiserver()
            world.links[link].use(None)

        return end

    return begin


def too_many_writes(world: World) -> Callable[[], None]:
    slots = Slots(world.servers["west"], world.tokens["host"], INFLIGHT)
    slots.take_writes()
    return slots.release


def too_many_reads(world: World) -> Callable[[], None]:
    """The Reflector begins anew, and cannot list."""
    slots = Slots(world.servers["west"], world.tokens["host"], INFLIGHT)
    world.kill["reflector"]()
    slots.take_reads()
    world.start["reflector"]()
    return slots.release


def token(name: str) -> Begin:
    """A token ends; then there is another in its file."""

    def begin(world: World) -> Callable[[], None]:
        server = world.server_of(name)
        world.tokens[name] = f"{name}-{time.monotonic_ns()}"
        server.replace_tokens({t: (n, n, ()) for n, t in world.tokens.items()})
        server.restart_apiserver()
        return lambda: world.log_in(name)

    return begin


def client_certificate(name: str, process: str) -> Begin:
    """A certificate ends, and the connection with it; then the kubeconfig names another."""

    def begin(world: World) -> Callable[[], None]:
        def show(lifetime: timedelta) -> None:
            made = world.server_of(name).client_certificate(name, lifetime=lifetime)
            certificate, key = map(str, made)
            user = {"client-certificate": certificate, "client-key": key}
            world.log_in(name, user=user)

        world.kill[process]()
        lifetime = timedelta(seconds=8)
        show(lifetime)
        ends = time.monotonic() + lifetime.total_seconds()
        world.start[process]()
        world.recovered_beside_changes()
        time.sleep(max(0.0, ends - time.monotonic()))
        link = world.links[world.link_of(name)]
        link.use(Reset())
        link.use(None)
        return lambda: show(timedelta(days=1))

    return begin


def server_certificate(world: World) -> Callable[[], None]:
    east = world.servers["east"]
    east.kill_apiserver()
    east.replace_server_certificate()
    return east.restart_apiserver


def server_authority(world: World) -> Callable[[], None]:
    """The kubeconfigs come to name the new one later than the server shows it."""
    east = world.servers["east"]
    east.replace_server_certificate(authority=f"authority-{time.monotonic_ns()}")
    east.restart_apiserver()

    def end() -> None:
        for name in ("emitter", "direct"):
            world.log_in(name)

    return end


def full_disk(world: World) -> Callable[[], None]:
    """There would be something to log."""
    disk = FullDisk(world.reflector)
    world.links[EMITTER_TO_REFLECTOR].use(Reset())
    world.links[EMITTER_TO_REFLECTOR].use(None)
    return disk.release


def descriptors(process: str, link: str) -> Begin:
    """And the program needs new ones."""

    def begin(world: World) -> Callable[[], None]:
        if process == "emitter":
            taken = Descriptors(world.emitter, f"http://127.0.0.1:{world.links[link].target}")
        else:
            taken = Descriptors(world.reflector, world.reflector.health)
        world.links[link].use(Reset())
        world.links[link].use(None)
        return taken.release

    return begin


PROCESSES = (
    "source etcd",
    "source API server",
    "emitter",
    "reflector",
    "host API server",
    "host etcd",
)
LINKS = (API_TO_EMITTER, EMITTER_TO_REFLECTOR, API_TO_REFLECTOR, HOST)

#: Bytes: about a dozen events.
_SOME = 8000

#: To each kind the link where it is tried in every run.
_ON_LINKS: dict[str, tuple[Fault, str]] = {
    "refused": (Refuse(), EMITTER_TO_REFLECTOR),
    "black hole": (BlackHole(), API_TO_REFLECTOR),
    "half-open, then reset": (HalfOpen(forgotten=True), HOST),
    "reset": (Reset(), API_TO_EMITTER),
    "reset after some bytes": (Reset(after=_SOME), API_TO_REFLECTOR),
    "throttled": (Throttle(2000), HOST),
}

_ANSWERS = {
    "HTML": garbage.html,
    "nested JSON": garbage.nested,
    "endless line": garbage.endless_line,
    "endless headers": garbage.endless_headers,
    "endless status line": garbage.endless_status,
    "a gigabyte that drips": garbage.dripping,
}


#: The two that start fastest.
_CHEAPEST = ("emitter", "reflector")


def _mirrors_wait(names: tuple[str, ...]) -> bool:
    return any(name == "reflector" or name.startswith("host") for name in names)


def _pairs() -> list[tuple[str, ...]]:
    others = [pair for pair in itertools.combinations(PROCESSES, 2) if pair != _CHEAPEST]
    return [_CHEAPEST, *random.Random(SEED).sample(others, 7)]


CASES = [
    *(
        # tests/e2e/test_restarts.py kills each of them in every run.
        Case("killed", name, kill(name), quick=name == "emitter", apart=not _mirrors_wait((name,)))
        for name in PROCESSES
    ),
    *(
        Case(
            "two killed",
            " and ".join(pair),
            kill(*pair),
            quick=pair == _CHEAPEST,
            apart=not _mirrors_wait(pair),
        )
        for pair in _pairs()
    ),
    *(
        Case(kind, link, between(link, fault), quick=link == quick, apart=link != HOST)
        for kind, (fault, quick) in _ON_LINKS.items()
        for link in LINKS
    ),
    *(
        Case(
            "half-open for good",
            link,
            between(link, HalfOpen()),
            apart=link != HOST,
            bound=120,
        )
        for link in LINKS
    ),
    *(
        Case(
            kind,
            EMITTER_TO_REFLECTOR,
            between(EMITTER_TO_REFLECTOR, Answer(chunks, pause=0.01)),
            quick=True,
        )
        for kind, chunks in _ANSWERS.items()
    ),
    *(
        Case("no TLS", link, between(link, Answer(garbage.html)), apart=link != HOST)
        for link in (API_TO_EMITTER, API_TO_REFLECTOR, HOST)
    ),
    *(
        Case("compacted", link, compaction(link), quick=link == API_TO_EMITTER, apart=link != HOST)
        for link in (API_TO_EMITTER, API_TO_REFLECTOR, HOST)
    ),
    Case("too many writes", "host API server", too_many_writes, quick=True, apart=False),
    Case("too many reads", "host API server", too_many_reads, quick=True, apart=False),
    *(
        Case("token ended", name, token(name), quick=name == "direct", apart=name != "host")
        for name in ("emitter", "direct", "host")
    ),
    *(
        Case(
            "client certificate ended",
            name,
            client_certificate(name, process),
            quick=name == "emitter",
            apart=name != "host",
        )
        for name, process in (
            ("emitter", "emitter"),
            ("direct", "reflector"),
            ("host", "reflector"),
        )
    ),
    Case("server certificate replaced", "source API server", server_certificate),
    Case("authority replaced", "source API server", server_authority, bound=120),
    Case("log cannot be written", "reflector", full_disk, quick=True),
    Case("no descriptors", "emitter", descriptors("emitter", EMITTER_TO_REFLECTOR), quick=True),
    Case(
        "no descriptors",
        "reflector",
        descriptors("reflector", HOST),
        quick=True,
        apart=False,
    ),
]
