"""manifests/README.md: its commands, on a real API server, and what the program is then."""

from __future__ import annotations

import base64
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from documents.blocks import block
from rights import KUBECTL, MANIFESTS, of_kind
from versions import minor_version

from servicereflector.testing.binaries import Binaries
from servicereflector.testing.certificates import Authority
from servicereflector.testing.envtest import ApiServer
from servicereflector.testing.processes import free_port

from .clusters import Cluster, Json, RunningProgram, eventually, fetch

DEPLOYMENT = "/apis/apps/v1/namespaces/{}/deployments/service-reflector"


class Shell:
    """A directory with the manifests in it, and a cluster that kubectl reaches."""

    def __init__(self, directory: Path, cluster: Cluster) -> None:
        self.directory = directory
        self._kubeconfig = cluster.server.kubeconfig()
        (directory / "bin").mkdir()
        (directory / "bin" / "kubectl").symlink_to(KUBECTL)
        shutil.copytree(MANIFESTS, directory / "manifests")
        if minor_version() < 21:  # as the README tells for 1.20
            budget = directory / "manifests" / "components" / "ha" / "poddisruptionbudget.yaml"
            budget.write_text(budget.read_text().replace("policy/v1\n", "policy/v1beta1\n"))

    def run(self, script: str) -> str:
        environ = {
            "PATH": f"{self.directory}/bin:{os.environ['PATH']}",
            "HOME": str(self.directory),
            "KUBECONFIG": str(self._kubeconfig),
            "KUBECONFIG2": str(self._kubeconfig),
        }
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.directory,
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout


@pytest.fixture(scope="module")
def cluster(envtest_binaries: Binaries) -> Iterator[Cluster]:
    with ApiServer(service_cluster_ip_range="10.1.0.0/16", binaries=envtest_binaries) as server:
        yield Cluster(server)


@pytest.fixture
def shell(cluster: Cluster, tmp_path: Path) -> Shell:
    return Shell(tmp_path, cluster)


def template(cluster: Cluster, namespace: str = "default") -> Json:
    found: Json = cluster.must("GET", DEPLOYMENT.format(namespace))["spec"]
    return found


def test_one_overlay_is_exchanged_for_another_by_applying_it(
    cluster: Cluster, shell: Shell
) -> None:
    """In place: the Deployment and the Service are the same objects afterwards."""
    shell.run(block("manifests/README.md", "Try it"))
    service = cluster.identity("default/service-reflector")
    uid = cluster.must("GET", DEPLOYMENT.format("default"))["metadata"]["uid"]
    shell.run(block("manifests/README.md", "High availability"))
    assert template(cluster)["replicas"] == 2
    shell.run(block("manifests/README.md", "Monitoring"))
    annotations = template(cluster)["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == "9090"
    shell.run(block("manifests/README.md", "Try it"))
    assert "annotations" not in template(cluster)["template"]["metadata"]
    assert cluster.identity("default/service-reflector") == service
    assert cluster.must("GET", DEPLOYMENT.format("default"))["metadata"]["uid"] == uid


def test_a_secured_emitter_serves_whom_the_secrets_name(cluster: Cluster, shell: Shell) -> None:
    """With the flags of the Deployment, and the Secrets as they are in the cluster."""
    authority = Authority.create(shell.directory, "ca")
    certificate, key = authority.server(("127.0.0.1",))
    certificate.rename(shell.directory / "tls.crt")
    key.rename(shell.directory / "tls.key")
    port = free_port()
    secrets = block("manifests/README.md", "Secure")
    source = block("manifests/README.md", "Secure", 2)
    shell.run(secrets + source.replace("https://10.1.2.3:6443", f"https://127.0.0.1:{port}"))
    cluster.namespace("shop")
    for key_ in ("shop/cart", "default/door"):
        cluster.export(key_, "10.9.0.1")

    spec = template(cluster)["template"]["spec"]
    (container,) = spec["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    for volume in spec["volumes"]:
        if "secret" in volume:
            folder = shell.directory / mounts[volume["name"]].lstrip("/")
            write_secret(cluster, volume["secret"]["secretName"], folder)
    sources = shell.directory / mounts["sources"].lstrip("/")
    write_secret(cluster, "service-reflector", sources)
    flags = dict(argument.partition("=")[::2] for argument in container["args"])
    del flags["--listen"]
    flags["--emitter.secure-port"] = str(port)
    told = (
        f"{name}={shell.directory}{value}" if value.startswith("/") else f"{name}={value}"
        for name, value in flags.items()
    )
    program = RunningProgram(
        shell.directory,
        "secured",
        f"--kubeconfig={cluster.server.kubeconfig()}",
        *(argument.removesuffix("=") for argument in told),
    )
    try:
        program.wait_until_ready()
        tls = ssl.create_default_context(cafile=str(authority.ca_file))
        url = f"https://127.0.0.1:{port}/api/v1/services"
        token = (sources / "one").read_text().split("token: ")[1].split()[0]
        known = {"Authorization": f"Bearer {token}"}
        eventually(program.log, lambda: fetch(url, tls, headers=known)[0] == 200)
        body = fetch(url, tls, headers=known)[1]
        assert b'"cart"' in body
        assert b'"door"' not in body, "the view is of the namespace shop"
        assert fetch(url, tls)[0] == 401
        # It is its own source here: the kubeconfig opens what the token may have.
        connected = 'service_reflector_connected{resource="services",source="one"}'
        eventually(program.log, lambda: program.metric(connected) == 1)
    finally:
        program.kill()


def write_secret(cluster: Cluster, name: str, folder: Path) -> None:
    """As the kubelet does."""
    folder.mkdir(parents=True, exist_ok=True)
    data = cluster.must("GET", f"/api/v1/namespaces/default/secrets/{name}")["data"]
    for entry, encoded in data.items():
        (folder / entry).write_bytes(base64.b64decode(encoded))


def test_an_overlay_of_ones_own_combines_them_all(cluster: Cluster, shell: Shell) -> None:
    """In a namespace of its own, what refers to the account included."""
    shell.run(block("manifests/README.md", "An overlay of your own"))
    found: list[dict[str, Any]] = list(yaml.safe_load_all(shell.run("kubectl kustomize mine")))
    assert {d["metadata"].get("namespace", "mirroring") for d in found} == {"mirroring"}
    bindings = of_kind(found, "RoleBinding", "ClusterRoleBinding")
    assert bindings
    for binding in bindings:
        assert [s["namespace"] for s in binding["subjects"]] == ["mirroring"]
    spec = template(cluster, "mirroring")
    assert spec["replicas"] == 2
    assert spec["selector"] == {"matchLabels": {"app.kubernetes.io/name": "service-reflector"}}
    assert spec["template"]["metadata"]["labels"]["app.kubernetes.io/instance"] == "mine"
    assert "prometheus.io/scrape" in spec["template"]["metadata"]["annotations"]
    (container,) = spec["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/service-reflector:1.0.0"
    assert "--emitter.token-auth-file=/access/tokens.csv" in container["args"]
    policies = of_kind(found, "NetworkPolicy")
    examples = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
    assert not any(example in str(policies) for example in examples)
