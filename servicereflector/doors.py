"""The program's listening sockets, as the options describe them: all are opened, or none."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from twisted.application.service import MultiService
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from twisted.web.resource import IResource

from .access.clientcerts import ClientAuthorities
from .access.gate import Access
from .access.identity import AccessError
from .access.reviews import AccessReviews, Asked, TokenReviews
from .access.rules import RuleFile, Rules
from .access.tokenfile import parse_token_file
from .access.views import parse_views_file
from .client.connection import ConfigError
from .emitter.bounds import ReadLimits
from .emitter.certificates import Certificates, show
from .emitter.clients import Bound
from .emitter.refusals import Refusals
from .emitter.tls import Pair, TlsError, self_signed
from .ops.channels import ChannelLimits, Connections
from .ops.descriptors import room_for
from .ops.sockets import BindError, SocketService, bind
from .options import ReflectorOptions
from .reasons import Code

if TYPE_CHECKING:
    from twisted.internet.posixbase import PosixReactorBase as Reactor

T = TypeVar("T")

#: Of the port of health and metrics: kubelets and Prometheus ask, and people.
HEALTH_CONNECTIONS = Bound(1000, 200)


@contextmanager
def blaming(flag: str) -> Iterator[None]:
    """What goes wrong within begins with the flag that it comes from."""
    try:
        yield
    except (AccessError, BindError, ConfigError, TlsError) as error:
        raise type(error)(f"{flag}: {error}") from None


@dataclass(frozen=True, slots=True)
class Door:
    """What is to be served, where, and the flag that says so."""

    flag: str
    address: tuple[str, int]
    resource: IResource
    tls: IOpenSSLServerConnectionCreator | None = None
    connections: Connections | None = None


def open_doors(doors: Sequence[Door], reactor: Reactor, parent: MultiService) -> None:
    """Open all sockets, or none."""
    with ExitStack() as opened:
        for door in doors:
            with blaming(door.flag):
                listening = opened.enter_context(bind(*door.address))
            service = SocketService(reactor, listening, door.resource, door.tls, door.connections)
            service.setServiceParent(parent)
        opened.pop_all()


def emitter_doors(
    options: ReflectorOptions,
    resource: IResource,
    certificates: Certificates | None,
    access: Access | None = None,
    connections: Connections | None = None,
) -> Iterator[Door]:
    """
    :param certificates: None where there is no HTTPS.
    :param access: None where everybody may read.
    :param connections: of all doors together; None for no limits.
    """
    plain = secure = resource
    if access is not None:
        plain = access.gate(
            resource, credentials=False, anonymous=options["emitter.insecure-anonymous"]
        )
        secure = access.gate(resource, credentials=True)
    if port := options["emitter.insecure-port"]:
        address = (options["emitter.insecure-bind-address"], port)
        yield Door("--emitter.insecure-port", address, plain, None, connections)
    if certificates is not None:
        address = (options["emitter.bind-address"], options["emitter.secure-port"])
        yield Door("--emitter.secure-port", address, secure, certificates, connections)
    if options["emitter.http2-max-streams-per-connection"]:
        text = "--emitter.http2-max-streams-per-connection is ignored: HTTP/1.1 is spoken"
        Logger().info(text, reason=Code.FLAG_IGNORED)


def emitter_connections(options: ReflectorOptions, refusals: Refusals) -> Connections:
    """As many as the flags allow, and the system."""
    asked = options["emitter.max-connections"]
    possible = room_for(asked)
    if possible < asked:
        Logger().warn(
            "--emitter.max-connections: {asked} are more than this process may have files open: "
            "{possible} it is",
            reason=Code.CONNECTIONS_LIMITED,
            asked=asked,
            possible=possible,
        )
    bound = Bound(possible, options["emitter.max-connections-per-client"])
    limits = ChannelLimits(options["emitter.header-timeout"], connections=bound)
    return Connections(limits, refusals)


def read_limits(options: ReflectorOptions) -> ReadLimits:
    """What the Emitter's clients may read at a time."""
    watches, lists = (
        Bound(options[f"emitter.max-{kind}"], options[f"emitter.max-{kind}-per-client"])
        for kind in ("watches", "lists")
    )
    return ReadLimits(watches, lists)


def emitter_access(options: ReflectorOptions, reactor: Reactor, host: Asked) -> Access | None:
    """Who may ask the Emitter for what; None where everybody may read.

    :param host: is asked where the flags say so.
    :raises AccessError: for files that cannot be used.
    """
    if not options.authenticates():
        return None

    def file(flag: str, parse: Callable[[bytes], T], what: str) -> RuleFile[T] | None:
        path = options[flag]
        if not path:
            return None
        with blaming(f"--{flag}"):
            return RuleFile(reactor, Path(path), parse, what=what)

    authentication, authorization = (
        options[f"emitter.{name}"] == "webhook" for name in ("authentication", "authorization")
    )
    rules = Rules(
        authorities=file("emitter.client-ca-file", ClientAuthorities, "the clients' authority"),
        tokens=file("emitter.token-auth-file", parse_token_file, "the token file"),
        token_reviews=TokenReviews(reactor, host) if authentication else None,
        views=file("emitter.views", parse_views_file, "the file of views"),
        access_reviews=AccessReviews(reactor, host) if authorization else None,
    )
    return Access(reactor, rules)


def emitter_certificates(options: ReflectorOptions, reactor: Reactor) -> Certificates | None:
    """What the HTTPS port shows; None where there is none.

    :raises TlsError: for files that cannot be used.
    """
    if not options["emitter.secure-port"]:
        return None
    version, suites = options["emitter.tls-min-version"], options["emitter.tls-cipher-suites"]
    certificate, key = options["emitter.tls-cert-file"], options["emitter.tls-private-key-file"]
    named = [
        Pair(Path(pair.certificate), Path(pair.key), pair.domains)
        for pair in options["emitter.tls-sni-cert-key"]
    ]
    with blaming("--emitter.tls-cert-file" if certificate else "--emitter.cert-dir"):
        default = (
            Pair(Path(certificate), Path(key))
            if certificate
            else self_signed(Path(options["emitter.cert-dir"]))
        )
        show(default, min_version=version, cipher_suites=suites)
    asks = bool(options["emitter.client-ca-file"])
    with blaming("--emitter.tls-sni-cert-key"):
        return Certificates(
            reactor,
            [file for pair in (default, *named) for file in (pair.certificate, pair.key)],
            lambda: show(
                default, named, min_version=version, cipher_suites=suites, asks_clients=asks
            ),
            epoch=time.time,
        )
