"""One API to hold to account: the embedded cluster, then a real kube-apiserver.

Both are spoken to by the same KubeClient over real sockets, so what the suite sees is what the
program sees.
"""

from __future__ import annotations

import copy
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any, TypeVar

import orjson
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import DeferredQueue
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.protocols.policies import WrappingFactory

from servicereflector.client.connection import Connection
from servicereflector.client.credentials import static
from servicereflector.client.http import KubeClient
from servicereflector.embedded.api import EmbeddedApi
from servicereflector.embedded.cluster import Cluster
from servicereflector.kube.resources import ENDPOINTS, EVENTS, NAMESPACES, SERVICES, Resource
from servicereflector.kube.status import ApiError
from servicereflector.kube.watchevents import LineSplitter
from servicereflector.ops.sockets import QuietSite
from servicereflector.testing.envtest import ApiServer, Binaries

SERVICE_RANGE = "10.96.0.0/16"

#: Seconds after which an event that should come is missed.
PATIENCE = 20.0

_T = TypeVar("_T")


class Watching:
    """A watch that collects its events; :meth:`next` waits for one."""

    def __init__(self) -> None:
        self._queue: DeferredQueue[dict[str, Any] | None] = DeferredQueue()
        self._lines = LineSplitter(10**7)
        self.stop = lambda: None

    def received(self, data: bytes) -> None:
        for line in self._lines.feed(data):
            self._queue.put(orjson.loads(line))

    def ended(self, error: Exception | None) -> None:
        assert error is None, error
        self._queue.put(None)

    async def next(self) -> tuple[str, dict[str, Any]]:
        """The next event's type and object; ``END`` for the end of the stream."""
        event = await self._queue.get().addTimeout(PATIENCE, reactor)
        return ("END", {}) if event is None else (event["type"], event["object"])

    async def names(self, number: int) -> list[tuple[str, str]]:
        """Types and names of the next events."""
        events = [await self.next() for _ in range(number)]
        return [(kind, document["metadata"]["name"]) for kind, document in events]


class Api:
    """A cluster's API in a namespace of the test's own.

    :ivar client: for what the short forms below do not do.
    :ivar minor: the server's minor version: what differs between versions branches on it.
    """

    def __init__(self, client: KubeClient, namespace: str, minor: int) -> None:
        self.client = client
        self.namespace = namespace
        self.minor = minor
        self.watches: list[Watching] = []

    def service(self, name: str, **spec: Any) -> dict[str, Any]:
        port = {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}
        return self._document(name, spec={"ports": [port], **spec})

    def endpoints(self, name: str, *addresses: str) -> dict[str, Any]:
        subset = {
            "addresses": [{"ip": address} for address in addresses or ("10.1.2.3",)],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }
        return self._document(name, subsets=[subset])

    def event(self, name: str) -> dict[str, Any]:
        involved = {"kind": "Service", "namespace": self.namespace, "name": "a", "uid": "1"}
        return self._document(
            name,
            involvedObject=involved,
            type="Warning",
            reason="Tested",
            message="for the contract",
            source={"component": "contract"},
            firstTimestamp="2026-01-01T00:00:00Z",
            lastTimestamp="2026-01-01T00:00:00Z",
            count=1,
        )

    def sample(self, resource: Resource, name: str) -> dict[str, Any]:
        """Some valid object."""
        if resource is NAMESPACES:
            return {"metadata": {"name": f"{self.namespace}-{name}"}}
        makers = {SERVICES: self.service, ENDPOINTS: self.endpoints, EVENTS: self.event}
        return makers[resource](name)

    def _document(self, name: str, **rest: Any) -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": self.namespace}, **rest}

    async def create(self, resource: Resource, document: dict[str, Any]) -> dict[str, Any]:
        return await self.client.create(resource, copy.deepcopy(document))

    async def get(self, resource: Resource, name: str) -> dict[str, Any]:
        namespace = self.namespace if resource.namespaced else ""
        return await self.client.get(resource, namespace, name)

    async def update(self, resource: Resource, document: dict[str, Any]) -> dict[str, Any]:
        return await self.client.update(resource, document)

    async def delete(self, resource: Resource, name: str, **preconditions: str) -> None:
        await self.client.delete(resource, self.namespace, name, **preconditions)

    async def list(self, resource: Resource, **options: Any) -> dict[str, Any]:
        options.setdefault("namespace", self.namespace)
        document: dict[str, Any] = orjson.loads(await self.client.list(resource, **options))
        return document

    async def send(
        self, method: str, path: str, document: object, content_type: str = "application/json"
    ) -> dict[str, Any]:
        """A request whose body is this document, or these bytes."""
        body = document if isinstance(document, bytes) else orjson.dumps(document)
        answer = await self.client.request(method, path, body=body, content_type=content_type)
        parsed: dict[str, Any] = orjson.loads(answer)
        return parsed

    async def watch(
        self, resource: Resource, version: str, timeout_seconds: int = 60, **options: Any
    ) -> Watching:
        """Watch the test's namespace from a version on."""
        watching = Watching()
        watch = await self.client.watch(
            resource,
            namespace=self.namespace,
            resource_version=version,
            timeout_seconds=timeout_seconds,
            on_data=watching.received,
            on_end=watching.ended,
            **options,
        )
        watching.stop = watch.stop
        self.watches.append(watching)
        return watching

    async def refusal(self, request: Awaitable[object]) -> ApiError:
        """The error with which the API refuses."""
        with pytest.raises(ApiError) as refused:
            await request
        return refused.value


@pytest.fixture(scope="session")
def real_server(envtest_binaries: Binaries) -> Iterator[ApiServer]:
    with ApiServer(
        binaries=envtest_binaries, service_cluster_ip_range=SERVICE_RANGE
    ) as server:
        yield server


@pytest.fixture(params=["embedded", "real"])
def real(request: pytest.FixtureRequest) -> ApiServer | None:
    """The real server, or None where the embedded one is meant."""
    if request.param == "embedded":
        return None
    server: ApiServer = request.getfixturevalue("real_server")
    return server


@pytest_twisted.async_yield_fixture
async def api(real: ApiServer | None) -> AsyncIterator[Api]:
    served = _Served() if real is None else None
    connection = (
        served.connection
        if served is not None
        else Connection(real.url, ca=real.ca_file.read_bytes(), token=real.admin_token)
    )
    client = KubeClient(reactor, static(connection))
    version = await client.version()
    namespace = f"contract-{secrets.token_hex(4)}"
    await client.create(NAMESPACES, {"metadata": {"name": namespace}})
    made = Api(client, namespace, int(version["minor"].rstrip("+")))
    readers = set(reactor.getReaders())
    yield made
    for watching in made.watches:
        watching.stop()
    await client.close()
    if served is not None:
        await served.close()
    while set(reactor.getReaders()) - readers:  # pytest-timeout ends it where it does not end
        await deferLater(reactor, 0)


class _Served:
    """An embedded cluster on a loopback socket."""

    def __init__(self) -> None:
        cluster = Cluster(
            now=lambda: "2026-01-01T00:00:00Z",
            uid=lambda: str(uuid.uuid4()),
            service_range=SERVICE_RANGE,
        )
        self._api = EmbeddedApi(reactor, cluster)
        site = QuietSite(self._api.app.resource())
        site.noisy = False
        self._factory: Factory = WrappingFactory(site)
        self._factory.noisy = False
        self._port = reactor.listenTCP(0, self._factory, interface="127.0.0.1")
        self.connection = Connection(f"http://127.0.0.1:{self._port.getHost().port}")

    async def close(self) -> None:
        self._api.reader.stop()
        await self._port.stopListening()
        while self._factory.protocols:
            await deferLater(reactor, 0)
