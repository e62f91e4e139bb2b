"""An API in the short forms of the contract's tests."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec

import orjson
import pytest
import pytest_twisted
from loopback import reactor
from twisted.internet.defer import DeferredQueue

from servicereflector.client.http import KubeClient
from servicereflector.kube.resources import ENDPOINTS, EVENTS, NAMESPACES, SERVICES, Resource
from servicereflector.kube.status import ApiError
from servicereflector.kube.watchevents import LineSplitter

#: Seconds after which an event that should come is missed.
PATIENCE = 20.0

_P = ParamSpec("_P")


def ensured(test: Callable[_P, Coroutine[Any, Any, None]]) -> Callable[_P, Any]:
    """An asynchronous test."""
    decorated: Callable[_P, Any] = pytest_twisted.ensureDeferred(test)
    return decorated


def fields(refused: ApiError) -> set[str]:
    """Of which fields a refusal complains."""
    return {cause["field"] for cause in (refused.details or {})["causes"]}


class Watching:
    """A watch that collects its events; :meth:`next` waits for one."""

    def __init__(self) -> None:
        self._queue: DeferredQueue[dict[str, Any] | None] = DeferredQueue()
        self._lines = LineSplitter(10**7)
        self.stop: Callable[[], None] = lambda: None

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
        """Types and names of the next events; a bookmark has no name."""
        events = [await self.next() for _ in range(number)]
        return [(kind, document["metadata"].get("name", "")) for kind, document in events]


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
        makers: dict[Resource, Callable[[str], dict[str, Any]]] = {
            SERVICES: self.service,
            ENDPOINTS: self.endpoints,
            EVENTS: self.event,
        }
        return makers[resource](name)

    def _document(self, name: str, **rest: Any) -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": self.namespace}, **rest}

    async def create(self, resource: Resource, document: dict[str, Any]) -> dict[str, Any]:
        return await self.client.create(resource, copy.deepcopy(document))

    async def get(self, resource: Resource, name: str) -> dict[str, Any]:
        namespace = self.namespace if resource.namespaced else ""
        return await self.client.get(resource, namespace, name)

    async def update(self, resource: Resource, document: dict[str, Any]) -> dict[str, Any]:
        updated: dict[str, Any] = await self.client.update(resource, document)
        return updated

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
