"""A client that follows Kubernetes' list and watch, as simple as one can write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from twisted.internet.defer import Deferred

from servicereflector.kube.objects import Json, key_of
from servicereflector.kube.resources import Resource
from servicereflector.kube.status import ApiError

from .network import SimNetwork


class Watcher:
    """
    :ivar state: what it believes, by key.
    :ivar reading: whether it takes the bytes that arrive.
    """

    def __init__(
        self,
        network: SimNetwork,
        server: str,
        resource: Resource,
        tell: Callable[[str], None],
    ) -> None:
        self.state: dict[str, Json] = {}
        self.version = 0
        self.events = 0
        self.lists = 0
        self.stopped = False
        self._network = network
        self._tell = tell
        self._server = server
        self._resource = resource
        self._client = network.client(server)
        self._lines = b""
        self._stream: Any = None
        self._call: Any = None
        self._request = 0
        self._go()

    def _go(self) -> None:
        self._call = None
        if self.stopped:
            return
        self._request += 1
        self._call = self._network.clock.callLater(100.0, self._give_up, self._request)
        asked = self._watch(self._request) if self.version else self._list(self._request)
        Deferred.fromCoroutine(asked).addErrback(self._failed, self._request)

    async def _list(self, request: int) -> None:
        body = orjson.loads(await self._client.list(self._resource))
        if request != self._request:
            return
        self.lists += 1
        self.state = {_key(item): item for item in body["items"]}
        self.version = int(body["metadata"]["resourceVersion"])
        self._again(0.0)

    async def _watch(self, request: int) -> None:
        self._lines = b""
        stream = await self._client.watch(
            self._resource,
            resource_version=str(self.version),
            timeout_seconds=90,
            on_data=lambda data: self._data(request, data),
            on_end=lambda error: self._ended(request, error),
        )
        if request == self._request:
            self._stream = stream
        else:
            stream.stop()

    def _data(self, request: int, data: bytes) -> None:
        if request != self._request or self.stopped:
            return
        *lines, self._lines = (self._lines + data).split(b"\n")
        for line in lines:
            if line:
                self._event(orjson.loads(line))

    def _event(self, event: Json) -> None:
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            self.version = 0
            self._again(1.0)
            return
        version = int(item["metadata"]["resourceVersion"])
        self.events += 1
        if kind != "BOOKMARK":
            key = _key(item)
            known = self.state.get(key)
            # What is told again, from before, is no news.
            fresh = version > self.version
            if kind == "ADDED" and fresh and known is not None:
                self._tell(f"a watcher of {self._server}: {key} is added twice")
            if kind == "MODIFIED" and fresh and known is None:
                self._tell(f"a watcher of {self._server}: {key} is modified, but was never added")
            if kind == "DELETED" and fresh and known is None:
                self._tell(f"a watcher of {self._server}: {key} is deleted, but was never added")
            if fresh and kind == "DELETED":
                self.state.pop(key, None)
            elif fresh:
                self.state[key] = item
        self.version = max(self.version, version)

    def _ended(self, request: int, _error: Exception | None) -> None:
        if request == self._request:
            self._again(1.0)

    def _failed(self, failure: Any, request: int) -> None:
        if request != self._request:
            return
        if isinstance(failure.value, ApiError) and failure.value.code in (410, 504):
            self.version = 0
        self._again(5.0)

    def _give_up(self, request: int) -> None:
        if request == self._request:
            self._again(0.0)

    def _again(self, delay: float) -> None:
        self._request += 1
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.stop()
        if not self.stopped:
            self._call = self._network.clock.callLater(delay, self._go)

    def begin_anew(self) -> None:
        self.version = 0
        self._again(0.0)

    def stop(self) -> None:
        self.stopped = True
        self._again(0.0)


def _key(item: Json) -> str:
    return key_of(item["metadata"].get("namespace", ""), item["metadata"]["name"])
