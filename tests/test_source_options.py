"""What a source needs beside its URL: by flags, by files, and on the wire."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.python import usage
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

from servicereflector.client.connection import ConfigError, Connection, parse_fingerprint
from servicereflector.client.credentials import from_options, static
from servicereflector.client.errors import TlsFailed
from servicereflector.client.http import KubeClient
from servicereflector.client.urloptions import FILES, NAMES, UrlOptions, parse_options
from servicereflector.emitter.certificates import show
from servicereflector.emitter.tls import Pair, self_signed, server_options
from servicereflector.flagtable import SourceFlag
from servicereflector.options import ReflectorOptions
from servicereflector.sourcedir import read_source
from servicereflector.sourcing import Sourcing
from servicereflector.testing.certificates import Authority

URL = "https://10.1.2.3:6443"
SECRET = "t0ps3cr3t"
PIN = f"sha256:{'ab' * 32}"


def parsed(*texts: str) -> list[SourceFlag]:
    options = ReflectorOptions()
    options.parseOptions([f"--source-api={text}" for text in texts])
    found: list[SourceFlag] = options["reflector.source-api"]
    return found


def refusal(*texts: str) -> str:
    with pytest.raises(usage.UsageError) as raised:
        parsed(*texts)
    return str(raised.value)


# Fingerprints.


@pytest.mark.parametrize(
    "text",
    [
        PIN,
        PIN.upper(),
        "SHA256:" + ":".join(["AB"] * 32),  # as openssl prints it
        f" {PIN}\n",
    ],
)
def test_a_fingerprint_has_one_form(text: str) -> None:
    assert parse_fingerprint(text) == PIN


@pytest.mark.parametrize(
    "text", ["", "ab" * 32, "sha256:", "sha1:" + "ab" * 20, PIN[:-1], PIN + "a"]
)
def test_other_texts_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match="a fingerprint is sha256: and 64 hexadecimal digits"):
        parse_fingerprint(text)


@given(st.text())
def test_any_text_is_one_or_is_refused(text: str) -> None:
    try:
        found = parse_fingerprint(text)
    except ConfigError:
        return
    assert re.fullmatch("sha256:[0-9a-f]{64}", found)
    assert parse_fingerprint(found) == found


# Flags.


def test_options_belong_to_the_url_before_them() -> None:
    first, second, third = parsed(
        f"east={URL},fingerprint={PIN},token-file=/t,west=http://west", f"{URL}/x,server-name=x"
    )
    assert first == SourceFlag("east", URL, UrlOptions(token_file="/t", fingerprint=PIN))
    assert second == SourceFlag("west", "http://west")
    assert third == SourceFlag("", f"{URL}/x", UrlOptions(server_name="x"))


def test_a_source_may_be_called_as_an_option_is() -> None:
    assert parsed(f"token-file={URL}") == [SourceFlag("token-file", URL)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("token-file=/t", "token-file stands before any URL"),
        (f"{URL},token-file=", f"{URL}: token-file wants one value"),
        (f"{URL},token-file=/a,token-file=/b", f"{URL}: token-file wants one value"),
        (f"{URL},client-key=/k", "client-certificate and client-key go together"),
        (f"{URL},fingerprint=ab", "a fingerprint is sha256: and 64 hexadecimal digits"),
        (f"{URL},fingerprint={PIN},ca-file=/c", "fingerprint stands in place of ca-file and serve"),
        (f"{URL},fingerprint={PIN},server-name=x", "fingerprint stands in place of ca-file and se"),
        *(
            (f"http://east,{name}=x", f"{name} needs https: over plain HTTP anybody on the way")
            for name in NAMES
            if not name.startswith("client-")
        ),
    ],
)
def test_mistakes_are_told_in_one_line(text: str, told: str) -> None:
    assert refusal(text).startswith(f"--reflector.source-api: {told}")


def sourcing(*flags: str) -> Sourcing:
    options = ReflectorOptions()
    options.parseOptions(list(flags))
    return Sourcing(Clock(), options)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("token-file", None, "token-file: No such file or directory"),
        ("token-file", "", "token-file: empty"),
        ("token-file", f"{SECRET}\n{SECRET}", "token-file: the token has characters that no token"),
        ("token-file", f"{SECRET}\xff", "token-file: the token has characters that no token has"),
        ("token-file", "x" * (1 << 20) + SECRET, "token-file: larger than 1 MiB"),
        ("ca-file", SECRET, "the certificate authority holds no certificate in PEM form"),
    ],
)
def test_files_are_looked_at_before_anything_starts(
    tmp_path: Path, name: str, content: str | None, told: str
) -> None:
    """And nothing of them is in the line that tells what is wrong."""
    file = tmp_path / "file"
    if content is not None:
        file.write_text(content, encoding="latin-1")
    with pytest.raises(ConfigError) as raised:
        sourcing(f"--source-api=east={URL},{name}={file}")
    assert str(raised.value).startswith(f"--reflector.source-api: east: {told}")
    assert SECRET not in str(raised.value)


def test_a_token_is_in_no_repr(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET)
    options = UrlOptions(token_file=str(tmp_path / "token"))
    connection = options.connection(URL)
    assert connection.token == SECRET
    assert SECRET not in repr(connection) + repr(options)


# Files of the source directory.


def written(directory: Path, **members: str) -> Path:
    (directory / "east.yaml").write_text(json.dumps({"url": URL, **members}))
    return directory / "east.yaml"


def test_a_mapping_has_them_as_members(tmp_path: Path) -> None:
    (tmp_path / ".token").write_text(SECRET)
    found = read_source(written(tmp_path, **{"token-file": ".token", "fingerprint": PIN}))
    assert found.options == UrlOptions(token_file=str(tmp_path / ".token"), fingerprint=PIN)


def test_a_new_token_is_a_new_source(tmp_path: Path) -> None:
    (tmp_path / ".token").write_text(SECRET)
    path = written(tmp_path, **{"token-file": ".token"})
    before = read_source(path)
    assert read_source(path) == before
    (tmp_path / ".token").write_text("another")
    assert read_source(path).digest != before.digest


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"token-file": SECRET}, "token-file: No such file or directory"),
        ({"fingerprint": SECRET}, "a fingerprint is sha256: and 64 hexadecimal digits"),
        ({"url": "http://x", "server-name": SECRET}, "server-name needs https: over plain HTTP "),
        ({"url": "", "kubeconfig": "k", "ca-file": SECRET}, "ca-file goes with url: a kubeconfig"),
    ],
)
def test_mistakes_in_a_mapping(tmp_path: Path, members: dict[str, str], told: str) -> None:
    (tmp_path / "k").write_text(
        "current-context: a\ncontexts: [{name: a, context: {cluster: b}}]\n"
        "clusters: [{name: b, cluster: {server: 'https://east'}}]\n"
    )
    with pytest.raises(ConfigError) as raised:
        read_source(written(tmp_path, **members))
    assert str(raised.value).startswith(f"{tmp_path / 'east.yaml'}: {told}")
    assert SECRET not in str(raised.value)


# On the wire.


class Tap(Protocol):
    """Notes what a client sends, and hangs up after a while."""

    def connectionMade(self) -> None:
        self.factory.connections += 1

    def dataReceived(self, data: bytes) -> None:
        self.factory.received += data

    def connectionLost(self, _reason: Failure = connectionDone) -> None:
        self.factory.ended.callback(None)


class Whoami(Resource):
    """Answers with who asks."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        peer = request.transport.getHandle().get_peer_certificate(as_cryptography=True)
        return json.dumps(
            {
                "token": (request.getHeader(b"Authorization") or b"").decode(),
                "user": peer.subject.rfc4514_string() if peer else "",
            }
        ).encode()


async def whoami(options: UrlOptions, tls: CertificateOptions) -> dict[str, str]:
    """What a server with this TLS is told by a client with these options."""
    port = reactor.listenSSL(0, Site(Whoami()), tls, interface="127.0.0.1")
    url = f"https://127.0.0.1:{port.getHost().port}"
    client = KubeClient(reactor, from_options(url, options, clock=reactor))
    try:
        told: dict[str, str] = await client.version()
        return told
    finally:
        await client.close()
        await port.stopListening()


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return self_signed(tmp_path / "emitter")


def pin(pair: Pair) -> str:
    return show(pair, min_version="", cipher_suites=()).fingerprint


@pytest_twisted.ensureDeferred
async def test_a_pinned_certificate_needs_nobody_to_vouch_for_it(
    pair: Pair, tmp_path: Path
) -> None:
    """Nor to be for the host's address: that of an Emitter which made its own."""
    (tmp_path / "token").write_text(SECRET + "\n")
    options = UrlOptions(token_file=str(tmp_path / "token"), fingerprint=pin(pair))
    assert (await whoami(options, server_options(pair)))["token"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("version", ["VersionTLS12", "VersionTLS13"])
@pytest_twisted.ensureDeferred
async def test_another_certificate_gets_to_see_nothing(
    pair: Pair, tmp_path: Path, version: str
) -> None:
    """No byte of a request, and so no token, is sent."""
    factory = Factory.forProtocol(Tap)
    factory.connections, factory.received, factory.ended = 0, b"", Deferred()
    tls = server_options(pair, min_version=version)
    port = reactor.listenSSL(0, factory, tls, interface="127.0.0.1")
    url = f"https://127.0.0.1:{port.getHost().port}"
    client = KubeClient(reactor, static(Connection(url, token=SECRET, fingerprint=PIN)))
    try:
        with pytest.raises(TlsFailed) as raised:
            await client.version()
        assert str(raised.value).endswith(f"the server shows {pin(pair)}, and {PIN} is expected")
        await factory.ended
        assert (factory.connections, factory.received) == (1, b"")
    finally:
        await client.close()
        await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_an_authority_and_a_name(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path, "ca")
    tls = server_options(Pair(*authority.server(("emitter.east",))))
    options = UrlOptions(ca_file=str(authority.ca_file), server_name="emitter.east")
    assert await whoami(options, tls) == {"token": "", "user": ""}
    with pytest.raises(TlsFailed):
        await whoami(UrlOptions(ca_file=str(authority.ca_file)), tls)


@pytest.mark.parametrize("pinned", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_client_certificate(tmp_path: Path, pinned: bool) -> None:
    authority = Authority.create(tmp_path, "ca")
    pair = Pair(*authority.server(("127.0.0.1",)))
    tls = server_options(pair)
    tls.getContext().set_verify(1, lambda *_: True)  # SSL.VERIFY_PEER
    certificate, key = authority.client("west")
    trust: dict[str, str] = (
        {"fingerprint": pin(pair)} if pinned else {"ca_file": str(authority.ca_file)}
    )
    options = UrlOptions(client_certificate=str(certificate), client_key=str(key), **trust)
    assert "CN=west" in (await whoami(options, tls))["user"]


@pytest_twisted.ensureDeferred
async def test_a_token_that_is_replaced_is_read_again(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first")
    credentials = from_options(URL, UrlOptions(token_file=str(tmp_path / "token")), clock=reactor)
    assert (await credentials.current()).token == "first"
    (tmp_path / "token").write_text("second")
    assert (await credentials.reload()).token == "second"


def test_paths_are_relative_to_the_file_that_names_them() -> None:
    told = dict.fromkeys(FILES, "x")
    assert parse_options(told, URL, "/sources").files == ["/sources/x"] * 4
    assert parse_options(told, URL).files == ["x"] * 4
