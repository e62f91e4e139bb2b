"""The program's listening sockets, as the options describe them: all are opened, or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.application.service import MultiService
from twisted.internet.ssl import CertificateOptions
from twisted.logger import Logger
from twisted.web.resource import IResource

from .client.connection import ConfigError
from .emitter.tls import Pair, TlsError, choose_by_name, self_signed, server_options
from .ops.sockets import BindError, SocketService, bind
from .options import ReflectorOptions

if TYPE_CHECKING:
    from twisted.internet.posixbase import PosixReactorBase as Reactor


@contextmanager
def blaming(flag: str) -> Iterator[None]:
    """What goes wrong within begins with the flag that it comes from."""
    try:
        yield
    except (BindError, ConfigError, TlsError) as error:
        raise type(error)(f"{flag}: {error}") from None


@dataclass(frozen=True, slots=True)
class Door:
    """What is to be served, where, and the flag that says so."""

    flag: str
    address: tuple[str, int]
    resource: IResource
    tls: CertificateOptions | None = None


def open_doors(doors: Sequence[Door], reactor: Reactor, parent: MultiService) -> None:
    """Open all sockets, or none."""
    with ExitStack() as opened:
        for door in doors:
            with blaming(door.flag):
                listening = opened.enter_context(bind(*door.address))
            service = SocketService(reactor, listening, door.resource, door.tls)
            service.setServiceParent(parent)
        opened.pop_all()


def emitter_doors(options: ReflectorOptions, resource: IResource) -> Iterator[Door]:
    if port := options["emitter.insecure-port"]:
        address = (options["emitter.insecure-bind-address"], port)
        yield Door("--emitter.insecure-port", address, resource)
    if port := options["emitter.secure-port"]:
        address = (options["emitter.bind-address"], port)
        yield Door("--emitter.secure-port", address, resource, _tls(options))
    if options["emitter.http2-max-streams-per-connection"]:
        Logger().info("--emitter.http2-max-streams-per-connection is ignored: HTTP/1.1 is spoken")


def _tls(options: ReflectorOptions) -> CertificateOptions:
    def load(pair: Pair) -> CertificateOptions:
        return server_options(
            pair,
            min_version=options["emitter.tls-min-version"],
            cipher_suites=options["emitter.tls-cipher-suites"],
        )

    certificate, key = options["emitter.tls-cert-file"], options["emitter.tls-private-key-file"]
    with blaming("--emitter.tls-cert-file" if certificate else "--emitter.cert-dir"):
        default = load(
            Pair(Path(certificate), Path(key))
            if certificate
            else self_signed(Path(options["emitter.cert-dir"]))
        )
    with blaming("--emitter.tls-sni-cert-key"):
        pairs = [
            Pair(Path(named.certificate), Path(named.key), named.domains)
            for named in options["emitter.tls-sni-cert-key"]
        ]
        choose_by_name(default, [(pair, load(pair)) for pair in pairs])
    return default
