"""Real clusters and the real program, as processes, for the end-to-end tests."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from servicereflector.testing.envtest import ApiServer
from servicereflector.testing.processes import Process, free_port

Json = dict[str, Any]
T = TypeVar("T")

#: The installed command.
COMMAND = (sys.executable, "-m", "servicereflector")

SOURCE = "service-reflector.squat.ai/source"


def hurried(**constants: float) -> tuple[str, ...]:
    """The command with other constants of time, for what tests cannot wait for.

    :param constants: each by its module and name, as ``reflector__namespaces__GRACE``.
    """
    lines = ["from servicereflector.__main__ import main"]
    for constant, value in constants.items():
        module, _, name = constant.replace("__", ".").rpartition(".")
        lines.append(f"import servicereflector.{module} as module")
        lines.append(f"assert hasattr(module, {name!r})")
        lines.append(f"module.{name} = {value!r}")
    return (sys.executable, "-c", "\n".join([*lines, "main()"]))


def eventually(
    what: str | Callable[[], str], look: Callable[[], T | None], seconds: float = 20.0
) -> T:
    """What ``look`` finds, as soon as it finds something; asked again until the deadline.

    :param what: or what tells it when the deadline has passed, such as the log of a program.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() >= deadline:
            told = what if isinstance(what, str) else what()
            raise AssertionError(f"not within {seconds:g} s: {told}")
        time.sleep(0.05)  # a question is a TLS handshake, mostly: asked more often, it delays


def fetch(url: str, context: ssl.SSLContext | None = None, **request: Any) -> tuple[int, bytes]:
    """One HTTP exchange; 0 and the reason where nobody answers."""
    headers = {"User-Agent": "e2e", **request.pop("headers", {})}
    asked = urllib.request.Request(url, headers=headers, **request)
    try:
        with urllib.request.urlopen(asked, context=context, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        return 0, str(error).encode()


class Cluster:
    """A real cluster, and words to say what is in it."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self._tls = ssl.create_default_context(cafile=str(server.ca_file))

    def call(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        code, answer = fetch(
            self.server.url + path,
            self._tls,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.server.admin_token}",
                "Content-Type": "application/json",
            },
        )
        return code, json.loads(answer) if code else {}

    def must(self, method: str, path: str, body: Json | None = None) -> Json:
        code, answer = self.call(method, path, body)
        assert code in (200, 201), answer
        return answer

    def get(self, kind: str, key: str) -> Json | None:
        """The object, None where there is none."""
        namespace, name = key.split("/")
        code, answer = self.call("GET", f"/api/v1/namespaces/{namespace}/{kind}/{name}")
        assert code in (0, 200, 404), answer
        return answer if code == 200 else None

    def create(self, kind: str, key: str, **rest: Any) -> Json:
        namespace, name = key.split("/")
        metadata = {"name": name, **rest.pop("metadata", {})}
        path = f"/api/v1/namespaces/{namespace}/{kind}"
        return self.must("POST", path, {"metadata": metadata, **rest})

    def change(self, kind: str, key: str, change: Callable[[Json], None]) -> Json:
        """Read, change, write; again where somebody else was faster."""
        namespace, name = key.split("/")
        while True:
            current = self.get(kind, key)
            assert current is not None, key
            change(current)
            path = f"/api/v1/namespaces/{namespace}/{kind}/{name}"
            code, answer = self.call("PUT", path, current)
            if code != 409:
                assert code == 200, answer
                return answer

    def delete(self, kind: str, key: str) -> None:
        namespace, name = key.split("/")
        self.must("DELETE", f"/api/v1/namespaces/{namespace}/{kind}/{name}")

    def list(self, kind: str) -> list[Json]:
        items: list[Json] = self.must("GET", f"/api/v1/{kind}")["items"]
        return items

    def namespace(self, name: str) -> None:
        self.must("POST", "/api/v1/namespaces", {"metadata": {"name": name}})

    def export(
        self, key: str, *ips: str, ports: Iterable[Json] = ({"port": 80},), **metadata: Any
    ) -> None:
        """A Service with its Endpoints.

        :param metadata: of both, such as labels.
        """
        self.create("services", key, metadata=dict(metadata), spec={"ports": list(ports)})
        self.create("endpoints", key, metadata=dict(metadata), subsets=subsets(*ips))

    def label(self, key: str, **labels: str) -> None:
        """Set labels of a Service and its Endpoints."""
        for kind in ("services", "endpoints"):
            self.change(
                kind, key, lambda found: found["metadata"].setdefault("labels", {}).update(labels)
            )

    def set_ips(self, key: str, *ips: str) -> None:
        self.change("endpoints", key, lambda endpoints: endpoints.update(subsets=subsets(*ips)))

    def ips(self, key: str, member: str = "addresses") -> list[str] | None:
        """The ready addresses behind a name, sorted; None where there are no Endpoints."""
        endpoints = self.get("endpoints", key)
        if endpoints is None:
            return None
        found = [a["ip"] for s in endpoints.get("subsets") or () for a in s.get(member) or ()]
        return sorted(found)

    def names(self, namespace: str) -> set[str]:
        """The names of its Services."""
        found = self.must("GET", f"/api/v1/namespaces/{namespace}/services")["items"]
        return {service["metadata"]["name"] for service in found}

    def source(self, key: str) -> str | None:
        """The source that a mirror names; None where there is no mirror."""
        metadata: Json = (self.get("services", key) or {}).get("metadata", {})
        found: str | None = metadata.get("annotations", {}).get(SOURCE)
        return found

    def identity(self, key: str) -> tuple[str, str]:
        """What a Service loses if it is made anew: its uid and its ClusterIP."""
        service = self.get("services", key)
        assert service is not None, key
        return service["metadata"]["uid"], service["spec"]["clusterIP"]

    def events(self, namespace: str, reason: str) -> list[Json]:
        found = self.must("GET", f"/api/v1/namespaces/{namespace}/events")["items"]
        return [event for event in found if event["reason"] == reason]


@contextmanager
def started(*servers: ApiServer) -> Iterator[None]:
    """Started at the same time. They die with the threads that started them, which the pool keeps
    until all have been stopped."""
    with ThreadPoolExecutor(len(servers)) as pool:
        starts = [pool.submit(server.start) for server in servers]
        try:
            for start in starts:
                start.result()
            yield
        finally:
            wait(starts)
            for server in servers:
                server.stop()


def subsets(*ips: str) -> list[Json]:
    if not ips:
        return []
    return [{"addresses": [{"ip": ip} for ip in ips], "ports": [{"port": 8080}]}]


def in_parallel(work: Callable[[T], object], items: Iterable[T]) -> None:
    """As 16 plain clients would."""
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, items))


class RunningProgram:
    """The installed command, in a process of its own.

    :ivar admin_socket: the flag that says where it is asked.
    :ivar log_file: its stdout and stderr.
    """

    def __init__(
        self, directory: Path, name: str, *flags: str, command: Sequence[str] = COMMAND
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.health = f"http://127.0.0.1:{(listen := free_port())}"
        self.admin_socket = f"--admin-socket={directory / name}.sock"
        arguments = [*command, f"--listen=127.0.0.1:{listen}", self.admin_socket, *flags]
        self.log_file = directory / f"{name}.log"
        self._process = Process(arguments, directory, self.log_file.name)
        self.start()

    def start(self) -> None:
        self._process.start()

    def kill(self) -> None:
        self._process.kill()

    def terminate(self) -> None:
        """Ask it to end; it may take seconds to."""
        self._signal(signal.SIGTERM)

    @property
    def pid(self) -> int | None:
        """While it runs."""
        return self._process.pid

    def pause(self) -> None:
        """Its connections stay open, and nothing comes out of them."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._process.pid is not None, self.log()
        os.kill(self._process.pid, number)

    def is_ready(self) -> bool:
        return fetch(f"{self.health}/readyz")[0] == 200

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 30
        while not self.is_ready():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.05)

    def metrics(self) -> str:
        return fetch(f"{self.health}/metrics")[1].decode()

    def metric(self, line: str) -> float:
        """The value of a sample, by its name and labels as they are printed; NaN if not there."""
        for found in self.metrics().splitlines():
            if found.startswith(line + " "):
                return float(found.rsplit(" ", 1)[1])
        return float("nan")

    def mirrored(self, source: str, state: str) -> float:
        """How many Services of a source are in a state."""
        sample = f'service_reflector_mirrored_services{{source="{source}",state="{state}"}}'
        return self.metric(sample)

    def logged(self) -> list[tuple[float, str]]:
        """All messages, and when they were logged, in seconds since 1970."""
        lines = map(json.loads, self.log_file.read_text().splitlines())
        return [
            (datetime.fromisoformat(line["ts"].replace("Z", "+00:00")).timestamp(), line["msg"])
            for line in lines
        ]

    def log(self) -> str:
        """The end of it."""
        return self._process.log_tail()


def run_emitter(
    directory: Path, cluster: Cluster, *flags: str, command: Sequence[str] = COMMAND
) -> tuple[RunningProgram, str]:
    """An Emitter beside a cluster, and its URL."""
    port = free_port()
    program = RunningProgram(
        directory,
        "emitter",
        f"--kubeconfig={cluster.server.kubeconfig()}",
        "--reflector=false",
        "--emitter.secure-port=0",
        "--emitter.insecure-bind-address=127.0.0.1",
        f"--emitter.insecure-port={port}",
        *flags,
        command=command,
    )
    return program, f"http://127.0.0.1:{port}"


def run_reflector(
    directory: Path, cluster: Cluster, *flags: str, command: Sequence[str] = COMMAND
) -> RunningProgram:
    """A Reflector beside a cluster."""
    kubeconfig = f"--kubeconfig={cluster.server.kubeconfig()}"
    flags = (kubeconfig, "--emitter=false", *flags)
    return RunningProgram(directory, "reflector", *flags, command=command)


def ask(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The installed command, from its start to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=directory,
        env={"HOME": str(directory), "TMPDIR": str(directory)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
