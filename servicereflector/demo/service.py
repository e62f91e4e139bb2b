"""What ``service-reflector demo`` runs.

Each cluster is what a real one would be: an API, and beside it the program, which knows nothing of
being in a demo and reaches its own cluster and the other one's Emitter through URLs.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks
from twisted.python.failure import Failure

from .. import tap
from ..administration import Administration
from ..ops.admin import AdminApi, AdminService
from ..ops.terminal import Region, is_live
from ..options import DemoOptions
from .clusters import DemoCluster
from .greeting import Place, furnish, greeting, own_command
from .kubeconfigs import Kubeconfigs
from .tour import STEPS, Tour, TourFailed

if TYPE_CHECKING:
    from .live import Scene

#: Seconds before each step of a tour that somebody watches.
_PAUSE = 1.0


class Demo(tap.GracefulService):
    """The two clusters, and what is told of them.

    :param say: takes a line for the person who watches.
    """

    def __init__(self, reactor: Any, options: DemoOptions) -> None:
        super().__init__(reactor)
        self.take_signals()
        self._tour: TourService | None = None
        self._region: Region[Scene] | None = None
        east, west = DemoCluster(reactor, "east"), DemoCluster(reactor, "west")
        self._clusters = (east, west)
        east.connect(west).setServiceParent(self)
        west.connect(east).setServiceParent(self)
        self._directory = tempfile.TemporaryDirectory(prefix="reflector-")
        self._socket = Path(self._directory.name, "west.sock")
        answers = AdminApi(Administration(west.program, reactor.seconds)).app.resource()
        AdminService(reactor, self._socket, answers).setServiceParent(self)
        self._kubeconfigs: Kubeconfigs | None = None
        if told := options["kubeconfig-dir"]:
            urls = {cluster.name: cluster.api_url for cluster in self._clusters}
            self._kubeconfigs = Kubeconfigs(Path(told), urls)
        if options["once"]:
            self._tour = TourService(reactor, east, west, self._say)
        else:
            furnish(east.cluster, west.cluster)
        if is_live(_stdout(), os.environ):
            self._region = self._make_region()
        reactor.callWhenRunning(self._begin)

    @inlineCallbacks
    def stopService(self) -> Any:
        yield super().stopService()
        if self._kubeconfigs is not None:
            self._kubeconfigs.remove()
        self._directory.cleanup()

    def _begin(self) -> None:
        if not self.running:  # Ctrl-C was faster
            return
        if self._tour is None:
            east, west = map(self._place, self._clusters)
            for line in greeting(east, west, own_command(), str(self._socket)):
                self._say(line)
            if self._region is None:
                self._say("Ctrl-C ends it.")
        if self._region is not None:
            self._region.setServiceParent(self)
        if self._tour is not None:
            self._tour.pause = _PAUSE if self._region is not None else 0.0
            self._tour.setServiceParent(self)

    def _say(self, line: str) -> None:
        if self._region is not None:
            self._region.say(line)
        else:
            print(line, file=_stdout(), flush=True)

    def _place(self, cluster: DemoCluster) -> Place:
        kubeconfig = self._kubeconfigs and self._kubeconfigs.path(cluster.name)
        return Place(
            cluster.name,
            cluster.api_url,
            cluster.emitter_url,
            cluster.health_url,
            str(kubeconfig or ""),
            cluster.moved,
        )

    def _make_region(self) -> Region[Scene]:
        from .live import Scene, draw

        def look() -> Scene:
            steps = (self._tour.said, STEPS) if self._tour is not None else None
            return Scene(tuple(cluster.picture() for cluster in self._clusters), steps)

        region = Region(self._reactor, _stdout(), look, draw)
        if sys.stderr.isatty():
            # What becomes of Services and of the connection between the clusters is seen.
            tap.log_to(region.above(), "error")
        return region


class TourService(Service):
    """Takes the tour, and ends the process when it is over.

    :ivar said: how many lines were said.
    """

    def __init__(
        self, reactor: Any, east: DemoCluster, west: DemoCluster, say: Callable[[str], None]
    ) -> None:
        self.said = 0
        self.pause = 0.0
        self._reactor = reactor
        self._clusters = (east, west)
        self._tell = say
        self._running: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()
        east, west = self._clusters
        tour = Tour(
            self._reactor,
            east_url=east.api_url,
            west_url=west.api_url,
            west_health_url=west.health_url,
            wire=east.wire,
            say=self._say,
            pause=self.pause,
        )
        self._running = Deferred.fromCoroutine(tour.run())
        self._running.addBoth(self._ended)

    def stopService(self) -> Deferred[None] | None:
        super().stopService()
        if self._running is not None:
            self._running.cancel()
        return self._running

    def _say(self, line: str) -> None:
        self.said += 1
        self._tell(line)

    def _ended(self, result: object) -> None:
        if not self.running:  # it was stopped on its way
            if isinstance(result, Failure):
                result.trap(CancelledError)
            return
        tap.exit_status = 0
        if isinstance(result, Failure):
            tap.exit_status = 1
            told = result.getErrorMessage()
            self._tell(f"FAILED: {told}" if result.check(TourFailed) else result.getTraceback())
        self._reactor.stop()


def make_demo(options: DemoOptions, reactor: Any) -> Demo:
    """The service of ``service-reflector demo``.

    :raises ConfigError: there is no place for the kubeconfigs.
    """
    return Demo(reactor, options)


def _stdout() -> Any:
    # twistd has put its log in the place of sys.stdout.
    return sys.__stdout__
