"""The ways to install it, as they are told, on real API servers.

Nodes are played: see nodes.py. All else is real: what kubectl applies and asks, the roles, the
programs, and what they write into the clusters.
"""

from __future__ import annotations

import re
from pathlib import Path

from e2e.clusters import Cluster, eventually

from servicereflector.testing.certificates import Authority

from .blocks import block
from .conftest import Mesh

OLD = "tests/e2e/service-reflector-of-one-role.yaml"


def mirrored(mesh: Mesh, cluster: str, name: str, ip: str, source: str) -> bool:
    """Whether it is there, with that address, from that source."""
    host: Cluster = mesh.clusters[cluster]
    key = f"default/{name}"
    return host.ips(key) == [ip] and host.source(key) == source


def test_the_readme_installs_it_on_two_clusters(mesh: Mesh) -> None:
    """By the plain port."""
    mesh.clusters["east"].export("default/cart", "10.9.0.1")
    mesh.shell.run(block("README.md", "Install it"))
    eventually(mesh.log, lambda: mirrored(mesh, "west", "cart", "10.9.0.1", "east"))


def test_two_clusters_with_tls(mesh: Mesh) -> None:
    """Installed, looked at, changed to the plain port, and taken away again with its mirrors."""
    east, west = mesh.clusters["east"], mesh.clusters["west"]
    east.export("default/till", "10.9.0.2")
    mesh.shell.run(block("docs/two-clusters.md", "Install"))
    told = west.must("GET", "/api/v1/namespaces/default/configmaps/service-reflector")["data"]
    assert "fingerprint: 'sha256:" in told["east"]
    eventually(mesh.log, lambda: mirrored(mesh, "west", "till", "10.9.0.2", "east"))

    shown = mesh.shell.run(block("docs/two-clusters.md", "Install", 2))
    assert re.search(r"^default +till +east +Mirrored$", shown, re.M)
    assert re.search(r"^default +till +ClusterIP +10\.2\.", shown, re.M)

    mesh.shell.run(block("docs/two-clusters.md", "Without TLS"))
    told = west.must("GET", "/api/v1/namespaces/default/configmaps/service-reflector")["data"]
    assert told["east"].startswith("http://10.1.")
    east.set_ips("default/till", "10.9.0.3")
    eventually(mesh.log, lambda: mirrored(mesh, "west", "till", "10.9.0.3", "east"))

    # The second command has to be repeated until the node has written what the first one says.
    unset, forget, delete = block("docs/two-clusters.md", "Take it away").splitlines()
    mesh.shell.run(unset)
    eventually(mesh.log, lambda: "deleted" in mesh.shell.run(forget, (0, 1)))
    eventually(mesh.log, lambda: west.get("services", "default/till") is None)
    mesh.shell.run(delete)
    eventually(mesh.log, lambda: not mesh.nodes["west"].pods)


def test_a_mesh(mesh: Mesh) -> None:
    """Each has what the others have, and nobody has it from one in between."""
    for number, (name, cluster) in enumerate(mesh.clusters.items()):
        cluster.export(f"default/of-{name}", f"10.9.1.{number}")
    mesh.shell.run(block("docs/mesh.md", "Install"))
    for number, source in enumerate(mesh.clusters):
        for cluster in mesh.clusters.keys() - {source}:
            eventually(
                mesh.log,
                lambda c=cluster, s=source, n=number: mirrored(  # type: ignore[misc]
                    mesh, c, f"of-{s}", f"10.9.1.{n}", s
                ),
            )


def test_hub_and_spoke(mesh: Mesh, tmp_path: Path) -> None:
    """North is the hub; spokes do not see each other."""
    hub, east, west = (mesh.clusters[name] for name in ("north", "east", "west"))
    hub.export("default/registry", "10.9.2.1")
    east.export("default/only-east", "10.9.2.2")
    pair = Authority.create(tmp_path, "hub").server(("127.0.0.1",))
    for path, name in zip(pair, ("tls.crt", "tls.key"), strict=True):
        (mesh.shell.directory / name).write_bytes(Path(path).read_bytes())
    for script in (
        block("docs/hub-and-spoke.md", "The hub"),
        block("docs/hub-and-spoke.md", "Each spoke"),
    ):
        mesh.shell.run(script.replace("--context hub", "--context north"))
    for spoke in ("east", "west"):
        eventually(mesh.log, lambda s=spoke: mirrored(mesh, s, "registry", "10.9.2.1", "hub"))  # type: ignore[misc]
    assert west.get("services", "default/only-east") is None
    assert hub.get("services", "default/only-east") is None


def test_more_replicas(mesh: Mesh) -> None:
    """One of two leads."""
    mesh.shell.run("kubectl apply -f manifests/service-reflector.yaml")
    mesh.shell.run(block("docs/high-availability.md", "High availability"))
    pods = mesh.nodes["east"].pods
    metric = 'leader_election_master_status{name="service-reflector"}'

    def leading() -> list[float]:
        return sorted(pod.metric(metric) for pod in pods.get("service-reflector", ()))

    eventually(mesh.log, lambda: leading() == [0, 1])


def test_an_upgrade(mesh: Mesh) -> None:
    """From an older manifest: its sources and mirrors stay."""
    west, host = mesh.clusters["west"], mesh.clusters["east"]
    west.export("default/upgraded", "10.9.3.1")
    mesh.shell.run("kubectl --context west apply -f manifests/service-reflector.yaml")
    mesh.shell.run("kubectl --context west rollout status deployment/service-reflector")
    ip = mesh.shell.run(
        "kubectl --context west get service service-reflector -o jsonpath='{.spec.clusterIP}'"
    )
    mesh.shell.run(f"kubectl apply -f {Path(__file__).parents[2] / OLD}")
    patch = f'{{"data": {{"west": "http://{ip}:8080"}}}}'
    mesh.shell.run(f"kubectl patch configmap service-reflector -p '{patch}'")
    eventually(mesh.log, lambda: mirrored(mesh, "east", "upgraded", "10.9.3.1", "west"))
    before = host.identity("default/upgraded")
    mesh.shell.run(block("docs/upgrades.md", "Upgrades"))
    west.set_ips("default/upgraded", "10.9.3.2")
    eventually(mesh.log, lambda: mirrored(mesh, "east", "upgraded", "10.9.3.2", "west"))
    assert host.identity("default/upgraded") == before
