"""The Service that knows what an API server tells of itself: features are chosen by it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import orjson
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..kube.resources import ENDPOINTSLICES, SERVICES, Resource
from ..kube.server import ServerInfo, resource_entries, table_columns
from ..kube.status import ApiError
from ..outages import Outage
from ..reasons import Code
from .poller import Poller

#: Seconds between two looks: a cluster is upgraded while we run.
REFRESH = 600.0


class VersionApi(Protocol):
    def version(self) -> Coroutine[Any, Any, dict[str, Any]]: ...

    def request(
        self, method: str, path: str, *, accept: str = ...
    ) -> Coroutine[Any, Any, bytes]: ...


_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


class VersionPoller(Poller):
    """
    :ivar current: what the server last told, None until it has.
    """

    log = Logger()
    what = "its version"

    def __init__(
        self,
        reactor: IReactorTime,
        api: VersionApi,
        *,
        random: Callable[[], float],
        known: Callable[[], None] = lambda: None,
        tables: Sequence[Resource] = (),
        namespace: str = "",
        outage: Outage | None = None,
    ) -> None:
        """
        :param known: called when the version has changed.
        :param tables: whose columns are wanted.
        :param namespace: where those may be read, ``""`` for everywhere.
        """
        super().__init__(reactor, random, outage=outage)
        self.current: ServerInfo | None = None
        self._tables = tables
        self._namespace = namespace
        self._api = api
        self._known = known

    async def _look(self) -> None:
        version = await self._api.version()
        if self.current is None or version != self.current.version:
            resources = {
                **resource_entries(await self._document(SERVICES.root)),
                **resource_entries(await self._document(ENDPOINTSLICES.root)),
            }
            columns = {}
            for resource in self._tables:
                if (resource.api_version, resource.plural) in resources:
                    path = f"{resource.path(self._namespace)}?limit=1"
                    columns[resource.plural] = table_columns(await self._document(path, _TABLE))
            self.log.info(
                "the host is {version}",
                reason=Code.HOST_VERSION,
                version=version.get("gitVersion", "unknown"),
            )
            self.current = ServerInfo(version, resources, columns)
            self._known()
        self._ask_in(REFRESH)

    async def _document(self, path: str, accept: str = "application/json") -> object:
        """What is to be had there; None where nothing is, or where nobody may look."""
        try:
            return orjson.loads(await self._api.request("GET", path, accept=accept))
        except ApiError as error:
            if error.code in (403, 404, 406):
                return None
            raise
