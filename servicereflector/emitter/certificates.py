"""The certificates that a server shows, read again when their files change.

New connections see the new ones; open streams go on undisturbed. cert-manager, kubelets and people
replace a certificate and its key one after the other: in between they do not match, and the old
pair stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IReactorTime
from twisted.internet.ssl import CertificateOptions
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from ..reasons import Code
from ..reloading import Reloaded
from .tls import Pair, choose_by_name, server_options

#: Seconds before its end at which a certificate is warned of.
_SOON = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class Shown:
    """What a server shows.

    :ivar options: its TLS.
    :ivar fingerprint: ``sha256:`` and the SHA-256 of the certificate's DER, in hexadecimal; of that
        which is shown to who asks for no other name.
    :ivar self_signed: whether nobody else vouches for it.
    :ivar expires: when it ends, in seconds since 1970.
    """

    options: CertificateOptions
    fingerprint: str
    self_signed: bool
    expires: float


def show(
    default: Pair,
    named: Sequence[Pair] = (),
    *,
    min_version: str,
    cipher_suites: Sequence[str],
    asks_clients: bool = False,
) -> Shown:
    """Read the files.

    :param named: pairs for clients that ask for one of their domains.
    :param asks_clients: whether clients are asked for a certificate.
    :raises TlsError: for files that cannot be used.
    """

    def options_of(pair: Pair) -> CertificateOptions:
        return server_options(
            pair, min_version=min_version, cipher_suites=cipher_suites, asks_clients=asks_clients
        )

    options = options_of(default)
    choose_by_name(options, [(pair, options_of(pair)) for pair in named])
    certificate = cast("x509.Certificate", options.certificate)  # as server_options has it
    return Shown(
        options,
        f"sha256:{certificate.fingerprint(hashes.SHA256()).hex()}",
        certificate.issuer == certificate.subject,
        certificate.not_valid_after_utc.timestamp(),
    )


@implementer(IOpenSSLServerConnectionCreator)
class Certificates(Reloaded[Shown]):
    """The value is what new connections see."""

    log = Logger()
    what = "the certificate"

    def __init__(
        self,
        reactor: IReactorTime,
        files: Sequence[Path],
        load: Callable[[], Shown],
        *,
        epoch: Callable[[], float],
        defer_to_thread: Callable[..., Deferred[None]] = deferToThread,
    ) -> None:
        """
        :param load: raises TlsError.
        :param epoch: the time in seconds since 1970.
        """
        super().__init__(reactor, files, load, defer_to_thread=defer_to_thread)
        self._epoch = epoch
        self._warned_of = ""

    @property
    def shown(self) -> Shown:
        return self.value

    def serverConnectionForTLS(self, _protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """What Twisted asks at each new connection."""
        return SSL.Connection(self.shown.options.getContext(), None)

    def startService(self) -> None:
        self._tell("HTTPS shows", Code.CERTIFICATE_SHOWN)
        super().startService()

    def renewed(self) -> None:
        self._tell("HTTPS shows, from now on,", Code.CERTIFICATE_REPLACED)

    def _look_later(self) -> None:
        self._warn_of_its_end()
        super()._look_later()

    def _tell(self, what: str, code: Code) -> None:
        self.log.info(
            "{what} the {kind}certificate {fingerprint}",
            reason=code,
            what=what,
            kind="self-signed " if self.shown.self_signed else "",
            fingerprint=self.shown.fingerprint,
        )

    def _warn_of_its_end(self) -> None:
        """Once for each certificate."""
        left = self.shown.expires - self._epoch()
        if left < _SOON and self._warned_of != self.shown.fingerprint:
            self._warned_of = self.shown.fingerprint
            ends = f"ends in {left / 86400:.1f} days" if left > 0 else "has ended"
            self.log.warn(
                "the certificate {fingerprint} {ends}",
                reason=Code.CERTIFICATE_EXPIRING,
                fingerprint=self.shown.fingerprint,
                ends=ends,
            )
