"""One API to hold to account: the embedded cluster, then a real kube-apiserver.

Both are spoken to by the same KubeClient over real sockets, so what the suite sees is what the
program sees.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_twisted
from loopback import Served, disconnected, reactor

from servicereflector.client.connection import Connection
from servicereflector.client.credentials import static
from servicereflector.client.http import KubeClient
from servicereflector.embedded.api import EmbeddedApi
from servicereflector.embedded.cluster import Cluster
from servicereflector.kube.resources import NAMESPACES
from servicereflector.testing.envtest import ApiServer, Binaries

from .api import Api

SERVICE_RANGE = "10.96.0.0/16"


@pytest.fixture(scope="session")
def real_server(envtest_binaries: Binaries) -> Iterator[ApiServer]:
    with ApiServer(binaries=envtest_binaries, service_cluster_ip_range=SERVICE_RANGE) as server:
        yield server


@pytest.fixture(params=["embedded", "real"])
def real(request: pytest.FixtureRequest) -> ApiServer | None:
    """The real server, or None where the embedded one is meant."""
    if request.param == "embedded":
        return None
    server: ApiServer = request.getfixturevalue("real_server")
    return server


@pytest.fixture
def service_range() -> str:
    """Of the embedded cluster."""
    return SERVICE_RANGE


@pytest_twisted.async_yield_fixture
async def api(real: ApiServer | None, service_range: str) -> AsyncIterator[Api]:
    served = None
    if real is None:
        embedded = EmbeddedApi(reactor, _cluster(service_range))
        served = Served(embedded.app.resource())
        connection = Connection(served.url)
    else:
        connection = Connection(real.url, ca=real.ca_file.read_bytes(), token=real.admin_token)
    client = KubeClient(reactor, static(connection))
    version = await client.version()
    namespace = f"contract-{secrets.token_hex(4)}"
    await client.create(NAMESPACES, {"metadata": {"name": namespace}})
    made = Api(client, namespace, int(version["minor"].rstrip("+")))
    yield made
    for watching in made.watches:
        watching.stop()
    await client.close()
    await disconnected()
    if served is not None:
        await served.close()


def _cluster(service_range: str) -> Cluster:
    return Cluster(
        now=lambda: "2026-01-01T00:00:00Z",
        uid=lambda: str(uuid.uuid4()),
        service_range=service_range,
    )
