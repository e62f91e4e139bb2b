"""The host as the controller sees it: its stores, and what was written but not yet seen there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ..kube.lists import decode_list
from ..kube.objects import Json, Record, key_of, parse_version, split_key
from ..kube.resources import ENDPOINTS, ENDPOINTSLICES, NAMESPACES, SERVICES, Resource
from ..kube.status import ApiError, conflict
from ..listwatch.api import Api
from ..mirror.addresses import NOTHING, Reserved
from ..mirror.plan import Action, Create, Delete, Update
from ..mirror.states import HostState
from ..store.versioned import Store
from .slices import Slices


class Writer(Protocol):
    """What the controller needs of a client; errors are ApiError or the transport's own."""

    async def create(self, resource: Resource, document: Json) -> Json: ...

    async def update(self, resource: Resource, document: Json) -> Json: ...

    async def delete(
        self, resource: Resource, namespace: str, name: str, *, uid: str, resource_version: str
    ) -> None: ...


@dataclass(slots=True)
class _Written:
    """What must show up in the stores before the key's state there can be believed.

    :ivar until: the time after which it is believed all the same.
    :ivar gone: the uids of what was deleted, by store and key.
    """

    until: float
    versions: dict[Store, int] = field(default_factory=dict)
    gone: dict[tuple[Store, str], str] = field(default_factory=dict)


class Host:
    """
    :ivar slices: its EndpointSlices, where it has any.
    :param settle: seconds after which a write that never shows up is no longer waited for.
    :ivar reserved: tells the addresses that are its own.
    """

    def __init__(
        self,
        writer: Writer,
        reader: Api,
        namespaces: Store,
        services: Store,
        endpoints: Store,
        settle: float = 5,
        reserved: Callable[[], Reserved] = lambda: NOTHING,
    ) -> None:
        self.namespaces = namespaces
        self.services = services
        self.endpoints = endpoints
        self.slices = Slices()
        self._stores = {s.resource: s for s in (namespaces, services, endpoints)}
        self._writer = writer
        self._reader = reader
        self._settle = settle
        self.reserved = reserved
        self._written: dict[str, _Written] = {}

    def synced(self, *, with_slices: bool) -> bool:
        """Whether the first lists are in."""
        stores = all(store.synced for store in self._stores.values())
        return stores and (self.slices.synced or not with_slices)

    def held(self, key: str) -> Record | None:
        """What tells by its source whose the name is, None where there is nothing."""
        return self.services.get(key) or self.endpoints.get(key)

    def state(self, key: str) -> HostState:
        namespace, _ = split_key(key)
        return HostState(
            namespace=self.namespaces.get(namespace),
            service=self.services.get(key),
            endpoints=self.endpoints.get(key),
            slices=self.slices.of(key),
            reserved=self.reserved(),
        )

    def unsettled(self, key: str, now: float) -> float | None:
        """Until when to wait for our own writes to show up; None if there is nothing to wait for.

        Planning on a store that lags behind our own writes would only repeat them.
        """
        written = self._written.get(key)
        if written is None:
            return None
        missing = any(store.version < version for store, version in written.versions.items())
        for (store, name), uid in written.gone.items():
            record = store.get(name)
            missing = missing or (record is not None and record.uid == uid)
        if missing and now < written.until:
            return written.until
        del self._written[key]
        return None

    async def carry_out(
        self, key: str, action: Action, now: float, is_wanted: Callable[[Delete], bool]
    ) -> None:
        """Do it.

        :param is_wanted: whether a plan made now has the deletion of a Service still.
        :raises ApiError: where the API refuses, or the host or the plan has moved on.
        """
        written = self._written.setdefault(key, _Written(now + self._settle))
        written.until = now + self._settle
        match action:
            case Create(resource, document):
                try:
                    answer = await self._writer.create(resource, document)
                except ApiError as error:
                    if resource is NAMESPACES and error.reason == "AlreadyExists":
                        return  # another key of the namespace was faster
                    raise
            case Update(resource, document):
                answer = await self._writer.update(resource, document)
            case Delete(resource, namespace, name, uid, looked_at):
                if resource is SERVICES:
                    await self._check_endpoints(namespace, name, action.endpoints)
                    # The answer may have taken long, as over a connection that was half open.
                    if not is_wanted(action):
                        raise conflict(SERVICES, name, "it is to stay after all")
                await self._writer.delete(
                    resource, namespace, name, uid=uid, resource_version=str(looked_at)
                )
                written.gone[self._store(resource), key_of(namespace, name)] = uid
                return
        version = (answer.get("metadata") or {}).get("resourceVersion")
        written.versions[self._store(action.resource)] = parse_version(version)

    async def _check_endpoints(self, namespace: str, name: str, looked_at: int) -> None:
        """The API server deletes a Service's Endpoints with it, whoever made them, and no
        precondition of the Service speaks of them. Our watch may not have told them yet.

        :param looked_at: their version, 0 for none.
        :raises ApiError: a conflict, where they are not those that the plan was made with.
        """
        body = await self._reader.list(
            ENDPOINTS,
            namespace=namespace,
            label_selector="",
            field_selector=f"metadata.name={name}",
            limit=0,
            continue_token="",
        )
        there = [record.version for record in decode_list(ENDPOINTS, body).records]
        if there and there[0] != looked_at:
            raise conflict(ENDPOINTS, name, "they have changed since they were looked at")

    def _store(self, resource: Resource) -> Store:
        if resource is not ENDPOINTSLICES:
            return self._stores[resource]
        assert self.slices.store is not None  # nothing is planned for slices that are not known
        return self.slices.store
