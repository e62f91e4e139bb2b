"""A real cluster with something in it, its Emitter, and the clients."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.clusters import Cluster, run_emitter, subsets

from servicereflector.testing.envtest import ApiServer, Binaries

#: 2.x needs Node.js 22.
CLIENT_NODE = "@kubernetes/client-node@1.3.0"


@dataclass(frozen=True, slots=True)
class Kubectl:
    """One version of kubectl, at either of the two servers."""

    program: str
    home: Path
    real: str
    emitter: str

    def arguments(self, server: str, *arguments: str) -> list[str]:
        return [self.program, server, *arguments]

    def run(self, server: str, *arguments: str) -> str:
        """What it prints, on both of its outputs."""
        ran = subprocess.run(
            self.arguments(server, *arguments),
            env={"HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def cluster(envtest_binaries: Binaries) -> Iterator[Cluster]:
    with ApiServer(binaries=envtest_binaries) as server:
        made = Cluster(server)
        for namespace in ("shop", "shop-b"):
            made.namespace(namespace)
        made.export("shop/cart", "10.9.0.1", "10.9.0.2")
        made.create(
            "services",
            "shop/gate",
            spec={
                "type": "LoadBalancer",
                "ports": [{"name": "web", "port": 80, "nodePort": 30080}],
            },
            metadata={"labels": {"app": "gate"}},
        )
        made.create("services", "shop/out", spec={"type": "ExternalName", "externalName": "a.org"})
        made.create(
            "services", "shop-b/till", spec={"clusterIP": "None", "selector": {"app": "till"}}
        )
        made.create("endpoints", "shop/loose", subsets=subsets("10.9.1.1"))
        yield made


@pytest.fixture(scope="module")
def emitter(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the cluster's Emitter."""
    program, url = run_emitter(tmp_path_factory.mktemp("clients"), cluster)
    try:
        program.wait_until_ready()
        yield url
    finally:
        program.kill()


@pytest.fixture(params=["1.37", "the server's own"])
def kubectl(
    request: pytest.FixtureRequest,
    envtest_binaries: Binaries,
    cluster: Cluster,
    emitter: str,
    tmp_path: Path,
) -> Kubectl:
    program = Path(sys.executable).parent / "kubectl"
    if request.param != "1.37":
        assert envtest_binaries.kubectl is not None
        program = envtest_binaries.kubectl
    return Kubectl(
        str(program),
        tmp_path,
        real=f"--kubeconfig={cluster.server.kubeconfig()}",
        emitter=f"--server={emitter}",
    )


@pytest.fixture(scope="session")
def client_node() -> Path:
    """A folder with the JavaScript client; without npm a test skips, in CI it fails."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    name = CLIENT_NODE.replace("/", "-").removeprefix("@")
    folder = Path(home) / "service-reflector" / name
    if (folder / "complete").exists():
        return folder
    if shutil.which("npm") is None:
        if os.environ.get("CI"):
            pytest.fail("no npm for the JavaScript client")
        pytest.skip("no npm for the JavaScript client")
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", f"--prefix={folder}", CLIENT_NODE],
        check=True,
        capture_output=True,
        timeout=110,
    )
    (folder / "complete").touch()
    return folder
