"""The scripted tour of the demo: what a person would try, through the public HTTP APIs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import deferLater

from ..client.credentials import from_url
from ..client.http import KubeClient
from ..kube.objects import Json
from ..kube.resources import ENDPOINTS, NAMESPACES, SERVICES, Resource
from ..kube.status import ApiError
from .wire import Wire

#: Seconds within which each step must be seen.
PATIENCE = 10.0


class TourFailed(Exception):
    """A step was not seen in time."""


class Tour:
    """
    :param say: takes a line for the person who watches.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        east_url: str,
        west_url: str,
        west_health_url: str,
        wire: Wire,
        say: Callable[[str], None],
    ) -> None:
        self._reactor = reactor
        self._east = KubeClient(reactor, from_url(east_url))
        self._west = KubeClient(reactor, from_url(west_url))
        self._west_health = KubeClient(reactor, from_url(west_health_url))
        self._wire = wire
        self._say = say

    async def run(self) -> None:
        """
        :raises TourFailed: naming what was not seen.
        """
        try:
            await self._show()
        finally:
            for client in (self._east, self._west, self._west_health):
                await client.close()

    async def _show(self) -> None:
        east = self._east
        self._say("east: create namespace shop, Service cart, Endpoints 10.9.0.1")
        await east.create(NAMESPACES, {"metadata": {"name": "shop"}})
        metadata = {"name": "cart", "namespace": "shop"}
        await east.create(SERVICES, {"metadata": metadata, "spec": {"ports": [{"port": 80}]}})
        await east.create(ENDPOINTS, _endpoints("10.9.0.1"))
        await self._seen("Endpoints 10.9.0.1", self._west_has("10.9.0.1"))
        service = await self._get(self._west, SERVICES)
        assert service is not None
        self._say(f"west: shop/cart has the ClusterIP {service['spec']['clusterIP']}")

        self._say("east: the Pods change: Endpoints 10.9.0.2, 10.9.0.3")
        await east.update(ENDPOINTS, _endpoints("10.9.0.2", "10.9.0.3"))
        await self._seen("Endpoints 10.9.0.2, 10.9.0.3", self._west_has("10.9.0.2", "10.9.0.3"))

        self._say("the clusters are cut from each other; east: Endpoints 10.9.0.4")
        await self._wire.cut()
        await east.update(ENDPOINTS, _endpoints("10.9.0.4"))
        await self._seen("knows that it cannot hear east", self._west_hears(False))
        if not await self._west_has("10.9.0.2", "10.9.0.3")():
            raise TourFailed("west does not keep the mirror while it cannot hear east")
        self._say("west: keeps the Service and Endpoints 10.9.0.2, 10.9.0.3")
        self._say("the clusters are joined again")
        self._wire.join()
        await self._seen("hears east", self._west_hears(True))
        await self._seen("Endpoints 10.9.0.4", self._west_has("10.9.0.4"))

        self._say("east: delete Service cart")
        await east.delete(SERVICES, "shop", "cart")
        await self._seen("no Service and no Endpoints cart", self._west_has_nothing)

    async def _seen(self, what: str, holds: Callable[[], Any]) -> None:
        """Wait until it holds in west, and tell after how long it did."""
        began = self._reactor.seconds()
        while not await holds():
            if self._reactor.seconds() - began > PATIENCE:
                raise TourFailed(f"west: {what}: not seen within {PATIENCE:g} s")
            await deferLater(self._reactor, 0.005)
        delay = (self._reactor.seconds() - began) * 1000
        self._say(f"west: {what}, {delay:.0f} ms later")

    def _west_has(self, *ips: str) -> Callable[[], Any]:
        async def holds() -> bool:
            endpoints = await self._get(self._west, ENDPOINTS)
            if endpoints is None or await self._get(self._west, SERVICES) is None:
                return False
            subsets = endpoints.get("subsets") or []
            return sorted(a["ip"] for s in subsets for a in s["addresses"]) == sorted(ips)

        return holds

    def _west_hears(self, hears: bool) -> Callable[[], Any]:
        connected = [
            f'service_reflector_connected{{resource="{r.plural}",source="east"}} {int(hears)}.0'
            for r in (SERVICES, ENDPOINTS)
        ]

        async def holds() -> bool:
            metrics = (await self._west_health.request("GET", "/metrics")).decode()
            return all(line in metrics for line in connected)

        return holds

    async def _west_has_nothing(self) -> bool:
        found = [await self._get(self._west, resource) for resource in (SERVICES, ENDPOINTS)]
        return found == [None, None]

    @staticmethod
    async def _get(client: KubeClient, resource: Resource) -> Json | None:
        try:
            return await client.get(resource, "shop", "cart")
        except ApiError as error:
            if error.code == 404:
                return None
            raise


def _endpoints(*ips: str) -> Json:
    return {
        "metadata": {"name": "cart", "namespace": "shop"},
        "subsets": [{"addresses": [{"ip": ip} for ip in ips], "ports": [{"port": 8080}]}],
    }
