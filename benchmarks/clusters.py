"""Clusters of a benchmark: real API servers, and what is in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from servicereflector.testing.envtest import ApiServer

from .processes import Load

NAMESPACES = 10

#: The namespace of what is changed.
CHANGING = "changing"

#: The namespace that the compiled relay writes to: the mirrors' own are theirs.
RELAYED = "relayed"

#: Addresses behind each Service.
ADDRESSES = 10

#: Never equal to a time: see ``load/client.go``.
_NO_STAMP = "0" * 19

#: At most so many requests at a time are the limits of an API server as it is; the benchmarks are
#: of what it can, not of what it lets others have.
_LIMITS = (
    "--max-requests-inflight=10000",
    "--max-mutating-requests-inflight=10000",
    "--enable-priority-and-fairness=false",
)


@dataclass(frozen=True, slots=True)
class Cluster:
    """
    :ivar server: its processes.
    """

    server: ApiServer
    load: Load

    @property
    def api(self) -> tuple[str, ...]:
        """How the load reaches it."""
        return self.at("")

    def at(self, prefix: str) -> tuple[str, ...]:
        server = self.server
        return (
            *(f"-{prefix}url", server.url),
            *(f"-{prefix}ca", str(server.ca_file)),
            *(f"-{prefix}token", server.admin_token),
        )

    @property
    def pid(self) -> int:
        """Of its kube-apiserver."""
        return self.server.pids["kube-apiserver"]

    def kubeconfig(self) -> Path:
        return self.server.kubeconfig()

    def create_namespaces(self) -> None:
        names = [namespace(number) for number in range(NAMESPACES)]
        self.send([post("/api/v1/namespaces", name=name) for name in [*names, CHANGING, RELAYED]])

    def send(self, requests: Sequence[bytes]) -> float:
        """The seconds that 16 connections take for them."""
        return float(self.load.run("send", *self.api, lines=requests)["seconds"])

    def export(self, count: int, *, first: int = 0, inside: Callable[[int], str]) -> None:
        """So many Services, with ADDRESSES each.

        :param inside: the namespace of each.
        """
        numbers = range(first, first + count)
        self.send([service(number, inside(number)) for number in numbers])
        self.send([endpoints(number, inside(number)) for number in numbers])

    def change(
        self, count: int, *, burst: int = 1, rate: float = 0.0, kind: str = "endpoints"
    ) -> None:
        """Change what is in CHANGING, beneath the API server.

        :param kind: as etcd has it: ``endpoints``, or ``specs`` for Services.
        """
        self.load.run(
            *("change", "-url", self.server.etcd_url),
            *("-prefix", f"/registry/services/{kind}/{CHANGING}/"),
            *("-count", count, "-burst", burst, "-rate", rate),
        )

    @contextmanager
    def kept_changing(self, rate: float, kind: str) -> Iterator[None]:
        """While the block lasts."""
        with self.load.start(
            *("change", "-url", self.server.etcd_url),
            *("-prefix", f"/registry/services/{kind}/{CHANGING}/"),
            *("-count", 10**9, "-rate", rate),
        ):
            yield


@contextmanager
def cluster(load: Load, number: int) -> Iterator[Cluster]:
    """An empty one with its namespaces.

    :param number: tells its addresses from those of others.
    """
    server = ApiServer(service_cluster_ip_range=f"10.{number}.0.0/16", extra_flags=_LIMITS)
    with server:
        made = Cluster(server, load)
        made.create_namespaces()
        yield made


def namespace(number: int) -> str:
    return f"team-{number % NAMESPACES}"


def post(path: str, *, name: str, **rest: object) -> bytes:
    metadata = {"name": name, **(rest.pop("metadata", None) or {})}  # type: ignore[dict-item]
    body = json.dumps({"metadata": metadata, **rest}, separators=(",", ":"))
    return f"POST {path} {body}".encode()


def service(number: int, inside: str) -> bytes:
    name = f"service-{number:05}"
    return post(
        f"/api/v1/namespaces/{inside}/services",
        name=name,
        metadata=_metadata(name, inside),
        spec={"ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    )


def endpoints(number: int, inside: str) -> bytes:
    """As the endpoints controller writes them."""
    name = f"service-{number:05}"
    addresses = [
        {
            "ip": f"10.{100 + node}.{number // 250}.{number % 250 + 1}",
            "nodeName": f"node-{node:03}",
            "targetRef": {
                "kind": "Pod",
                "namespace": inside,
                "name": f"{name}-5d4f8c7b9-{node:05}",
                "uid": f"00000000-0000-4000-8000-{number:06}{node:06}",
            },
        }
        for node in range(ADDRESSES)
    ]
    return post(
        f"/api/v1/namespaces/{inside}/endpoints",
        name=name,
        metadata=_metadata(name, inside),
        subsets=[{"addresses": addresses, "ports": [{"name": "http", "port": 8080}]}],
    )


def _metadata(name: str, inside: str) -> dict[str, object]:
    return {
        "labels": {"app": name, "team": inside},
        "annotations": {"benchmark/sent": _NO_STAMP},
    }
