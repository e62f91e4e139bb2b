"""The fence before the host: who does not lead starts no write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..kube.objects import Json
from ..kube.resources import Resource


class Fenced(Exception):
    """A write that was not begun, as this replica does not lead."""

    def __init__(self) -> None:
        super().__init__("this replica does not lead")


class Writer(Protocol):
    """What writes: KubeClient does."""

    async def create(self, resource: Resource, document: Json) -> Json: ...

    async def update(self, resource: Resource, document: Json) -> Json: ...

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, resource_version: str
    ) -> None: ...


class Fence:
    """A Writer that asks before each write. What is under way is its caller's to cancel.

    A write that was sent in time may reach the API server late: a cancelled request drops its
    connection, but a server may have it already. It does no lasting harm. An update or a deletion
    carries the uid and the resourceVersion that were looked at, so it fails if the new leader, or
    anybody, has touched the object since; a creation fails if there is such an object. What
    succeeds all the same is a change of the host like any other: the new leader's watch tells it,
    and its next plan puts it right. A mirror that was deleted meanwhile and comes to life again is
    deleted again, as no source exports it; so are Endpoints and slices whose Service is gone.

    :param may_write: asked at every write, so by the clock and not by some timer: a process that
        has stood still finds out here, before anything else.
    """

    def __init__(self, writer: Writer, may_write: Callable[[], bool]) -> None:
        self._writer = writer
        self._may_write = may_write

    async def create(self, resource: Resource, document: Json) -> Json:
        self._check()
        return await self._writer.create(resource, document)

    async def update(self, resource: Resource, document: Json) -> Json:
        self._check()
        return await self._writer.update(resource, document)

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, resource_version: str
    ) -> None:
        self._check()
        await self._writer.delete(
            resource, namespace, name, uid=uid, resource_version=resource_version
        )

    def _check(self) -> None:
        """
        :raises Fenced: it does not lead.
        """
        if not self._may_write():
            raise Fenced
