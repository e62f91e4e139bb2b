"""Client certificates: the common name is the user, the organizations are its groups."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import crypto

from .identity import AccessError, User

_USAGES = {ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


class ClientAuthorities:
    """Those who vouch for clients, as ``--client-ca-file`` of kube-apiserver names them."""

    def __init__(self, pem: bytes) -> None:
        """
        :param pem: certificates; each is trusted as it is, a root or not.
        :raises AccessError: for anything else.
        """
        try:
            authorities = x509.load_pem_x509_certificates(pem)
        except ValueError:
            raise AccessError("holds no PEM certificates") from None
        self._store = crypto.X509Store()
        self._store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
        for authority in authorities:
            self._store.add_cert(crypto.X509.from_cryptography(authority))

    def user_of(self, certificate: crypto.X509, chain: Sequence[crypto.X509]) -> User | None:
        """The user whom the certificate names; None where nobody vouches for it now, or it is not
        for clients.

        :param chain: what the client sent beside it.
        """
        try:
            crypto.X509StoreContext(self._store, certificate, list(chain)).verify_certificate()
        except crypto.X509StoreContextError:
            return None
        try:
            return _user(certificate.to_cryptography())
        except ValueError:  # of an extension or a name that is no DER
            return None


def _user(certificate: x509.Certificate) -> User | None:
    if not _for_clients(certificate):
        return None
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    groups = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    if not names or not names[-1].value:
        return None
    # Of several common names Go's pkix.Name keeps the last.
    return User(str(names[-1].value), tuple(str(group.value) for group in groups))


def _for_clients(certificate: x509.Certificate) -> bool:
    """As Go's x509 has it, a certificate that names no usage is for all of them."""
    try:
        told = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return not _USAGES.isdisjoint(told)
