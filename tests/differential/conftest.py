"""A real cluster, its Emitter, and what both hold."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.clusters import Cluster, run_emitter
from versions import minor_version

from servicereflector.kube.resources import ENDPOINTS, ENDPOINTSLICES, SERVICES, Resource
from servicereflector.testing.envtest import ApiServer, Binaries

from .sides import Side
from .world import World


def resources() -> list[Resource]:
    """What both sides serve."""
    return [SERVICES, ENDPOINTS, *([ENDPOINTSLICES] if minor_version() >= 21 else [])]


@pytest.fixture(scope="session")
def cluster(envtest_binaries: Binaries) -> Iterator[Cluster]:
    with ApiServer(binaries=envtest_binaries) as server:
        # Or its caches would reach back to version 1, which no server's do for long.
        server.restart_apiserver()
        yield Cluster(server)


@pytest.fixture(scope="session")
def real(cluster: Cluster) -> Side:
    server = cluster.server
    tls = ssl.create_default_context(cafile=str(server.ca_file))
    return Side(server.url, server.admin_token, tls)


@pytest.fixture(scope="session")
def emitter(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    directory: Path = tmp_path_factory.mktemp("differential")
    program, url = run_emitter(directory, cluster)
    try:
        program.wait_until_ready()
        yield Side(url)
    finally:
        program.kill()


@pytest.fixture(scope="session")
def worlds(cluster: Cluster, real: Side, emitter: Side) -> dict[str, World]:
    made = {r.plural: World(r, cluster, real, emitter) for r in resources()}
    oldest = min(emitter.version_of(world.all) for world in made.values())
    for world in made.values():
        world.populate()
    # What is older than the Emitter's first lists is gone on both sides now.
    cluster.server.compact_etcd(oldest)
    return made
