"""Real clusters with a node each, and a shell that has a context of kubectl for each."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from e2e.clusters import Cluster, started

from servicereflector.testing.binaries import Binaries
from servicereflector.testing.envtest import ApiServer

from .nodes import ACCOUNTS, Node, tokens
from .shell import Shell

NAMES = ("east", "west", "north")


@dataclass(frozen=True)
class Mesh:
    """Clusters in which nothing is installed, and whoever installs it."""

    clusters: dict[str, Cluster]
    nodes: dict[str, Node]
    shell: Shell

    def log(self) -> str:
        """Of all Pods, the end; of nodes what made them fail."""
        failed = [f"{node.failure}" for node in self.nodes.values() if node.failure]
        pods = ((n, p) for node in self.nodes.values() for n, ps in node.pods.items() for p in ps)
        return "\n".join([*failed, *(f"{name}:\n{pod.log()}" for name, pod in pods)])


@pytest.fixture(scope="module")
def clusters(envtest_binaries: Binaries) -> Iterator[dict[str, Cluster]]:
    """With RBAC, and an account for each kind of Pod."""
    servers = [
        ApiServer(
            service_cluster_ip_range=f"10.{number}.0.0/16",
            authorization_mode="RBAC",
            tokens=tokens(),
            binaries=envtest_binaries,
        )
        for number in range(1, len(NAMES) + 1)
    ]
    with started(*servers):
        yield dict(zip(NAMES, map(Cluster, servers), strict=True))


@pytest.fixture
def nodes_directory() -> Iterator[str]:
    """A short path: a socket's has 107 bytes at the most."""
    with tempfile.TemporaryDirectory() as directory:
        yield directory


@pytest.fixture
def mesh(
    clusters: dict[str, Cluster],
    nodes_directory: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mesh]:
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(kubeconfig(clusters)))
    shell = Shell(
        tmp_path / "shell",
        KUBECONFIG=str(tmp_path / "kubeconfig"),
        KUBECACHEDIR=str(tmp_path_factory.getbasetemp() / "kubectl"),  # what discovery has told
        NODES=nodes_directory,
    )
    routes: dict[str, str] = {}
    nodes = {n: Node(c, Path(nodes_directory, n), routes) for n, c in clusters.items()}
    with ExitStack() as stack:
        for node in nodes.values():
            stack.enter_context(node)
        yield Mesh(clusters, nodes, shell)
    for cluster in clusters.values():
        remove(cluster)


def kubeconfig(clusters: dict[str, Cluster]) -> dict[str, object]:
    """A context for each, under its name; the first is the current one."""
    merged: dict[str, object] = {"apiVersion": "v1", "kind": "Config", "current-context": NAMES[0]}
    merged |= {"clusters": [], "users": [], "contexts": []}
    for name, cluster in clusters.items():
        own = yaml.safe_load(cluster.server.kubeconfig().read_text())
        for kind, told in (("cluster", own["clusters"][0]), ("user", own["users"][0])):
            merged[f"{kind}s"].append({"name": name, kind: told[kind]})  # type: ignore[attr-defined]
        merged["contexts"].append(  # type: ignore[attr-defined]
            {"name": name, "context": {"cluster": name, "user": name}}
        )
    return merged


def remove(cluster: Cluster) -> None:
    """What the next test is to find absent."""
    for name in ACCOUNTS:
        for path in (
            "/apis/apps/v1/namespaces/default/deployments",
            "/apis/coordination.k8s.io/v1/namespaces/default/leases",
            "/api/v1/namespaces/default/configmaps",
            "/api/v1/namespaces/default/secrets",
        ):
            assert cluster.call("DELETE", f"{path}/{name}")[0] in (200, 202, 404)
