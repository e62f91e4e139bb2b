"""One of the demo's clusters: its API, and the program beside it that mirrors the other one."""

from __future__ import annotations

import socket
import uuid
from typing import Any

from twisted.application.service import MultiService

from .. import tap
from ..administration import Administration
from ..client.credentials import from_url
from ..client.http import KubeClient
from ..embedded.api import EmbeddedApi
from ..embedded.cluster import Cluster
from ..kube.resources import ENDPOINTS, SERVICES
from ..kube.selectors import LabelSelector
from ..ops.health import Check, HealthApi
from ..ops.metrics import ProgramCollector, make_registry
from ..ops.sockets import BindError, SocketService, bind
from ..program import Program, Roles, SourceClient
from ..reflector.follower import SourceSettings
from ..reflector.recorder import rfc3339
from ..status.pages import StatusPages
from .picture import Picture, lines
from .wire import Wire

#: The ports that are tried first.
_PORTS = {
    "east": {"API": 8001, "Emitter": 8081, "metrics": 9091},
    "west": {"API": 8002, "Emitter": 8082, "metrics": 9092},
}
_RANGES = {"east": "10.1.0.0/16", "west": "10.2.0.0/16"}

#: More Services than any terminal has lines for.
_MOST_LINES = 50


class DemoCluster:
    """One cluster's sockets and API; its program comes with :meth:`connect`.

    :ivar wire: what the other cluster reaches the Emitter through.
    :ivar program: None until it is connected.
    :ivar moved: a line for each port that was taken.
    """

    program: Program

    def __init__(self, reactor: Any, name: str) -> None:
        self.name = name
        self.moved: list[str] = []
        self._reactor = reactor
        self._world = tap.surroundings(reactor)
        self.cluster = Cluster(
            now=lambda: rfc3339(self._world.epoch()),
            uid=lambda: str(uuid.uuid4()),
            service_range=_RANGES[name],
        )
        self._api = EmbeddedApi(reactor, self.cluster)
        self._sockets = [self._bind(what, port) for what, port in _PORTS[name].items()]
        self.api_url, self.emitter_url, self.health_url = (
            f"http://127.0.0.1:{opened.getsockname()[1]}" for opened in self._sockets
        )
        self.wire = Wire(reactor, self._sockets[1].getsockname()[1])

    def connect(self, other: DemoCluster) -> MultiService:
        """The cluster as a service, its Reflector pointed at the other's Emitter."""
        service = _Cluster(self._api)
        self._other = other.name
        self.program = program = Program(
            self._world,
            KubeClient(self._reactor, from_url(self.api_url)),
            [
                SourceClient(
                    SourceSettings(other.name), KubeClient(self._reactor, from_url(other.wire.url))
                )
            ],
            Roles(emitted=LabelSelector(), reflected=LabelSelector()),
        )
        assert program.read_api is not None
        collector = ProgramCollector(
            self._reactor, program.informers, program.read_api.stats, program.controller
        )
        administration = Administration(program, self._reactor.seconds, epoch=self._world.epoch)
        pages = StatusPages(self._reactor, administration)
        health = HealthApi([Check("program", program.problem)], make_registry(collector), pages)
        apis = (self._api.app, program.read_api.app, health.app)
        for opened, api in zip(self._sockets, apis, strict=True):
            SocketService(self._reactor, opened, api.resource()).setServiceParent(service)
        self.wire.setServiceParent(service)
        program.setServiceParent(service)
        return service

    def picture(self) -> Picture:
        """What it looks like now."""
        assert self.program.controller is not None
        statuses = self.program.controller.statuses
        stores = self.cluster.stores
        shown, more = lines(stores[SERVICES], stores[ENDPOINTS], statuses, _MOST_LINES)
        follower = self.program.followers[self._other]
        hears = all(informer.stats.connected for informer in follower.informers)
        return Picture(self.name, self.api_url, self._other, hears, shown, more)

    def _bind(self, what: str, port: int) -> socket.socket:
        """The port, or a free one where it is taken."""
        try:
            return bind("127.0.0.1", port)
        except BindError:
            opened = bind("127.0.0.1", 0)
            self.moved.append(
                f"port {port} is taken: {self.name}'s {what} is at {opened.getsockname()[1]}"
            )
            return opened


class _Cluster(MultiService):
    def __init__(self, api: EmbeddedApi) -> None:
        super().__init__()
        self._api = api

    def stopService(self) -> Any:
        self._api.reader.stop()
        return super().stopService()
