"""What befalls the world: each begins at once, and ends when it is told to."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from .limits import Descriptors, FullDisk, Slots
from .proxy import Fault, Refuse, Reset
from .servers import INFLIGHT
from .world import EMITTER_TO_REFLECTOR, HOST, World

#: Begins the fault; the result ends it.
Begin = Callable[[World], Callable[[], None]]


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
