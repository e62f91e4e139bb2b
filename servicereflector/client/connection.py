"""Where an API is and how to prove who one is: a value, and the TLS policy that it describes.

Knows nothing of kubeconfig files, of tokens that change, or of HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.hashes import SHA256
from OpenSSL import SSL
from OpenSSL.crypto import FILETYPE_PEM, load_privatekey
from OpenSSL.crypto import Error as CryptoError
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.error import VerifyError
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    KeyPair,
    PrivateCertificate,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

from ..kube.text import Confidential
from ..reasons import Code

_PEM_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL
)


class ConfigError(Confidential):
    """A configuration that cannot be used: one line, which says what is wrong and where."""

    told_as = Code.CREDENTIALS_UNUSABLE


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach one API server at one moment.

    :ivar url: ``scheme://host[:port][/prefix]``, as :func:`parse_url` returns it.
    :ivar ca: the certificates to trust, PEM; None trusts the system's.
    :ivar insecure: skip the verification of the server's certificate.
    :ivar certificate: the client's certificate and its chain, PEM; with ``private_key``.
    :ivar server_name: the name that the server's certificate is for, where it is not the host.
    :ivar token: the bearer token, without the word Bearer.
    :ivar fingerprint: of the one certificate that is taken, whatever else is true of it, as
        :func:`parse_fingerprint` returns it; None where names and authorities decide.
    """

    url: str
    ca: bytes | None = field(default=None, repr=False)
    insecure: bool = False
    certificate: bytes | None = field(default=None, repr=False)
    private_key: bytes | None = field(default=None, repr=False)
    server_name: str | None = None
    token: str | None = field(default=None, repr=False)
    fingerprint: str | None = None

    @property
    def tls(self) -> tuple[object, ...]:
        """What two Connections must have in common to share a TLS policy and its connections."""
        own = (self.certificate, self.private_key)
        return (self.ca, self.insecure, *own, self.server_name, self.fingerprint)

    @property
    def server(self) -> str:
        """``host[:port]``, for messages."""
        return urlsplit(self.url).netloc


def parse_url(text: str) -> str:
    """The URL of an API, checked, without a slash at its end.

    :raises ConfigError: for anything but ``http[s]://host[:port][/prefix]``. The message repeats
        neither what stands before an ``@`` nor a query: there passwords and tokens are found.
    """
    text = text.strip()
    try:
        parts = urlsplit(text)
        usable = bool(parts.hostname) and parts.port != 0 and not parts.netloc.endswith(":")
    except ValueError:
        parts, usable = urlsplit(""), False
    if "@" in text:
        raise ConfigError("a URL with a user name or password in it is not taken")
    if "?" in text or "#" in text:
        raise ConfigError("a URL with a query or a fragment is not taken")
    if (
        parts.scheme not in ("http", "https")
        or not usable
        or not text.isascii()
        or not text.isprintable()
        or " " in text
    ):
        raise ConfigError(f"not of the form http[s]://host[:port][/path]: {text[:100]!r}")
    return text.rstrip("/")


def parse_fingerprint(text: str) -> str:
    """``sha256:`` and 64 lower-case hexadecimal digits; as openssl prints them they are taken, too.

    :raises ConfigError: for anything else.
    """
    kind, _, digits = text.strip().lower().partition(":")
    digits = digits.replace(":", "")
    if kind != "sha256" or not re.fullmatch("[0-9a-f]{64}", digits):
        raise ConfigError("a fingerprint is sha256: and 64 hexadecimal digits")
    return f"sha256:{digits}"


def tls_policy(connection: Connection) -> IPolicyForHTTPS:
    """The policy that verifies the server, and shows the client's certificate, as told.

    TLS 1.2 is the least that it speaks: Twisted's own lower limit.

    :raises ConfigError: where the PEM texts do not hold what they should.
    """
    own, options = _own(connection)
    if connection.insecure or connection.fingerprint:
        if own is not None:
            options.update(privateKey=own.privateKey.original, certificate=own.original)
        made = CertificateOptions(**options)
        if connection.fingerprint:
            return _Policy(None, partial(_PinnedCreator, made, connection.fingerprint))
        return _Policy(connection.server_name, partial(_UnverifiedCreator, made))
    # None is Twisted's way to say: the platform's trust roots.
    trust = (
        None
        if connection.ca is None
        else trustRootFromCertificates(_certificates(connection.ca, "certificate authority"))
    )

    def verified(name: str) -> IOpenSSLClientConnectionCreator:
        return optionsForClientTLS(
            name,
            trustRoot=trust,
            clientCertificate=own,
            extraCertificateOptions=dict(options),
        )

    return _Policy(connection.server_name, verified)


@implementer(IPolicyForHTTPS)
class _Policy:
    """Makes the options of a host once.

    An Agent asks for them at every request, and each new OpenSSL context parses all of its trust
    roots again.
    """

    def __init__(
        self,
        server_name: str | None,
        creator: Callable[[str], IOpenSSLClientConnectionCreator],
    ) -> None:
        self._server_name = server_name
        self._creator = creator
        self._made: dict[str, IOpenSSLClientConnectionCreator] = {}

    def creatorForNetloc(self, hostname: bytes, _port: int) -> IOpenSSLClientConnectionCreator:
        name = self._server_name or hostname.decode("ascii")
        if name not in self._made:
            self._made[name] = self._creator(name)
        return self._made[name]


@implementer(IOpenSSLClientConnectionCreator)
class _UnverifiedCreator:
    """TLS to whomever answers. ``optionsForClientTLS`` cannot be talked out of verifying."""

    def __init__(self, options: CertificateOptions, name: str) -> None:
        self._options = options
        self._name = name

    def clientConnectionForTLS(
        self,
        _protocol: TLSMemoryBIOProtocol,
    ) -> SSL.Connection:
        connection = SSL.Connection(self._options.getContext(), None)
        # An IP address is no server name (RFC 6066, section 3); a server behind a router that
        # goes by the name is reached only with it, verified or not.
        if not isIPAddress(self._name) and not isIPv6Address(self._name):
            connection.set_tlsext_host_name(self._name.encode("idna"))
        return connection


class WrongFingerprint(Exception):
    """The server showed another certificate than the one that is pinned."""


class _PinnedCreator(_UnverifiedCreator):
    """TLS to whomever has the key of one certificate.

    It is looked at when the handshake is done: what was written before waits in Twisted, and goes
    nowhere once the verification has failed.
    """

    def __init__(self, options: CertificateOptions, fingerprint: str, name: str) -> None:
        super().__init__(options, name)
        self._expected = fingerprint
        options.getContext().set_info_callback(self._told)

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        connection = super().clientConnectionForTLS(protocol)
        connection.set_app_data(protocol)
        return connection

    def _told(self, connection: SSL.Connection, where: int, _value: int) -> None:
        if not where & SSL.SSL_CB_HANDSHAKE_DONE:
            return
        shown = connection.get_peer_certificate(as_cryptography=True)
        seen = f"sha256:{shown.fingerprint(SHA256()).hex()}" if shown is not None else "nothing"
        if seen != self._expected:
            error = WrongFingerprint(f"the server shows {seen}, and {self._expected} is expected")
            connection.get_app_data().failVerification(Failure(error))


def _certificates(pem: bytes, what: str) -> list[Certificate]:
    try:
        found = [Certificate.loadPEM(block) for block in _PEM_CERTIFICATE.findall(pem)]
    except (CryptoError, ValueError):
        raise ConfigError(f"the {what} holds a damaged certificate") from None
    if not found:
        raise ConfigError(f"the {what} holds no certificate in PEM form")
    return found


def _own(connection: Connection) -> tuple[PrivateCertificate | None, dict[str, Any]]:
    """The client's certificate and key, and the options that carry the rest of its chain."""
    if connection.certificate is None and connection.private_key is None:
        return None, {}
    if connection.certificate is None or connection.private_key is None:
        raise ConfigError("a client certificate needs its private key, and the key its certificate")
    leaf, *chain = _certificates(connection.certificate, "client certificate")
    try:
        # Without a passphrase OpenSSL would ask the terminal for that of an encrypted key.
        key = KeyPair(load_privatekey(FILETYPE_PEM, connection.private_key, b""))
    except (CryptoError, ValueError):
        raise ConfigError("the client's private key is encrypted or damaged") from None
    try:
        own = PrivateCertificate.fromCertificateAndKeyPair(leaf, key)
    except VerifyError:
        raise ConfigError("the client certificate and its private key do not match") from None
    return own, {"extraCertChain": [one.original for one in chain]} if chain else {}
