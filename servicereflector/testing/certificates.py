"""A certificate authority for tests: short-lived server and client certificates, as PEM files.

Knows nothing of Kubernetes, except that a client's user and groups are its subject's common name
and organizations, as Kubernetes reads them.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: Of a certificate, unless another one is asked for.
LIFETIME = datetime.timedelta(days=7)
_CLOCK_SKEW = datetime.timedelta(hours=1)


def write_private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Make a P-256 key and write it, readable by the owner only, in PEM ("EC PRIVATE KEY")."""
    key = ec.generate_private_key(ec.SECP256R1())
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    return key


class Authority:
    """A certificate authority that keeps all it issues in one directory.

    :ivar ca_file: The authority's own certificate, PEM.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        key: ec.EllipticCurvePrivateKey,
        certificate: x509.Certificate,
    ) -> None:
        """Use :meth:`create`."""
        self.ca_file = directory / f"{name}.crt"
        self._directory = directory
        self._name = name
        self._key = key
        self._certificate = certificate
        self._issued = 0

    @classmethod
    def create(cls, directory: Path, name: str) -> "Authority":
        """Make an authority called `name` in `directory`, which is made where it is missing."""
        directory.mkdir(parents=True, exist_ok=True)
        key = write_private_key(directory / f"{name}.key")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            _builder(subject, subject, key, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(ca=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        authority = cls(directory, name, key, certificate)
        authority.ca_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return authority

    def server(self, hosts: Sequence[str]) -> tuple[Path, Path]:
        """Issue a server certificate for `hosts`, names or IP addresses.

        :return: The paths of the certificate and of its private key, others each time.
        """
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        return self._issue(
            [(NameOID.COMMON_NAME, hosts[0])], ExtendedKeyUsageOID.SERVER_AUTH, names
        )

    def client(
        self,
        user: str,
        groups: Sequence[str] = (),
        lifetime: datetime.timedelta = LIFETIME,
    ) -> tuple[Path, Path]:
        """Issue a client certificate that Kubernetes takes for `user`, a member of `groups`.

        :param lifetime: From now on.
        :return: The paths of the certificate and of its private key.
        """
        organizations = [(NameOID.ORGANIZATION_NAME, group) for group in groups]
        return self._issue(
            [*organizations, (NameOID.COMMON_NAME, user)],
            ExtendedKeyUsageOID.CLIENT_AUTH,
            lifetime=lifetime,
        )

    def _issue(
        self,
        subject: Sequence[tuple[x509.ObjectIdentifier, str]],
        usage: x509.ObjectIdentifier,
        names: x509.SubjectAlternativeName | None = None,
        lifetime: datetime.timedelta = LIFETIME,
    ) -> tuple[Path, Path]:
        self._issued += 1
        stem = f"{self._name}-{self._issued}"
        certificate_path = self._directory / f"{stem}.crt"
        key_path = self._directory / f"{stem}.key"
        key = write_private_key(key_path)
        builder = (
            _builder(
                # One attribute per RDN: a Name with several equal types is legal only so.
                x509.Name([x509.NameAttribute(oid, value) for oid, value in subject]),
                self._certificate.subject,
                key,
                self._key,
                lifetime,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return certificate_path, key_path


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    lifetime: datetime.timedelta = LIFETIME,
) -> x509.CertificateBuilder:
    """Begin a certificate. Python 3.13 and later insist on both key identifiers."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )


def _key_usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
