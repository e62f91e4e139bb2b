"""The scripted tour of the demo: what a person would try, through the public HTTP APIs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from twisted.internet.task import deferLater

from ..client.credentials import from_url
from ..client.http import KubeClient
from ..kube.objects import Json
from ..kube.resources import ENDPOINTS, NAMESPACES, SERVICES, Resource
from ..kube.status import ApiError
from .wire import Wire

#: Seconds within which each step must be seen.
PATIENCE = 10.0

#: How many lines a whole tour says.
STEPS = 17


class TourFailed(Exception):
    """A step was not seen in time."""


class Tour:
    """
    :param say: takes a line for the person who watches.
    :param pause: seconds before something is done, for people to follow.
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
        pause: float = 0.0,
    ) -> None:
        self._reactor = reactor
        self._east = KubeClient(reactor, from_url(east_url))
        self._west = KubeClient(reactor, from_url(west_url))
        self._west_health = KubeClient(reactor, from_url(west_health_url))
        self._wire = wire
        self._say = say
        self._pause = pause

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
        await self._announce("east: create namespace shop, Service cart, Endpoints 10.9.0.1")
        await east.create(NAMESPACES, {"metadata": {"name": "shop"}})
        await east.create(SERVICES, _service("cart"))
        await east.create(ENDPOINTS, _endpoints("cart", "10.9.0.1"))
        await self._seen("Endpoints 10.9.0.1", self._west_has("10.9.0.1"))
        service = await self._get(SERVICES, "cart")
        assert service is not None
        self._say(f"west: shop/cart has the ClusterIP {service['spec']['clusterIP']}")

        await self._announce("east: the Pods change: Endpoints 10.9.0.2, 10.9.0.3")
        await east.update(ENDPOINTS, _endpoints("cart", "10.9.0.2", "10.9.0.3"))
        await self._seen("Endpoints 10.9.0.2, 10.9.0.3", self._west_has("10.9.0.2", "10.9.0.3"))
        await self._show_partition()

        await self._announce("east: delete Service cart")
        await east.delete(SERVICES, "shop", "cart")
        await self._seen("no Service and no Endpoints cart", self._west_has_nothing)
        await self._show_conflict()

    async def _show_partition(self) -> None:
        await self._announce("the clusters are cut from each other; east: Endpoints 10.9.0.4")
        await self._wire.cut()
        await self._east.update(ENDPOINTS, _endpoints("cart", "10.9.0.4"))
        await self._seen("knows that it cannot hear east", self._west_hears(False))
        if not await self._west_has("10.9.0.2", "10.9.0.3")():
            raise TourFailed("west does not keep the mirror while it cannot hear east")
        self._say("west: keeps the Service and Endpoints 10.9.0.2, 10.9.0.3")
        await self._announce("the clusters are joined again")
        self._wire.join()
        await self._seen("hears east", self._west_hears(True))
        await self._seen("Endpoints 10.9.0.4", self._west_has("10.9.0.4"))

    async def _show_conflict(self) -> None:
        await self._announce("west: create Service till, its own; east: Service till, too")
        await self._west.create(SERVICES, _service("till"))
        await self._east.create(SERVICES, _service("till"))
        await self._east.create(ENDPOINTS, _endpoints("till", "10.9.0.5"))
        await self._seen("Event NameTaken, its own till stays", self._west_tells_of_the_conflict)
        await self._announce("west: delete its own till")
        await self._west.delete(SERVICES, "shop", "till")
        await self._seen("Endpoints 10.9.0.5", self._west_has("10.9.0.5", name="till"))

    async def _announce(self, line: str) -> None:
        """Say what is done next."""
        if self._pause:
            await deferLater(self._reactor, self._pause)
        self._say(line)

    async def _seen(self, what: str, holds: Callable[[], Any]) -> None:
        """Wait until it holds in west, and tell after how long it did."""
        began = self._reactor.seconds()
        while not await holds():
            if self._reactor.seconds() - began > PATIENCE:
                raise TourFailed(f"west: {what}: not seen within {PATIENCE:g} s")
            await deferLater(self._reactor, 0.005)
        delay = (self._reactor.seconds() - began) * 1000
        self._say(f"west: {what}, {delay:.0f} ms later")

    def _west_has(self, *ips: str, name: str = "cart") -> Callable[[], Any]:
        async def holds() -> bool:
            endpoints = await self._get(ENDPOINTS, name)
            if endpoints is None or await self._get(SERVICES, name) is None:
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
        return [await self._get(r, "cart") for r in (SERVICES, ENDPOINTS)] == [None, None]

    async def _west_tells_of_the_conflict(self) -> bool:
        listed = orjson.loads(await self._west.request("GET", "/api/v1/namespaces/shop/events"))
        return any(
            (event["reason"], event["involvedObject"]["name"]) == ("NameTaken", "till")
            for event in listed["items"]
        )

    async def _get(self, resource: Resource, name: str) -> Json | None:
        """What west has."""
        try:
            return await self._west.get(resource, "shop", name)
        except ApiError as error:
            if error.code == 404:
                return None
            raise


def _service(name: str) -> Json:
    return {"metadata": {"name": name, "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}}


def _endpoints(name: str, *ips: str) -> Json:
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "subsets": [{"addresses": [{"ip": ip} for ip in ips], "ports": [{"port": 8080}]}],
    }
