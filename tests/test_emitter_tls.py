"""The Emitter's HTTPS, on real sockets of the loopback: which certificate, version and suite."""

from __future__ import annotations

import datetime
import socket
import ssl
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_twisted
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from servicereflector.emitter.tls import (
    Pair,
    TlsError,
    check_suites,
    choose_by_name,
    self_signed,
    server_options,
)
from servicereflector.testing.certificates import Authority

TIMEOUT = 20.0
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class Greeter(Protocol):
    """Answers the first bytes with a word, and hangs up."""

    def dataReceived(self, _data: bytes) -> None:
        self.transport.write(b"hello")
        self.transport.loseConnection()

    def connectionLost(self, _reason: Failure = connectionDone) -> None:
        self.factory.gone.callback(None)


class Greeting(Factory):
    """One connection's; ``gone`` fires when that is over."""

    protocol = Greeter

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()


@dataclass(frozen=True)
class Seen:
    """What a client saw of a server."""

    names: list[str]
    version: str
    suite: str
    answer: bytes


def visit(port: int, context: ssl.SSLContext, name: str | None) -> Seen:
    """Say a word, and hear one. Blocks."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as plain,
        context.wrap_socket(plain, server_hostname=name) as secure,
    ):
        secure.sendall(b"hello?")
        answer = b"".join(iter(lambda: secure.recv(65536), b""))
        shown = secure.getpeercert(binary_form=True)
        cipher = secure.cipher()
        version = secure.version()
    assert shown is not None
    assert cipher is not None
    assert version is not None
    certificate = x509.load_der_x509_certificate(shown)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return Seen(names.get_values_for_type(x509.DNSName), version, cipher[0], answer)


async def look(
    options: CertificateOptions, context: ssl.SSLContext, name: str | None = "localhost"
) -> Seen:
    """What a client with this context sees of a server with these options."""
    factory = Greeting()
    port = reactor.listenSSL(0, factory, options, interface="127.0.0.1")
    try:
        return await deferToThread(visit, port.getHost().port, context, name)
    finally:
        await port.stopListening()
        await factory.gone


def trusting(ca_file: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(ca_file))


def curious() -> ssl.SSLContext:
    """A client that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "ca", "ca")


@pytest.fixture
def issue(authority: Authority) -> Callable[..., Pair]:
    """Makes the pair for these hosts."""

    def issue(*hosts: str, domains: tuple[str, ...] = ()) -> Pair:
        return Pair(*authority.server(hosts), domains)

    return issue


class Signed:
    """A certificate of any shape, for what an Authority does not issue."""

    def __init__(
        self, name: str, by: Signed | None = None, *, ca: bool = False, key: Key | None = None
    ) -> None:
        self.key: Key = key or ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = by or self
        now = datetime.datetime.now(datetime.timezone.utc)
        identifier = x509.SubjectKeyIdentifier.from_public_key
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(issuer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(identifier(self.key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),
                critical=False,
            )
            .sign(issuer.key, hashes.SHA256())
        )

    def write(self, directory: Path, *chain: Signed, passphrase: bytes | None = None) -> Pair:
        """The pair's files, with the certificates of ``chain`` behind its own."""
        pair = Pair(directory / "signed.crt", directory / "signed.key")
        certificates = [one.certificate.public_bytes(Encoding.PEM) for one in (self, *chain)]
        pair.certificate.write_bytes(b"".join(certificates))
        encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        pair.key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        return pair


@contextmanager
def one_line_naming(*paths: Path) -> Iterator[None]:
    with pytest.raises(TlsError) as raised:
        yield
    assert "\n" not in str(raised.value)
    for path in paths:
        assert str(path) in str(raised.value)


# The self-signed pair.


@pytest_twisted.ensureDeferred
async def test_a_self_signed_pair_is_made_and_served(tmp_path: Path) -> None:
    """A client that trusts it reaches it as localhost."""
    pair = self_signed(tmp_path / "made" / "here")
    seen = await look(server_options(pair), trusting(pair.certificate))
    assert seen.answer == b"hello"
    assert "localhost" in seen.names


def test_a_self_signed_pair_is_made_once(tmp_path: Path) -> None:
    """A restart keeps what clients were told to trust."""
    first = self_signed(tmp_path)
    before = first.certificate.read_bytes(), first.key.read_bytes()
    again = self_signed(tmp_path)
    assert (again.certificate.read_bytes(), again.key.read_bytes()) == before


def test_half_a_self_signed_pair_is_made_anew(tmp_path: Path) -> None:
    """Neither half is of use alone."""
    self_signed(tmp_path).certificate.unlink()
    server_options(self_signed(tmp_path))


def test_the_private_key_is_the_owners_alone(tmp_path: Path) -> None:
    """The certificate is everybody's."""
    pair = self_signed(tmp_path)
    assert stat.S_IMODE(pair.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(pair.certificate.stat().st_mode) & 0o444


def test_an_old_private_key_does_not_lend_its_mode(tmp_path: Path) -> None:
    """A key that is written over a readable file is still the owner's alone."""
    key = tmp_path / "emitter.key"
    key.touch(mode=0o644)
    self_signed(tmp_path)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """Here a file stands in the way."""
    (tmp_path / "file").touch()
    with one_line_naming(tmp_path / "file"):
        self_signed(tmp_path / "file" / "certificates")


# A given pair.


@pytest_twisted.ensureDeferred
async def test_a_given_pair_is_served(authority: Authority, issue: Callable[..., Pair]) -> None:
    """Verified by its authority."""
    options = server_options(issue("emitter.example"))
    seen = await look(options, trusting(authority.ca_file), "emitter.example")
    assert seen.names == ["emitter.example"]


@pytest_twisted.ensureDeferred
async def test_a_chain_is_served_whole(tmp_path: Path) -> None:
    """A client that knows the root alone verifies by the certificate in between."""
    root = Signed("root", ca=True)
    between = Signed("between", root, ca=True)
    options = server_options(Signed("a.example", between).write(tmp_path, between))
    trusted = root.write(tmp_path).certificate
    assert (await look(options, trusting(trusted), "a.example")).names == ["a.example"]


@pytest_twisted.ensureDeferred
async def test_an_rsa_pair_is_served(tmp_path: Path) -> None:
    """As well as an elliptic curve's."""
    key = rsa.generate_private_key(65537, 2048)
    options = server_options(Signed("rsa.example", key=key).write(tmp_path))
    assert (await look(options, curious())).names == ["rsa.example"]


# Names.


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("told.example", "own.example"),
        ("TOLD.example", "own.example"),
        ("own.example", "default.example"),
        ("own2.example", "own2.example"),
        ("x.wild.example", "wild"),
        ("x.y.wild.example", "default.example"),
        ("wild.example", "default.example"),
        ("other.example", "default.example"),
        (None, "default.example"),
    ],
)
async def test_the_name_that_is_asked_for_chooses_the_pair(
    issue: Callable[..., Pair], asked: str | None, shown: str
) -> None:
    """Told domains take the place of the certificate's own; a wildcard stands for one label."""
    default = server_options(issue("default.example"))
    named = [
        issue("own.example", domains=("told.example",)),
        issue("own2.example"),
        issue("wild", domains=("*.wild.example",)),
    ]
    choose_by_name(default, [(pair, server_options(pair)) for pair in named])
    assert (await look(default, curious(), asked)).names == [shown]


@pytest_twisted.ensureDeferred
async def test_a_certificates_own_wildcard_is_heeded(issue: Callable[..., Pair]) -> None:
    """As a name of its own."""
    default = server_options(issue("default.example"))
    pair = issue("*.wild.example")
    choose_by_name(default, [(pair, server_options(pair))])
    assert (await look(default, curious(), "a.wild.example")).names == ["*.wild.example"]


@pytest_twisted.ensureDeferred
async def test_the_first_pair_of_a_domain_is_shown(issue: Callable[..., Pair]) -> None:
    """In the order of the flags."""
    default = server_options(issue("default.example"))
    pairs = [issue("first", domains=("a.example",)), issue("second", domains=("a.example",))]
    choose_by_name(default, [(pair, server_options(pair)) for pair in pairs])
    assert (await look(default, curious(), "a.example")).names == ["first"]


# Versions and suites.


def speaking(newest: ssl.TLSVersion) -> ssl.SSLContext:
    context = curious()
    context.maximum_version = newest
    return context


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("least", ["", "VersionTLS12"])
async def test_tls_1_2_is_taken_by_default(issue: Callable[..., Pair], least: str) -> None:
    """As in Kubernetes; an empty value is its default."""
    options = server_options(issue("a.example"), min_version=least)
    assert (await look(options, speaking(ssl.TLSVersion.TLSv1_2))).version == "TLSv1.2"


@pytest_twisted.ensureDeferred
async def test_tls_1_3_is_spoken_where_it_can_be(issue: Callable[..., Pair]) -> None:
    """The least version is not the only one."""
    assert (await look(server_options(issue("a.example")), curious())).version == "TLSv1.3"


@pytest_twisted.ensureDeferred
async def test_a_client_of_tls_1_2_is_refused_where_1_3_is_the_least(
    issue: Callable[..., Pair],
) -> None:
    """In the handshake."""
    options = server_options(issue("a.example"), min_version="VersionTLS13")
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        await look(options, speaking(ssl.TLSVersion.TLSv1_2))


@pytest_twisted.ensureDeferred
async def test_the_least_version_holds_for_named_pairs_too(issue: Callable[..., Pair]) -> None:
    """Whichever certificate is shown."""
    default = server_options(issue("default.example"), min_version="VersionTLS13")
    pair = issue("a.example")
    choose_by_name(default, [(pair, server_options(pair, min_version="VersionTLS13"))])
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        await look(default, speaking(ssl.TLSVersion.TLSv1_2), "a.example")


SUITE = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"


@pytest_twisted.ensureDeferred
async def test_the_named_suite_is_used(issue: Callable[..., Pair]) -> None:
    """By its IANA name."""
    options = server_options(issue("a.example"), cipher_suites=[SUITE])
    seen = await look(options, speaking(ssl.TLSVersion.TLSv1_2))
    assert seen.suite == "ECDHE-ECDSA-AES256-GCM-SHA384"


@pytest_twisted.ensureDeferred
async def test_a_suite_that_is_not_named_is_refused(issue: Callable[..., Pair]) -> None:
    """In the handshake."""
    options = server_options(issue("a.example"), cipher_suites=[SUITE])
    context = speaking(ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake.failure"):
        await look(options, context)


@pytest_twisted.ensureDeferred
async def test_the_suites_of_tls_1_3_are_always_on(issue: Callable[..., Pair]) -> None:
    """As in Go: naming older ones does not turn them off."""
    options = server_options(issue("a.example"), cipher_suites=[SUITE])
    assert (await look(options, curious())).version == "TLSv1.3"


@pytest_twisted.ensureDeferred
async def test_naming_only_suites_of_tls_1_3_changes_nothing(issue: Callable[..., Pair]) -> None:
    """The older versions keep their default suites."""
    options = server_options(issue("a.example"), cipher_suites=["TLS_AES_128_GCM_SHA256"])
    assert (await look(options, speaking(ssl.TLSVersion.TLSv1_2))).version == "TLSv1.2"


def test_an_unknown_suite_is_an_error() -> None:
    """With those that are known, in one line."""
    with pytest.raises(TlsError, match=r"^unknown cipher suite 'RC4': one of [A-Z0-9_, ]+$"):
        check_suites(["RC4"])


# Errors.


def test_a_missing_certificate_is_named(issue: Callable[..., Pair], tmp_path: Path) -> None:
    """With the system's reason."""
    pair = Pair(tmp_path / "none.crt", issue("a.example").key)
    with one_line_naming(pair.certificate):
        server_options(pair)


def test_a_missing_key_is_named(issue: Callable[..., Pair], tmp_path: Path) -> None:
    """Not the certificate, which is there."""
    pair = Pair(issue("a.example").certificate, tmp_path / "none.key")
    with one_line_naming(pair.key):
        server_options(pair)


def test_a_directory_in_place_of_a_certificate_is_named(
    issue: Callable[..., Pair], tmp_path: Path
) -> None:
    """What a mistaken volume mount makes of it."""
    with one_line_naming(tmp_path):
        server_options(Pair(tmp_path, issue("a.example").key))


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\xff\x00", b"-----BEGIN CERTIFICATE-----"])
def test_a_certificate_that_is_none_is_named(
    issue: Callable[..., Pair], tmp_path: Path, content: bytes
) -> None:
    """Whatever else it holds."""
    pair = Pair(tmp_path / "bad.crt", issue("a.example").key)
    pair.certificate.write_bytes(content)
    with one_line_naming(pair.certificate):
        server_options(pair)


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\n!\n"],  # pragma: allowlist secret
)
def test_a_key_that_is_none_is_named(
    issue: Callable[..., Pair], tmp_path: Path, content: bytes
) -> None:
    """Whatever else it holds."""
    pair = Pair(issue("a.example").certificate, tmp_path / "bad.key")
    pair.key.write_bytes(content)
    with one_line_naming(pair.key):
        server_options(pair)


def test_a_key_of_another_certificate_is_an_error(issue: Callable[..., Pair]) -> None:
    """Both files are named: either may be the wrong one."""
    pair = Pair(issue("a.example").certificate, issue("b.example").key)
    with one_line_naming(pair.certificate, pair.key):
        server_options(pair)


def test_a_key_with_a_passphrase_is_an_error(tmp_path: Path) -> None:
    """Never a prompt: nobody is there to answer it."""
    pair = Signed("a.example").write(tmp_path, passphrase=b"secret")
    with one_line_naming(pair.key):
        server_options(pair)
