"""The Emitter's HTTPS: certificates, names, versions and cipher suites, as kube-apiserver's flags
say them."""

from __future__ import annotations

import datetime
import ipaddress
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL
from twisted.internet.ssl import AcceptableCiphers, CertificateOptions, TLSVersion

PAIR_NAME = "emitter"

_VERSIONS = {
    "VersionTLS10": TLSVersion.TLSv1_0,
    "VersionTLS11": TLSVersion.TLSv1_1,
    "VersionTLS12": TLSVersion.TLSv1_2,
    "VersionTLS13": TLSVersion.TLSv1_3,
}

#: The suites that Go can serve and OpenSSL still has, by their IANA names.
_SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256": "ECDHE-ECDSA-AES128-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256": "ECDHE-RSA-AES128-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_RSA_WITH_AES_128_CBC_SHA": "AES128-SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256": "AES128-SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA": "AES256-SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384": "AES256-GCM-SHA384",
}

#: TLS 1.3's suites are always on: naming them is no error and changes nothing, as in Go.
_TLS13_SUITES = (
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
)


class TlsError(ValueError):
    """One line: what cannot be used, and why."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, by their files, and the domains that ask for it."""

    certificate: Path
    key: Path
    domains: tuple[str, ...] = ()


def check_suites(names: Sequence[str]) -> AcceptableCiphers | None:
    """
    :raises TlsError: for a name that is not known.
    """
    for name in names:
        if name not in _SUITES and name not in _TLS13_SUITES:
            raise TlsError(f"unknown cipher suite {name!r}: one of {', '.join(sorted(_SUITES))}")
    chosen = dict.fromkeys(_SUITES[name] for name in names if name in _SUITES)
    return AcceptableCiphers.fromOpenSSLCipherString(":".join(chosen)) if chosen else None


def server_options(
    pair: Pair,
    *,
    min_version: str = "",
    cipher_suites: Sequence[str] = (),
    asks_clients: bool = False,
) -> CertificateOptions:
    """The TLS of a server that shows this pair.

    :param min_version: ``""`` is TLS 1.2.
    :param asks_clients: whether clients are asked for a certificate. Any is taken, as by
        kube-apiserver: one that nobody vouches for is a matter of 401, not of the handshake.

    :raises TlsError: for a file that cannot be read or used, or an unknown suite.
    """
    suites = check_suites(cipher_suites)
    try:
        # OpenSSL's own reader would ask the terminal for a passphrase.
        key: Any = serialization.load_pem_private_key(pair.key.read_bytes(), None)
        # pyOpenSSL takes cryptography's objects, and deprecates those that Twisted names.
        chain: list[Any] = x509.load_pem_x509_certificates(pair.certificate.read_bytes())
        options = CertificateOptions(
            privateKey=key,
            certificate=chain[0],
            extraCertChain=chain[1:],
            raiseMinimumTo=_VERSIONS[min_version or "VersionTLS12"],
            acceptableCiphers=suites,
        )
        context = options.getContext()  # which makes it, and compares the two
        if asks_clients:
            context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    except OSError as error:
        raise TlsError(f"{error.filename}: {error.strerror}") from None
    except (ValueError, TypeError, UnsupportedAlgorithm, SSL.Error):
        raise TlsError(
            f"{pair.certificate} and {pair.key} are no PEM certificate with its private key, "
            "without a passphrase"
        ) from None
    return options


def choose_by_name(
    default: CertificateOptions, named: Sequence[tuple[Pair, CertificateOptions]]
) -> None:
    """Let ``default`` show the pair of the domain that a client asks for, where there is one."""
    by_domain: dict[str, SSL.Context] = {}
    for pair, options in named:
        for domain in pair.domains or _names(pair):
            by_domain.setdefault(domain.lower(), options.getContext())
    context = default.getContext()

    def choose(connection: SSL.Connection) -> None:
        name = (connection.get_servername() or b"").decode("ascii", "replace").lower()
        wildcard = "*." + name.partition(".")[2]
        connection.set_context(by_domain.get(name) or by_domain.get(wildcard) or context)

    if by_domain:
        context.set_tlsext_servername_callback(choose)


def _names(pair: Pair) -> list[str]:
    """The names that a certificate is for."""
    parsed = x509.load_pem_x509_certificates(pair.certificate.read_bytes())[0]
    try:
        told = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return told.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        return [str(a.value) for a in parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def self_signed(directory: Path) -> Pair:
    """The pair kept in ``directory``, made on first use.

    :raises TlsError: where the directory cannot be written.
    """
    pair = Pair(directory / f"{PAIR_NAME}.crt", directory / f"{PAIR_NAME}.key")
    if pair.certificate.exists() and pair.key.exists():
        return pair
    certificate, key = _make_pair()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write(pair.key, key, 0o600)
        _write(pair.certificate, certificate, 0o644)
    except OSError as error:
        raise TlsError(f"{error.filename}: {error.strerror}") from None
    return pair


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # of a file that was there
        file.write(content)


def _make_pair() -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    host = socket.gethostname()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
    names: list[x509.GeneralName] = [
        x509.DNSName(host),
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
