"""From options to a running service: the one place where files, sockets and the reactor come in.

Everything that can be wrong with the options is found here, before anything is started.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.logger import Logger
from twisted.python import usage

from .client.connection import ConfigError
from .client.credentials import Credentials, from_url
from .emitter.tls import Pair, TlsError, self_signed, server_options
from .ops.sockets import BindError
from .options import ReflectorOptions

COMMAND = "service-reflector"


class Options(ReflectorOptions):
    """The options as twistd uses them: a mistake ends the process with one line."""

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            _refuse(str(error))

    def postOptions(self) -> None:
        super().postOptions()
        twistd = getattr(self, "parent", None)
        if twistd is not None and not any(twistd.get(o) for o in ("logger", "logfile", "syslog")):
            # twistd asks for its observer by name, after the options are read.
            twistd["logger"] = "servicereflector.tap.log_observer"
            _log_flags[:] = [self["log-level"], self["log-format"]]


_log_flags = ["info", ""]


def log_observer() -> Any:
    """The observer that the flags ask for."""
    from .ops.logs import make_observer

    return make_observer(*_log_flags)


def _refuse(message: str) -> None:
    first_line = " ".join(message.split())
    sys.stderr.write(f"{COMMAND}: {first_line}\n")
    sys.exit(1)


def makeService(options: Options) -> IService:
    """Called by twistd; what is wrong ends the process with one line and status 1."""
    from twisted.internet import reactor

    try:
        if options.subCommand == "demo":
            from .demo.service import make_demo

            return make_demo(options.subOptions, reactor)
        return build(options, reactor)
    except (BindError, ConfigError, TlsError) as error:
        _refuse(str(error))
        raise  # for the type checker: _refuse does not return


def build(options: ReflectorOptions, reactor: Any) -> MultiService:
    """The program that the options describe.

    :raises ConfigError: a cluster that cannot be used.
    :raises TlsError: a certificate that cannot be used.
    :raises BindError: an address that cannot be listened on.
    """
    from .client.config import find_host
    from .client.http import KubeClient
    from .ops.health import Check, HealthApi
    from .ops.metrics import ProgramCollector, make_registry
    from .ops.sockets import SocketService
    from .program import Program, Roles, SourceClient

    location = find_host(options["kubeconfig"] or None, os.environ)
    host = KubeClient(reactor, Credentials(location.load, clock=reactor))
    sources = [
        SourceClient(name, KubeClient(reactor, credentials))
        for name, credentials in _sources(options, reactor)
    ]
    roles = Roles(
        namespace=options["namespace"],
        emitted=options["emitter.selector"] if options["emitter"] else None,
        reflected=options["reflector.selector"] if options["reflector"] else None,
        prune=options["reflector.prune"],
    )
    program = Program(surroundings(reactor), host, sources if options["reflector"] else [], roles)
    service = GracefulService(reactor)
    program.setServiceParent(service)
    streams = program.read_api.stats if program.read_api is not None else None
    collector = ProgramCollector(reactor, program.informers, streams, program.controller)
    health = HealthApi([Check("program", program.problem)], make_registry(collector))
    listening = _Listener(reactor, service, SocketService)
    try:
        listening.serve("--listen", options["listen"], health.app.resource())
        if program.read_api is not None:
            _serve_emitter(options, listening, program.read_api.app.resource())
    except BaseException:
        listening.close()
        raise
    return service


def surroundings(reactor: Any) -> Any:
    """The real world."""
    from .program import Surroundings

    def now() -> str:
        return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    return Surroundings(reactor, random.random, now)


def _sources(options: ReflectorOptions, reactor: Any) -> list[tuple[str, Credentials]]:
    from .client.config import check_kubeconfig, load_kubeconfig

    found: list[tuple[str, Credentials]] = []
    for source in options["reflector.source-api"]:
        found.append((source.name or source.location, from_url(source.location)))
    for source in options["reflector.source-kubeconfig"]:
        url = check_kubeconfig(source.location)

        def load(path: str = source.location) -> Any:
            return load_kubeconfig(path)

        found.append((source.name or url, Credentials(load, clock=reactor)))
    names = [name for name, _ in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two sources are called {name!r}: give one of them a NAME=")
    return found


class _Listener:
    """Opens sockets while the options are read, and adds what serves them to the program."""

    def __init__(self, reactor: Any, parent: MultiService, service: Any) -> None:
        self._reactor = reactor
        self._parent = parent
        self._service = service
        self._sockets: list[Any] = []

    def serve(self, flag: str, address: tuple[str, int], resource: Any, tls: Any = None) -> None:
        from .ops.sockets import bind

        try:
            opened = bind(*address)
        except BindError as error:
            raise BindError(f"{flag}: {error}") from None
        self._sockets.append(opened)
        self._service(self._reactor, opened, resource, tls).setServiceParent(self._parent)

    def close(self) -> None:
        for opened in self._sockets:
            opened.close()


def _serve_emitter(options: ReflectorOptions, listening: _Listener, resource: Any) -> None:
    if port := options["emitter.insecure-port"]:
        address = (options["emitter.insecure-bind-address"], port)
        listening.serve("--emitter.insecure-port", address, resource)
    if port := options["emitter.secure-port"]:
        address = (options["emitter.bind-address"], port)
        listening.serve("--emitter.secure-port", address, resource, _tls(options))
    if options["emitter.http2-max-streams-per-connection"]:
        Logger().info("--emitter.http2-max-streams-per-connection is ignored: HTTP/1.1 is spoken")


def _tls(options: ReflectorOptions) -> Any:
    if options["emitter.tls-cert-file"]:
        certificate, key = options["emitter.tls-cert-file"], options["emitter.tls-private-key-file"]
        default = Pair(Path(certificate), Path(key))
    else:
        try:
            default = self_signed(Path(options["emitter.cert-dir"]))
        except TlsError as error:
            raise TlsError(f"--emitter.cert-dir: {error}") from None
    named = [
        Pair(Path(pair.certificate), Path(pair.key), pair.domains)
        for pair in options["emitter.tls-sni-cert-key"]
    ]
    return server_options(
        default,
        named,
        min_version=options["emitter.tls-min-version"],
        cipher_suites=options["emitter.tls-cipher-suites"],
    )


class GracefulService(MultiService):
    """Ends the process with status 0 on SIGTERM and SIGINT, once everything has stopped.

    Twisted's own handlers let the process die by the signal, which a Deployment shows as an error.
    """

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor

    def startService(self) -> None:
        super().startService()
        # After Twisted has set its own handlers, which it does when the reactor starts.
        self._reactor.callWhenRunning(self._take_signals)

    def _take_signals(self) -> None:
        def stop(_number: int, _frame: object) -> None:
            self._reactor.callFromThread(self._stop)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)

    def _stop(self) -> None:
        if self._reactor.running:
            self._reactor.stop()
