"""From options to a running service: the one place where files, sockets and the reactor come in.

Everything that can be wrong with the options is found here, before anything is started.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO, cast

from twisted.application.service import IService, MultiService
from twisted.logger import ILogObserver, Logger
from twisted.python import usage

from .access.identity import AccessError
from .client.connection import ConfigError
from .client.credentials import Credentials
from .clock import count_steadily
from .doors import (
    HEALTH_CONNECTIONS,
    Door,
    blaming,
    emitter_access,
    emitter_certificates,
    emitter_connections,
    emitter_doors,
    open_doors,
    read_limits,
)
from .emitter.tls import TlsError
from .ops.sockets import BindError
from .options import ReflectorOptions
from .reasons import Code

if TYPE_CHECKING:
    # The interfaces of a reactor that is used here, together.
    from twisted.internet.posixbase import PosixReactorBase as Reactor

    from .administration import Administration
    from .checking.asking import Checker
    from .client.config import HostLocation
    from .client.http import KubeClient
    from .election.service import Candidacy
    from .listwatch.limits import Limits
    from .mirror.policy import Policy
    from .planning import Planner
    from .program import Program, Surroundings
    from .sourcedir import SourceDirectory
    from .sourcing import Sourcing

COMMAND = "service-reflector"

#: What the process ends with; the demo's tour sets it.
exit_status = 0


class Options(ReflectorOptions):
    """The options as twistd uses them: a mistake ends the process with one line."""

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        try:
            super().parseOptions(options)
        except usage.UsageError as error:
            _refuse(str(error))

    def postOptions(self) -> None:
        super().postOptions()
        twistd = self.parent
        if twistd is None or not twistd.get("nodaemon"):
            return
        if any(twistd.get(option) for option in ("logger", "logfile", "syslog")):
            return
        # twistd asks for its observer by name, after the options are read.
        twistd["logger"] = "servicereflector.tap.log_observer"
        _log_flags[:] = [self["log-level"], self["log-format"]]
        if self.subCommand in ("plan", "check"):
            # What went wrong is told at the end.
            told = "log-level" in {**self.given, **self.subOptions.given}
            _log_flags[:] = [self["log-level"] if told else "error", "text"]
        elif self.subCommand == "demo":
            # The tour breaks connections on purpose: their loss is no news there.
            _log_flags[:] = ["error" if self.subOptions["once"] else "info", "text"]


_log_flags = ["info", ""]
_log_stream: list[TextIO] = []


def log_to(stream: TextIO, level: str = "") -> None:
    """Have the log written there, before it begins.

    :param level: another one than the flags say, where it is given.
    """
    _log_stream[:] = [stream]
    _log_flags[0] = level or _log_flags[0]


def log_observer() -> ILogObserver:
    """The observer that the flags ask for."""
    from .ops.logs import make_observer

    level, log_format = _log_flags
    return make_observer(level, log_format, _log_stream[0] if _log_stream else None)


def _refuse(message: str) -> NoReturn:
    first_line = " ".join(message.split())
    sys.stderr.write(f"{COMMAND}: {first_line}\n")
    sys.exit(1)


def makeService(options: Options) -> IService:
    """Called by twistd; what is wrong ends the process with one line and status 1."""
    from twisted.internet import reactor as installed

    reactor = cast("Reactor", installed)
    count_steadily(reactor)
    try:
        if options.subCommand == "demo":
            from .demo.service import make_demo

            return make_demo(options.subOptions, reactor)
        if options.subCommand not in (None, "plan", "check"):
            from .commands import run

            sys.exit(run(options.subOptions, sys.stdout, sys.stderr))
        return build(options, reactor)
    except (AccessError, BindError, ConfigError, TlsError) as error:
        _refuse(str(error))


def build(options: ReflectorOptions, reactor: Reactor) -> MultiService:
    """The program that the options describe.

    :raises AccessError: a file of the Emitter's clients that cannot be used.
    :raises ConfigError: a cluster that cannot be used.
    :raises TlsError: a certificate that cannot be used.
    :raises BindError: an address that cannot be listened on.
    """
    from .administration import Administration
    from .emitter.refusals import Refusals
    from .ops.channels import ChannelLimits, Connections
    from .ops.garbage import spare_survivors
    from .ops.health import Check, HealthApi
    from .ops.metrics import ProgramCollector, make_registry
    from .ops.turns import measure
    from .status.pages import StatusPages

    program, sourcing, host = _program(options, reactor)
    service = GracefulService(reactor)
    program.setServiceParent(service)
    problems: Callable[[], list[str]] = list
    if options["reflector.source-dir"] and options["reflector"]:
        directory = _source_directory(options, reactor, sourcing)
        directory.setServiceParent(service)

        def problems() -> list[str]:
            return [*([directory.trouble] if directory.trouble else []), *sourcing.problems]

    if options.subCommand == "plan":
        _planner(options, reactor, program, sourcing).setServiceParent(service)
        return service
    if options.subCommand == "check":
        _checker(options, reactor, program, sourcing, host).setServiceParent(service)
        return service
    _progress(options, reactor, program).setServiceParent(service)
    certificates = None if program.read_api is None else emitter_certificates(options, reactor)
    if certificates is not None:
        certificates.setServiceParent(service)
    access = None if program.read_api is None else emitter_access(options, reactor, host)
    if access is not None:
        access.setServiceParent(service)
    administration = Administration(program, reactor.seconds, problems, certificates, access)
    _serve_admin(options, reactor, administration, service)
    streams = program.read_api.stats if program.read_api is not None else None
    connections = None
    if program.read_api is not None:
        connections = emitter_connections(options, program.read_api.reads.refusals)
    collector = ProgramCollector(
        reactor,
        program.informers,
        streams,
        program.controller,
        program.comparison,
        program.election,
        measure(reactor),
        certificates,
        access,
        program.read_api.reads if program.read_api is not None else None,
        connections,
        lambda: {name: one.quotas_used() for name, one in program.followers.items()},
    )
    pages = StatusPages(reactor, administration) if options["status-page"] else None
    health = HealthApi([Check("program", program.problem)], make_registry(collector), pages)
    limits = ChannelLimits(connections=HEALTH_CONNECTIONS)
    few = Connections(limits, Refusals(reactor.seconds))
    doors = [Door("--listen", options["listen"], health.app.resource(), None, few)]
    if program.read_api is not None:
        api = program.read_api.app.resource()
        doors += emitter_doors(options, api, certificates, access, connections)
    open_doors(doors, reactor, service)
    spare_survivors()
    return service


def surroundings(reactor: Reactor, limits: Limits | None = None) -> Surroundings:
    """The real world."""
    from .program import Surroundings

    return Surroundings(reactor, random.random, time.time, limits=limits)


def _host(options: ReflectorOptions) -> HostLocation:
    from .client.config import find_host

    path = options["kubeconfig"]
    with blaming("--kubeconfig") if path else nullcontext():
        return find_host(path, os.environ)


def _candidacy(options: ReflectorOptions, host: HostLocation) -> Candidacy | None:
    from .election.service import Candidacy

    if not options["reflector.leader-elect"]:
        return None
    return Candidacy(
        # As kube-controller-manager has it: processes of one host are told apart, too.
        f"{socket.gethostname()}_{uuid.uuid4()}",
        options["reflector.leader-elect-resource-namespace"] or host.namespace(),
        options["reflector.leader-elect-resource-name"],
        options.election_timing(),
    )


def _program(options: ReflectorOptions, reactor: Reactor) -> tuple[Program, Sourcing, KubeClient]:
    from .client.http import KubeClient
    from .program import Program, Roles
    from .sourcing import Sourcing, client_limits

    limits = client_limits(options)
    location = _host(options)
    host = KubeClient(reactor, Credentials(location.load, clock=reactor), limits=limits)
    planning = options.subCommand in ("plan", "check")
    roles = Roles(
        namespace=options["namespace"],
        emitted=options["emitter.selector"] if options["emitter"] and not planning else None,
        reflected=options["reflector.selector"] if options["reflector"] else None,
        policy=_policy(options),
        delete_namespaces=options["reflector.delete-namespaces"],
        compare_period=0.0 if planning else options["reflector.compare-period"],
        service_ranges=tuple(options["reflector.service-cidr"]),
        host_url=location.url,
        candidacy=None if planning else _candidacy(options, location),
        read_limits=read_limits(options),
    )
    sourcing = Sourcing(reactor, options)
    program = Program(surroundings(reactor, limits), host, sourcing.flags, roles)
    sourcing.use = program.use_sources
    return program, sourcing, host


def _source_directory(
    options: ReflectorOptions, reactor: Reactor, sourcing: Sourcing
) -> SourceDirectory:
    from .sourcedir import SourceDirectory, check

    directory = Path(options["reflector.source-dir"])
    with blaming("--reflector.source-dir"):
        check(directory)
    return SourceDirectory(reactor, directory, sourcing.files_changed)


def _end_with(reactor: Reactor) -> Callable[[int], None]:
    def ended(status: int) -> None:
        globals()["exit_status"] = status
        reactor.callLater(0, reactor.stop)

    return ended


def _checker(
    options: ReflectorOptions,
    reactor: Reactor,
    program: Program,
    sourcing: Sourcing,
    host: KubeClient,
) -> Checker:
    from .checking.asking import Checker
    from .checking.permissions import needs

    def sources() -> dict[str, KubeClient] | None:
        if not sourcing.complete:
            return None
        return {one.settings.name: cast("KubeClient", one.client) for one in program.sources}

    own = options.subOptions
    return Checker(
        reactor,
        program,
        host,
        sources,
        needs(options, _host(options).namespace()),
        problems=lambda: sourcing.problems,
        epoch=time.time,
        namespace=options["namespace"],
        timeout=own["timeout"],
        probe=own["probe"],
        as_json=own["output"] == "json",
        out=sys.stdout,
        ended=_end_with(reactor),
    )


def _planner(
    options: ReflectorOptions, reactor: Reactor, program: Program, sourcing: Sourcing
) -> Planner:
    from .planning import Planner

    return Planner(
        reactor,
        program,
        complete=lambda: sourcing.complete,
        timeout=options.subOptions["timeout"],
        as_json=options.subOptions["output"] == "json",
        out=sys.stdout,
        err=sys.stderr,
        ended=_end_with(reactor),
    )


def _progress(options: ReflectorOptions, reactor: Reactor, program: Program) -> IService:
    """What shows how long first syncs go on: bars in a terminal, else lines of the log."""
    from .ops.bars import ProgressBars
    from .ops.progress import ProgressLog, counts_of
    from .ops.terminal import is_live

    # A daemon leaves its terminal, and then our observer was not asked for.
    is_seen = options.parent is not None and options.parent.get("logger") is log_observer
    if not is_seen or options["log-format"] == "json" or not is_live(sys.stderr, os.environ):
        return ProgressLog(reactor, program)
    bars = ProgressBars(reactor, sys.stderr, partial(counts_of, program))
    log_to(bars.above())
    return bars


def _serve_admin(
    options: ReflectorOptions,
    reactor: Reactor,
    administration: Administration,
    parent: MultiService,
) -> None:
    from .ops.admin import AdminApi, AdminService, check_path, default_path

    given = options["admin-socket"]
    path = Path(given) if given else default_path(os.environ)
    try:
        check_path(path)
    except BindError as error:
        if given:
            raise BindError(f"--admin-socket: {error}") from None
        Logger().warn(
            "no admin socket, name another with --admin-socket: {error}",
            reason=Code.ADMIN_SOCKET_UNAVAILABLE,
            error=error,
        )
        return
    resource = AdminApi(administration).app.resource()
    AdminService(reactor, path, resource).setServiceParent(parent)


def _policy(options: ReflectorOptions) -> Policy:
    from .admissions import for_all
    from .mirror.breaker import Limits
    from .mirror.naming import Naming
    from .mirror.policy import Policy

    return Policy(
        prune=options["reflector.prune"],
        spared=None if options["reflector.source-dir"] else frozenset(),
        endpoints_api=options["reflector.endpoints-api"],
        external_names=for_all(options["reflector.external-names"])[-1:] != (False,),
        hints=options["reflector.hints"],
        namespaces=for_all(options["reflector.namespaces"]),
        denied_namespaces=for_all(options["reflector.deny-namespaces"]),
        create_namespaces=options["reflector.create-namespaces"],
        ignored_labels=tuple(options["reflector.ignored-labels"]),
        ignored_annotations=tuple(options["reflector.ignored-annotations"]),
        naming=Naming(options["reflector.name-template"], options["reflector.namespace-template"]),
        limits=Limits(
            options["reflector.max-delete-fraction"], hold=options["reflector.delete-hold"]
        ),
    )


class GracefulService(MultiService):
    """Ends the process with status 0 on SIGTERM and SIGINT, once everything has stopped.

    Twisted's own handlers let the process die by the signal, which a Deployment shows as an error.
    """

    def __init__(self, reactor: Reactor) -> None:
        super().__init__()
        self._reactor = reactor
        self._stopping = False

    def startService(self) -> None:
        super().startService()
        # After Twisted has set its own handlers, which it does when the reactor starts.
        self._reactor.callWhenRunning(self.take_signals)

    def take_signals(self) -> None:
        """End by signals; by those that come before the reactor runs, as soon as it does."""

        def stop(_number: int, _frame: object) -> None:
            self._reactor.callFromThread(self._stop)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._reactor.stop()
