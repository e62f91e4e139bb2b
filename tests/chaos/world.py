"""A small world of real processes that faults can befall, and what must hold of it.

    east's API ──▶ Emitter ──▶ Reflector ──▶ west's API
        └──────────────────────▲  ▲
    north's API ──────────────────┘  a source that nothing befalls

A proxy stands on each of the other four links.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from e2e.clusters import COMMAND, Cluster, RunningProgram, eventually, in_parallel, subsets

from servicereflector.testing.envtest import ApiServer, Binaries
from servicereflector.testing.processes import free_port

from .churn import KINDS, NAMESPACE, Churn, attempt
from .deletions import Deletions
from .mirrors import Shape, differences, is_mirror, shapes
from .proxy import Proxy

#: How many Services of each group are there from start to end.
KEPT = 20

#: The sources of what is changed, which are also the values of the label ``of``.
GROUPS = {group: [f"{group}-{i}" for i in range(KEPT)] for group in ("emitted", "direct")}

#: In the host a stranger's, and exported by east as well.
TAKEN = f"{NAMESPACE}/taken"

#: What north exports.
PULSE = "pulse/pulse"

#: How many requests of a kind west answers at a time.
INFLIGHT = 24

#: A token of each kubeconfig: of no group, since the limits do not hold for system:masters.
TOKENS = {name: (name, name, ()) for name in ("emitter", "direct", "host", "healthy")}

#: The program with attempts that are at most three seconds apart, where half a minute or a minute
#: is usual: the more often something failed lately, the longer it waits.
HURRIED = (
    sys.executable,
    "-c",
    """
from servicereflector.__main__ import main
from servicereflector.listwatch.backoff import Backoff
from servicereflector.reflector import queue
Backoff.__init__.__defaults__ = (0.8, 3.0, 120.0)
queue.LAST_DELAY = 3.0
main()
""",
)

#: Seconds between two looks: they are not for nothing on the machine that is to recover.
_LOOK = 0.1

API_TO_EMITTER = "api to emitter"
EMITTER_TO_REFLECTOR = "emitter to reflector"
API_TO_REFLECTOR = "api to reflector"
HOST = "reflector to host"


class World:
    """
    :ivar links: the proxies, by what they are between.
    :ivar kill: ends a process, by its name, as SIGKILL does.
    :ivar start: starts it again, and returns when a server is ready, a program at once.
    """

    def __init__(
        self,
        directory: Path,
        servers: dict[str, ApiServer],
        reflectors: int,
        flags: Sequence[str],
        command: Sequence[str],
    ) -> None:
        """
        :param servers: east, north and west, as they come from :func:`clusters`.
        :param reflectors: how many there are, which makes sense with a flag that elects one.
        """
        self.directory = directory
        self.servers = servers
        self.tokens = {name: name for name in TOKENS}
        self._command = command
        self._rounds = 0
        self.churned: Counter[str] = Counter()
        with ExitStack() as stack:
            self._populate()
            port = free_port()
            targets = {
                API_TO_EMITTER: _port(servers["east"]),
                EMITTER_TO_REFLECTOR: port,
                API_TO_REFLECTOR: _port(servers["east"]),
                HOST: _port(servers["west"]),
            }
            self.links = {name: Proxy(target) for name, target in targets.items()}
            for proxy in self.links.values():
                stack.callback(proxy.close)
            for name in TOKENS:
                self.log_in(name)
            self.emitter = RunningProgram(
                directory,
                "emitter",
                f"--kubeconfig={self.kubeconfig('emitter')}",
                "--reflector=false",
                "--emitter.secure-port=0",
                "--emitter.insecure-bind-address=127.0.0.1",
                f"--emitter.insecure-port={port}",
                "--emitter.selector=of=emitted",
                command=command,
            )
            stack.callback(self.emitter.kill)
            self.reflectors = []
            for number in range(reflectors):
                program = self._reflector(number, flags)
                stack.callback(program.kill)
                self.reflectors.append(program)
            self.reflector = self.reflectors[0]
            self._name_processes()
            self.recovered(120)
            self.deletions = Deletions(self.west)
            stack.callback(self.deletions.stop)
            self._stack = stack.pop_all()
        self._foreign = self._stranger()
        self._uids = self.uids()

    def close(self) -> None:
        self._stack.close()

    # What is in it

    @property
    def east(self) -> Cluster:
        return Cluster(self.servers["east"])

    @property
    def west(self) -> Cluster:
        return Cluster(self.servers["west"])

    def kubeconfig(self, name: str) -> Path:
        return self.directory / f"{name}.kubeconfig"

    def token_file(self, name: str) -> Path:
        return self.directory / f"{name}.token"

    def log_in(self, name: str, user: Mapping[str, str] | None = None) -> None:
        """Write one of the kubeconfigs.

        :param user: by default one with a token in a file.
        """
        self.token_file(name).write_text(self.tokens[name])
        port = None if name == "healthy" else self.links[self.link_of(name)].port
        self.server_of(name).kubeconfig(
            self.kubeconfig(name),
            server=port and f"https://127.0.0.1:{port}",
            user=user or {"tokenFile": str(self.token_file(name))},
        )

    def server_of(self, name: str) -> ApiServer:
        """The one that a kubeconfig leads to."""
        return self.servers[{"host": "west", "healthy": "north"}.get(name, "east")]

    @staticmethod
    def link_of(name: str) -> str:
        """The one that a kubeconfig leads over."""
        return {"emitter": API_TO_EMITTER, "direct": API_TO_REFLECTOR, "host": HOST}[name]

    def _populate(self) -> None:
        self.east.namespace(NAMESPACE)
        self.west.namespace(NAMESPACE)
        north = Cluster(self.servers["north"])
        north.namespace("pulse")
        north.export(PULSE, "10.9.0.1")
        self.west.export(TAKEN, "10.66.0.1")
        self.east.export(TAKEN, "10.9.0.1", labels={"of": "emitted"})

        def export(name: str) -> None:
            labels = {"of": name.split("-", maxsplit=1)[0]}
            self.east.export(f"{NAMESPACE}/{name}", "10.9.0.1", labels=labels)

        in_parallel(export, [name for names in GROUPS.values() for name in names])

    def _reflector(self, number: int, flags: Sequence[str]) -> RunningProgram:
        return RunningProgram(
            self.directory,
            f"reflector-{number}" if number else "reflector",
            f"--kubeconfig={self.kubeconfig('host')}",
            "--emitter=false",
            f"--source-api=emitted=http://127.0.0.1:{self.links[EMITTER_TO_REFLECTOR].port}",
            f"--source-kubeconfig=direct={self.kubeconfig('direct')}",
            f"--source-kubeconfig=healthy={self.kubeconfig('healthy')}",
            "--reflector.source-selector=direct=of=direct",
            *flags,
            command=self._command,
        )

    def _name_processes(self) -> None:
        east, west = self.servers["east"], self.servers["west"]
        self.kill: dict[str, Callable[[], None]] = {
            "source etcd": east.kill_etcd,
            "source API server": east.kill_apiserver,
            "emitter": self.emitter.kill,
            "reflector": self.reflector.kill,
            "host API server": west.kill_apiserver,
            "host etcd": west.kill_etcd,
        }
        self.start: dict[str, Callable[[], None]] = {
            "source etcd": east.restart_etcd,
            "source API server": east.restart_apiserver,
            "emitter": self.emitter.start,
            "reflector": self.reflector.start,
            "host API server": west.restart_apiserver,
            "host etcd": west.restart_etcd,
        }

    # What happens in it

    @contextmanager
    def changing(self, seed: int) -> Iterator[Churn]:
        """All the while, east changes."""
        with Churn(lambda: self.east, GROUPS, seed) as churn:
            yield churn
        self.churned += churn.deleted
        self._complete()

    def _complete(self) -> None:
        """A change may have been cut short between a Service and its Endpoints."""
        east = self.east
        services, endpoints = (_exported(east, kind) for kind in KINDS)
        have = {one["metadata"]["name"] for one in endpoints}
        for service in services:
            metadata = {key: service["metadata"][key] for key in ("name", "labels")}
            if metadata["name"] not in have:
                path = f"/api/v1/namespaces/{NAMESPACE}/endpoints"
                east.must("POST", path, {"metadata": metadata, "subsets": subsets("10.9.0.1")})

    def pulse(self, seconds: float) -> float:
        """Change what the healthy source exports; the seconds until it is seen in the host."""
        self._rounds += 1
        ips = [f"10.8.{self._rounds // 250}.{self._rounds % 250 + 1}"]
        Cluster(self.servers["north"]).set_ips(PULSE, *ips)
        began = time.monotonic()
        eventually(self.reflector.log, lambda: self.west.ips(PULSE) == ips, seconds)
        return time.monotonic() - began

    # What must hold of it

    def uids(self) -> dict[str, str]:
        """Of the mirrors that are there from start to end."""
        kept = {f"{NAMESPACE}/{name}" for names in GROUPS.values() for name in names}
        found = {
            f"{s['metadata']['namespace']}/{s['metadata']['name']}": s["metadata"]["uid"]
            for s in self.west.list("services")
        }
        return {key: uid for key, uid in found.items() if key in kept}

    def _stranger(self) -> list[tuple[str, str]]:
        found = [self.west.get(kind, TAKEN) for kind in KINDS]
        return [(m["uid"], m["resourceVersion"]) for one in found if one for m in [one["metadata"]]]

    def _wanted(self) -> dict[str, Shape]:
        services, endpoints = (_exported(self.east, kind) for kind in KINDS)
        wanted = {}
        for group in GROUPS:
            of = [s for s in services if s["metadata"]["labels"]["of"] == group]
            wanted |= shapes(of, endpoints, group)
        del wanted[TAKEN]
        return wanted | shapes(
            *([Cluster(self.servers["north"]).get(kind, PULSE)] for kind in KINDS), "healthy"
        )

    def differences(self) -> tuple[int, list[str]]:
        """How many objects were compared, and what is not as it should be."""
        wanted = self._wanted()
        services = [s for s in self.west.list("services") if is_mirror(s)]
        found = shapes(services, self.west.list("endpoints"))
        return 2 * len(wanted.keys() | found.keys()), differences(wanted, found)

    def recovered_beside_changes(self) -> None:
        """Wait until a change of each source has arrived, while there are others."""
        for source in GROUPS:
            key = f"{NAMESPACE}/{source}-witness"
            if self.east.get("services", key) is None:
                self.east.export(key, "10.9.0.1", labels={"of": source})
            self._rounds += 1
            ips = [f"10.7.{self._rounds // 250}.{self._rounds % 250 + 1}"]
            self.east.set_ips(key, *ips)
            eventually(self.reflector.log, partial(self._has, key, ips), 60)

    def _has(self, key: str, ips: list[str]) -> bool:
        return self.west.ips(key) == ips

    def recovered(self, seconds: float) -> tuple[float, int]:
        """Wait until every mirror is what it should be: for how long, and how many objects."""
        began = time.monotonic()

        def told() -> str:
            return "\n".join([*self.differences()[1], self.reflector.log()])

        def equal() -> int:
            try:
                compared, different = self.differences()
            except (AssertionError, ValueError):  # a server that is not ready yet
                return 0
            if different:
                time.sleep(_LOOK)
            return 0 if different else compared

        compared = eventually(told, equal, seconds)
        return time.monotonic() - began, compared

    def violations(self) -> list[str]:
        """What should never have happened, since the start."""
        uids = self.uids()
        told = [f"{key} has another uid" for key, uid in uids.items() if self._uids[key] != uid]
        if self._stranger() != self._foreign:
            told.append(f"{TAKEN} was touched: {self._foreign}, {self._stranger()}")
        seen = self.deletions.seen
        told += [f"{key} was deleted {n} times" for key, n in seen.items() if n > self.churned[key]]
        return told


def _port(server: ApiServer) -> int:
    port = urlsplit(server.url).port
    assert port is not None
    return port


def _exported(cluster: Cluster, kind: str) -> list[dict[str, Any]]:
    path = f"/api/v1/namespaces/{NAMESPACE}/{kind}?labelSelector=of"
    answer = eventually(f"{kind} of the source", lambda: attempt(cluster, "GET", path))
    items: list[dict[str, Any]] = answer["items"]
    return items


@contextmanager
def clusters(binaries: Binaries) -> Iterator[dict[str, ApiServer]]:
    """East, north and west, started at the same time. They die with the threads that started
    them, which the pool keeps until all have been stopped."""
    limits = (
        "--enable-priority-and-fairness=false",
        f"--max-requests-inflight={INFLIGHT}",
        f"--max-mutating-requests-inflight={INFLIGHT}",
    )
    servers = {
        name: ApiServer(
            service_cluster_ip_range=f"10.{number}.0.0/16",
            tokens=TOKENS,
            binaries=binaries,
            extra_flags=limits if name == "west" else (),
        )
        for number, name in enumerate(("east", "north", "west"), 1)
    }
    with ThreadPoolExecutor(len(servers)) as pool:
        starts = [pool.submit(server.start) for server in servers.values()]
        try:
            for start in starts:
                start.result()
            yield servers
        finally:
            wait(starts)
            for server in servers.values():
                server.stop()


@contextmanager
def world(
    directory: Path,
    binaries: Binaries,
    *,
    reflectors: int = 1,
    flags: Sequence[str] = (),
    command: Sequence[str] = COMMAND,
) -> Iterator[World]:
    """All of it, in agreement.

    :param flags: of each Reflector, beside the usual ones.
    """
    with clusters(binaries) as servers:
        made = World(directory, servers, reflectors, flags, command)
        try:
            yield made
        finally:
            made.close()
