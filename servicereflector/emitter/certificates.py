"""The certificates that a server shows, read again when their files change.

New connections see the new ones; open streams go on undisturbed. cert-manager, kubelets and people
replace a certificate and its key one after the other: in between they do not match, and the old
pair stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IOpenSSLServerConnectionCreator,
    IReactorTime,
)
from twisted.internet.ssl import CertificateOptions
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from .tls import Pair, TlsError, choose_by_name, server_options

#: Seconds between two looks at the files.
PERIOD = 1.0

#: Seconds for which files may be unusable before that is told: they are about to be complete.
PATIENCE = 10.0

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
    default: Pair, named: Sequence[Pair] = (), *, min_version: str, cipher_suites: Sequence[str]
) -> Shown:
    """Read the files.

    :param named: pairs for clients that ask for one of their domains.
    :raises TlsError: for files that cannot be used.
    """
    options = server_options(default, min_version=min_version, cipher_suites=cipher_suites)
    choose_by_name(
        options,
        [
            (pair, server_options(pair, min_version=min_version, cipher_suites=cipher_suites))
            for pair in named
        ],
    )
    certificate = cast("x509.Certificate", options.certificate)  # as server_options has it
    return Shown(
        options,
        f"sha256:{certificate.fingerprint(hashes.SHA256()).hex()}",
        certificate.issuer == certificate.subject,
        certificate.not_valid_after_utc.timestamp(),
    )


@implementer(IOpenSSLServerConnectionCreator)
class Certificates(Service):
    """
    :ivar shown: to new connections.
    :ivar problem: why the files as they are now cannot be used, ``""`` where they are.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        files: Sequence[Path],
        load: Callable[[], Shown],
        *,
        epoch: Callable[[], float],
        defer_to_thread: Callable[..., Deferred[tuple[list[str], Shown | TlsError | None]]] = (
            deferToThread
        ),
    ) -> None:
        """Loads at once, and blocks for it.

        :param files: what ``load`` reads.
        :param load: raises TlsError.
        :param epoch: the time in seconds since 1970.
        """
        self.problem = ""
        self._reactor = reactor
        self._files = files
        self._load = load
        self._epoch = epoch
        self._defer_to_thread = defer_to_thread
        self._digests = _digests(files)
        self.shown = load()
        self._bad_since: float | None = None
        self._warned_of = ""
        self._timer: IDelayedCall | None = None

    def serverConnectionForTLS(self, _protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """What Twisted asks at each new connection."""
        return SSL.Connection(self.shown.options.getContext(), None)

    def startService(self) -> None:
        super().startService()
        self._tell("HTTPS shows")
        self._look_later()

    def stopService(self) -> None:
        """A look that is under way is not waited for: a file system may not answer."""
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self) -> None:
        self._warn_of_its_end()
        self._timer = self._reactor.callLater(PERIOD, self._look)

    def _look(self) -> None:
        self._timer = None
        self._defer_to_thread(self._read).addCallbacks(self._looked, self._failed)

    def _read(self) -> tuple[list[str], Shown | TlsError | None]:
        """What the files are now, and what comes of them where they have changed. Blocks."""
        digests = _digests(self._files)
        if digests == self._digests:
            return digests, None
        try:
            return digests, self._load()
        except TlsError as error:
            return digests, error

    def _looked(self, found: tuple[list[str], Shown | TlsError | None]) -> None:
        if not self.running:
            return
        digests, shown = found
        if isinstance(shown, TlsError):
            self._bad(str(shown))
        else:
            self._digests = digests
            self._bad_since, self.problem = None, ""
            if shown is not None:
                self.shown = shown
                self._tell("HTTPS shows, from now on,")
        self._look_later()

    def _failed(self, failure: Failure) -> None:
        if self.running:
            self._bad(type(failure.value).__name__)
            self._look_later()

    def _bad(self, why: str) -> None:
        now = self._reactor.seconds()
        if self._bad_since is None:
            self._bad_since = now
        if now >= self._bad_since + PATIENCE and why != self.problem:
            self.problem = why
            self.log.warn("the certificate stays as it was: {why}", why=why)

    def _tell(self, what: str) -> None:
        self.log.info(
            "{what} the {kind}certificate {fingerprint}",
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
                fingerprint=self.shown.fingerprint,
                ends=ends,
            )


def _digests(files: Sequence[Path]) -> list[str]:
    """Of each file's content, or why it cannot be read."""
    found = []
    for file in files:
        try:
            found.append(sha256(file.read_bytes()).hexdigest())
        except OSError as error:
            found.append(str(error.strerror))
    return found
