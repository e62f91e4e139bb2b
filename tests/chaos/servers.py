"""The three API servers of the world, and what is in them before anything happens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from e2e.clusters import Cluster, eventually, in_parallel, subsets

from servicereflector.testing.envtest import ApiServer, Binaries

from .churn import KINDS, NAMESPACE, attempt

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


def host_user(number: int) -> str:
    """Who a Reflector is in the host: of several each somebody else."""
    return f"host-{number}" if number else "host"


def users(reflectors: int) -> list[str]:
    """Each has a token, and a kubeconfig of its name."""
    return ["emitter", "direct", "healthy", *map(host_user, range(reflectors))]


def port_of(server: ApiServer) -> int:
    port = urlsplit(server.url).port
    assert port is not None
    return port


def exported(cluster: Cluster, kind: str) -> list[dict[str, Any]]:
    path = f"/api/v1/namespaces/{NAMESPACE}/{kind}?labelSelector=of"
    answer = eventually(f"{kind} of the source", lambda: attempt(cluster, "GET", path))
    items: list[dict[str, Any]] = answer["items"]
    return items


def populate(servers: Mapping[str, ApiServer]) -> None:
    """As it is before anything happens."""
    east, west = Cluster(servers["east"]), Cluster(servers["west"])
    east.namespace(NAMESPACE)
    west.namespace(NAMESPACE)
    north = Cluster(servers["north"])
    north.namespace("pulse")
    north.export(PULSE, "10.9.0.1")
    west.export(TAKEN, "10.66.0.1")
    east.export(TAKEN, "10.9.0.1", labels={"of": "emitted"})

    def export(name: str) -> None:
        labels = {"of": name.split("-", maxsplit=1)[0]}
        east.export(f"{NAMESPACE}/{name}", "10.9.0.1", labels=labels)

    in_parallel(export, [name for names in GROUPS.values() for name in names])


def complete(east: Cluster) -> None:
    """A change may have been cut short between a Service and its Endpoints."""
    services, endpoints = (exported(east, kind) for kind in KINDS)
    have = {one["metadata"]["name"] for one in endpoints}
    for service in services:
        metadata = {key: service["metadata"][key] for key in ("name", "labels")}
        if metadata["name"] not in have:
            path = f"/api/v1/namespaces/{NAMESPACE}/endpoints"
            east.must("POST", path, {"metadata": metadata, "subsets": subsets("10.9.0.1")})


@contextmanager
def clusters(
    binaries: Binaries, reflectors: int, audit: Sequence[str] = ()
) -> Iterator[dict[str, ApiServer]]:
    """East, north and west, started at the same time. They die with the threads that started
    them, which the pool keeps until all have been stopped.

    :param audit: flags of west, which the Reflectors write to.
    """
    limits = (
        "--enable-priority-and-fairness=false",
        f"--max-requests-inflight={INFLIGHT}",
        f"--max-mutating-requests-inflight={INFLIGHT}",
    )
    servers = {
        name: ApiServer(
            service_cluster_ip_range=f"10.{number}.0.0/16",
            # Of no group: the limits do not hold for system:masters.
            tokens={user: (user, user, ()) for user in users(reflectors)},
            binaries=binaries,
            extra_flags=(*limits, *audit) if name == "west" else (),
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
