"""The Service that deletes namespaces which the program created, once nothing is in them.

A namespace takes all that is in it along, and Kubernetes knows no precondition on its contents. So
everything that the host serves is listed, at least twice and for as long as GRACE, and what is not
known keeps the namespace. One moment remains: what somebody creates there between the last lists
and the deletion is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..kube.objects import Json, Record
from ..kube.resources import NAMESPACES, Resource
from ..kube.status import ApiError
from ..listwatch.poller import Poller
from ..mirror.emptiness import added_to, occupants
from ..outages import Outage
from ..reasons import Code
from ..store.versioned import Store
from .contents import Api, Kept, found_in, known, resources_of

#: Seconds between two looks.
LOOK_EVERY = 30.0

#: Seconds for which a namespace is empty before it is deleted. No look may take longer.
GRACE = 60.0


class CleanerApi(Api, Protocol):
    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, resource_version: str
    ) -> None: ...


@dataclass(slots=True)
class _Notes:
    """What was found of one namespace.

    :ivar empty_since: when the first look in a row had ended that found it empty, else None.
    :ivar version: of the Namespace at that look.
    :ivar occupied: what held something, and the reason's gist: as long as it does, a look lists
        nothing else.
    :ivar told: the gists of the reasons to keep it.
    """

    empty_since: float | None = None
    version: int = 0
    occupied: tuple[Resource, object] | None = None
    told: set[object] = field(default_factory=set)


class NamespaceCleaner(Poller):
    """
    :param namespaces: the host's, kept true by an informer.
    :param wanted: whether a source exports something into the namespace of this name, or a mirror
        is in it; True also as long as that is not known.
    :param namespace: the only one to look at, ``""`` for all.
    """

    log = Logger()
    what = "which namespaces are unused"

    def __init__(
        self,
        reactor: IReactorTime,
        api: CleanerApi,
        namespaces: Store,
        *,
        random: Callable[[], float],
        wanted: Callable[[str], bool],
        namespace: str = "",
        outage: Outage | None = None,
    ) -> None:
        super().__init__(reactor, random, outage=outage)
        self._api = api
        self._namespaces = namespaces
        self._wanted = wanted
        self._only = namespace
        self._notes: dict[str, _Notes] = {}  # by uid
        self._served: tuple[Resource, ...] | Kept | None = None
        self._served_at = 0.0

    def startService(self) -> None:
        self._notes = {}  # what has happened since it was stopped is not known
        super().startService()

    async def _look(self) -> None:
        self._served = None
        unused = [record for record in self._namespaces if self._is_unused(record)]
        self._notes = {record.uid: self._notes.get(record.uid, _Notes()) for record in unused}
        for record in unused:
            if self.running:
                await self._look_at(record, self._notes[record.uid])
        self._ask_in(LOOK_EVERY)

    def _is_unused(self, record: Record) -> bool:
        return (
            record.source is not None
            and self._only in ("", record.name)
            and bool(record.uid and record.version)  # else a deletion has no preconditions
            and not self._wanted(record.name)
            and not _is_terminating(record.document())
        )

    async def _look_at(self, record: Record, notes: _Notes) -> None:
        began = self._reactor.seconds()
        try:
            await self._must_be_empty(record, notes)
            ended = self._reactor.seconds()
            if ended - began > GRACE:
                raise Kept("slow", "the host takes too long to list what is in it")
            if notes.empty_since is None or notes.version != record.version:
                notes.empty_since, notes.version = ended, record.version
            elif began - notes.empty_since >= GRACE and self._is_as_it_was(record):
                notes.empty_since = None
                await known("its deletion failed", "delete namespaces", self._delete(record))
        except Kept as kept:
            notes.empty_since = None
            if kept.gist not in notes.told:
                notes.told.add(kept.gist)
                self.log.info(
                    "namespace {namespace}: kept, as {why}",
                    reason=Code.NAMESPACE_KEPT,
                    namespace=record.name,
                    why=str(kept),
                )

    def _is_as_it_was(self, record: Record) -> bool:
        now = self._namespaces.get(record.key)
        if now is None or (now.uid, now.version) != (record.uid, record.version):
            return False
        return bool(self.running) and not self._wanted(record.name)

    async def _delete(self, record: Record) -> None:
        try:
            await self._api.delete(
                NAMESPACES, "", record.name, uid=record.uid, resource_version=str(record.version)
            )
        except ApiError as error:
            if error.code not in (404, 409):
                raise
            # News: it has changed since, and the next look begins anew.
            self.log.debug(
                "namespace {namespace}: {error}", namespace=record.name, error=error.message
            )
            return
        self.log.info(
            "namespace {namespace}: deleted, as nothing is mirrored into it and nothing else is in"
            " it",
            reason=Code.NAMESPACE_DELETED,
            namespace=record.name,
        )

    async def _must_be_empty(self, record: Record, notes: _Notes) -> None:
        """
        :raises Kept: where it is not, or is not known to be.
        """
        if added := added_to(record.document()):
            raise Kept(added, f"somebody has added {added} to it")
        if notes.occupied is not None:
            (resource, gist), notes.occupied = notes.occupied, None
            if (await found_in(self._api, record.name, resource)).names:
                notes.occupied = resource, gist
                raise Kept(gist, "it holds what it held")
        names: list[str] = []
        kinds: dict[Resource, None] = {}
        unread = False
        for resource in await self._resources():
            try:
                found = await found_in(self._api, record.name, resource)
            except Kept:
                if not names:
                    raise
                unread = True
                break
            names += found.names
            unread = unread or found.more
            if found.names:
                kinds[resource] = None
        if names:
            gist = frozenset(kinds)
            notes.occupied = next(iter(kinds)), gist
            raise Kept(gist, f"it holds {occupants(names, more=unread)}")

    async def _resources(self) -> tuple[Resource, ...]:
        """What the host serves: asked for once in a round, unless that takes long."""
        now = self._reactor.seconds()
        if self._served is None or now - self._served_at > GRACE:
            self._served_at = now
            try:
                self._served = await resources_of(self._api)
            except Kept as kept:
                self._served = kept
        if isinstance(self._served, Kept):
            raise Kept(self._served.gist, str(self._served))
        return self._served


def _is_terminating(namespace: Json) -> bool:
    phase = (namespace.get("status") or {}).get("phase")
    return phase == "Terminating" or "deletionTimestamp" in namespace["metadata"]
