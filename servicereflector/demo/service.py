"""What ``service-reflector demo`` runs.

Each cluster is what a real one would be: an API, and beside it the program, which knows nothing of
being in a demo and reaches its own cluster and the other one's Emitter through URLs.
"""

from __future__ import annotations

import sys
import uuid
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from .. import tap
from ..administration import Administration
from ..client.credentials import from_url
from ..client.http import KubeClient
from ..embedded.api import EmbeddedApi
from ..embedded.cluster import Cluster
from ..kube.selectors import LabelSelector
from ..ops.health import Check, HealthApi
from ..ops.metrics import ProgramCollector, make_registry
from ..ops.sockets import BindError, SocketService, bind
from ..options import DemoOptions
from ..program import Program, Roles, SourceClient
from ..reflector.follower import SourceSettings
from ..reflector.recorder import rfc3339
from ..status.pages import StatusPages
from .tour import Tour, TourFailed
from .wire import Wire

#: The ports that are tried first: of the API, the Emitter, and health and metrics.
_PORTS = {"east": (8001, 8081, 9091), "west": (8002, 8082, 9092)}
_RANGES = {"east": "10.1.0.0/16", "west": "10.2.0.0/16"}


def _bind(port: int) -> Any:
    """The port, or a free one where it is taken."""
    try:
        return bind("127.0.0.1", port)
    except BindError:
        return bind("127.0.0.1", 0)


class DemoCluster:
    """One cluster's sockets and API; its program comes with :meth:`connect`.

    :ivar wire: what the other cluster reaches the Emitter through.
    """

    def __init__(self, reactor: Any, name: str) -> None:
        self.name = name
        self._reactor = reactor
        self._world = tap.surroundings(reactor)
        cluster = Cluster(
            now=lambda: rfc3339(self._world.epoch()),
            uid=lambda: str(uuid.uuid4()),
            service_range=_RANGES[name],
        )
        self._api = EmbeddedApi(reactor, cluster)
        self._sockets = [_bind(port) for port in _PORTS[name]]
        self.api_url, self.emitter_url, self.health_url = (
            f"http://127.0.0.1:{opened.getsockname()[1]}" for opened in self._sockets
        )
        self.wire = Wire(reactor, self._sockets[1].getsockname()[1])

    def connect(self, other: DemoCluster) -> MultiService:
        """The cluster as a service, its Reflector pointed at the other's Emitter."""
        service = _Cluster(self._api)
        program = Program(
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


class _Cluster(MultiService):
    def __init__(self, api: EmbeddedApi) -> None:
        super().__init__()
        self._api = api

    def stopService(self) -> Any:
        self._api.reader.stop()
        return super().stopService()


def make_demo(options: DemoOptions, reactor: Any) -> MultiService:
    """The service of ``service-reflector demo``."""
    east, west = DemoCluster(reactor, "east"), DemoCluster(reactor, "west")
    demo = tap.GracefulService(reactor)
    east.connect(west).setServiceParent(demo)
    west.connect(east).setServiceParent(demo)
    if options["once"]:
        reactor.callWhenRunning(_run_tour, reactor, east, west)
    else:
        reactor.callWhenRunning(_greet, east, west)
    return demo


def _say(line: str) -> None:
    # twistd has put its log in the place of sys.stdout.
    print(line, file=sys.__stdout__, flush=True)


def _greet(east: DemoCluster, west: DemoCluster) -> None:
    _say("Two clusters in memory, each mirroring the other's Services:\n")
    for cluster in (east, west):
        _say(f"  {cluster.name}   API      {cluster.api_url}")
        _say(f"         Emitter  {cluster.emitter_url}")
        _say(f"         metrics  {cluster.health_url}/metrics")
        _say(f"         status   {cluster.health_url}/\n")
    _say("Try, in another terminal:\n")
    for line in (
        f"kubectl --server {east.api_url} apply -f - <<'EOF'",
        "apiVersion: v1",
        "kind: Service",
        "metadata: {name: cart, namespace: default}",
        "spec: {ports: [{port: 80}]}",
        "---",
        "apiVersion: v1",
        "kind: Endpoints",
        "metadata: {name: cart, namespace: default}",
        "subsets: [{addresses: [{ip: 10.9.0.1}], ports: [{port: 8080}]}]",
        "EOF",
        f"kubectl --server {west.api_url} get services,endpoints cart -o yaml",
        f"kubectl --server {east.api_url} delete service cart",
    ):
        _say(f"  {line}")
    _say("\nCtrl-C ends it.")


def _run_tour(reactor: Any, east: DemoCluster, west: DemoCluster) -> None:
    tour = Tour(
        reactor,
        east_url=east.api_url,
        west_url=west.api_url,
        west_health_url=west.health_url,
        wire=east.wire,
        say=_say,
    )
    running = Deferred.fromCoroutine(tour.run())

    def ended(result: object) -> None:
        tap.exit_status = 0
        if isinstance(result, Failure):
            tap.exit_status = 1
            told = result.getErrorMessage()
            _say(f"FAILED: {told}" if result.check(TourFailed) else result.getTraceback())
        reactor.stop()

    running.addBoth(ended)
