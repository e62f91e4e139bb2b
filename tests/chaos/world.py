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
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from e2e.clusters import COMMAND, Cluster, RunningProgram, eventually

from servicereflector.testing.envtest import ApiServer, Binaries
from servicereflector.testing.processes import free_port

from .agreement import Agreement
from .churn import NAMESPACE, Churn
from .deletions import Deletions
from .proxy import Proxy
from .servers import GROUPS, PULSE, clusters, complete, host_user, populate, port_of, users

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
        self.tokens = {user: user for user in users(reflectors)}
        self._command = command
        self._rounds = 0
        self.churned: Counter[str] = Counter()
        with ExitStack() as stack:
            populate(servers)
            port = free_port()
            targets = {
                API_TO_EMITTER: port_of(servers["east"]),
                EMITTER_TO_REFLECTOR: port,
                API_TO_REFLECTOR: port_of(servers["east"]),
                HOST: port_of(servers["west"]),
            }
            self.links = {name: Proxy(target) for name, target in targets.items()}
            for proxy in self.links.values():
                stack.callback(proxy.close)
            for name in self.tokens:
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
            self.agreement = Agreement(servers, self.reflector.log)
            self._name_processes()
            self.recovered(120)
            self.deletions = Deletions(self.west)
            stack.callback(self.deletions.stop)
            self._stack = stack.pop_all()
        self.agreement.keep()

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
        return self.servers[
            {"healthy": "north", "emitter": "east", "direct": "east"}.get(name, "west")
        ]

    @staticmethod
    def link_of(name: str) -> str:
        """The one that a kubeconfig leads over."""
        return {"emitter": API_TO_EMITTER, "direct": API_TO_REFLECTOR}.get(name, HOST)

    def _reflector(self, number: int, flags: Sequence[str]) -> RunningProgram:
        return RunningProgram(
            self.directory,
            f"reflector-{number}" if number else "reflector",
            f"--kubeconfig={self.kubeconfig(host_user(number))}",
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
        complete(self.east)

    def pulse(self, seconds: float) -> float:
        """Change what the healthy source exports; the seconds until it is seen in the host."""
        self._rounds += 1
        ips = [f"10.8.{self._rounds // 250}.{self._rounds % 250 + 1}"]
        Cluster(self.servers["north"]).set_ips(PULSE, *ips)
        began = time.monotonic()
        eventually(self.reflector.log, lambda: self.west.ips(PULSE) == ips, seconds)
        return time.monotonic() - began

    # What must hold of it

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
        return self.agreement.reached(seconds)

    def violations(self) -> list[str]:
        """What should never have happened, since the start."""
        return self.agreement.violations(self.deletions.seen, self.churned)


@contextmanager
def world(
    directory: Path,
    binaries: Binaries,
    *,
    reflectors: int = 1,
    flags: Sequence[str] = (),
    command: Sequence[str] = COMMAND,
    audit: Sequence[str] = (),
) -> Iterator[World]:
    """All of it, in agreement.

    :param flags: of each Reflector, beside the usual ones.
    :param audit: flags of the host's API server.
    """
    with clusters(binaries, reflectors, audit) as servers:
        made = World(directory, servers, reflectors, flags, command)
        try:
            yield made
        finally:
            made.close()
