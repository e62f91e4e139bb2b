"""Certificates that change while they are served."""

from __future__ import annotations

import hashlib
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, execute
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import LogEvent, globalLogPublisher
from twisted.python.failure import Failure

from servicereflector.administration import Administration
from servicereflector.emitter.certificates import Certificates, show
from servicereflector.emitter.tls import Pair, self_signed
from servicereflector.ops.metrics import ProgramCollector, make_registry
from servicereflector.reflector.recorder import rfc3339
from servicereflector.testing.certificates import Authority
from servicereflector.testing.clusters import Mesh

PERIOD, PATIENCE = Certificates.period, Certificates.patience

NOW = 1_790_000_000.0


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "ca", "ca")


@pytest.fixture
def pair(tmp_path: Path, authority: Authority) -> Pair:
    """The files that are served: another's, copied."""
    served = tmp_path / "served"
    served.mkdir()
    pair = Pair(served / "tls.crt", served / "tls.key")
    replace(pair, authority)
    return pair


def replace(pair: Pair, authority: Authority) -> None:
    certificate, key = authority.server(("localhost",))
    shutil.copy(certificate, pair.certificate)
    shutil.copy(key, pair.key)


@pytest.fixture
def told() -> Iterator[list[str]]:
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_namespace", "").endswith("Certificates"):
            lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def serve(clock: Clock) -> Iterator[Callable[..., Certificates]]:
    """Starts the Service on a clock, with what is a thread elsewhere."""
    started: list[Certificates] = []

    def serve(pair: Pair, *named: Pair, epoch: float = NOW) -> Certificates:
        certificates = Certificates(
            clock,
            [file for one in (pair, *named) for file in (one.certificate, one.key)],
            lambda: show(pair, named, min_version="", cipher_suites=()),
            epoch=lambda: epoch,
            defer_to_thread=execute,
        )
        certificates.startService()
        started.append(certificates)
        return certificates

    yield serve
    for one in started:
        one.stopService()
    assert not clock.getDelayedCalls()


def fingerprint(file: Path) -> str:
    """As ``openssl x509 -fingerprint -sha256`` has it, but for the form."""
    der = ssl.PEM_cert_to_DER_cert(file.read_text())
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def test_the_fingerprint_is_told(
    serve: Callable[..., Certificates], pair: Pair, told: list[str]
) -> None:
    assert serve(pair).shown.fingerprint == fingerprint(pair.certificate)
    assert told[0] == f"HTTPS shows the certificate {fingerprint(pair.certificate)}"


def test_a_self_signed_one_is_called_so(
    serve: Callable[..., Certificates], tmp_path: Path, told: list[str]
) -> None:
    pair = self_signed(tmp_path)
    assert serve(pair).shown.self_signed
    assert told == [f"HTTPS shows the self-signed certificate {fingerprint(pair.certificate)}"]


def test_new_files_are_shown(
    serve: Callable[..., Certificates],
    clock: Clock,
    pair: Pair,
    authority: Authority,
    told: list[str],
) -> None:
    certificates = serve(pair)
    before = certificates.shown
    clock.advance(PERIOD)
    assert certificates.shown is before
    replace(pair, authority)
    clock.advance(PERIOD)
    assert certificates.shown.fingerprint == fingerprint(pair.certificate) != before.fingerprint
    assert told[-1].startswith("HTTPS shows, from now on, the certificate sha256:")


def test_those_of_a_name_are_read_again_too(
    serve: Callable[..., Certificates],
    clock: Clock,
    pair: Pair,
    authority: Authority,
    tmp_path: Path,
) -> None:
    named = Pair(tmp_path / "named.crt", tmp_path / "named.key", ("other.example",))
    replace(named, authority)
    before = (certificates := serve(pair, named)).shown
    replace(named, authority)
    clock.advance(PERIOD)
    assert certificates.shown is not before


def test_a_secret_that_is_swapped_as_a_whole(
    serve: Callable[..., Certificates], clock: Clock, authority: Authority, tmp_path: Path
) -> None:
    """A kubelet writes a new directory, and points ``..data`` at it."""
    for version in ("first", "second"):
        (tmp_path / version).mkdir()
        replace(Pair(tmp_path / version / "tls.crt", tmp_path / version / "tls.key"), authority)
    (tmp_path / "..data").symlink_to("first")
    for name in ("tls.crt", "tls.key"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    certificates = serve(Pair(tmp_path / "tls.crt", tmp_path / "tls.key"))
    (tmp_path / "..tmp").symlink_to("second")
    (tmp_path / "..tmp").rename(tmp_path / "..data")
    clock.advance(PERIOD)
    assert certificates.shown.fingerprint == fingerprint(tmp_path / "second" / "tls.crt")


def test_what_is_half_replaced_waits_for_its_other_half(
    serve: Callable[..., Certificates],
    clock: Clock,
    pair: Pair,
    authority: Authority,
    told: list[str],
) -> None:
    certificates = serve(pair)
    before, lines = certificates.shown, list(told)
    certificate, key = authority.server(("localhost",))
    shutil.copy(certificate, pair.certificate)
    clock.pump([PERIOD] * 5)
    assert certificates.shown is before
    assert told == lines
    shutil.copy(key, pair.key)
    clock.advance(PERIOD)
    assert certificates.shown.fingerprint == fingerprint(pair.certificate)
    assert certificates.problem == ""


@pytest.mark.parametrize("damage", [Path.unlink, lambda file: file.write_text("no certificate")])
def test_what_stays_bad_is_told_once(
    serve: Callable[..., Certificates],
    clock: Clock,
    pair: Pair,
    authority: Authority,
    told: list[str],
    damage: Callable[[Path], object],
) -> None:
    """And what was there before goes on being shown, until there is something better."""
    certificates = serve(pair)
    before, lines = certificates.shown, len(told)
    damage(pair.certificate)
    clock.pump([PERIOD] * int(3 * PATIENCE / PERIOD))
    assert certificates.shown is before
    (line,) = told[lines:]
    assert str(pair.certificate) in line
    assert certificates.problem in line
    replace(pair, authority)
    clock.advance(PERIOD)
    assert certificates.shown.fingerprint == fingerprint(pair.certificate)
    assert certificates.problem == ""


@pytest.mark.parametrize(
    ("left", "words"), [(3 * 86400.0, "ends in 3.0 days"), (-60.0, "has ended")]
)
def test_its_end_is_warned_of_once(
    serve: Callable[..., Certificates],
    clock: Clock,
    pair: Pair,
    told: list[str],
    left: float,
    words: str,
) -> None:
    ends = show(pair, min_version="", cipher_suites=()).expires
    serve(pair, epoch=ends - left)
    clock.pump([PERIOD] * 5)
    assert [line for line in told if words in line] == [
        f"the certificate {fingerprint(pair.certificate)} {words}"
    ]


def test_far_from_its_end_nothing_is_said(
    serve: Callable[..., Certificates], clock: Clock, pair: Pair, told: list[str]
) -> None:
    ends = show(pair, min_version="", cipher_suites=()).expires
    serve(pair, epoch=ends - 8 * 86400)
    clock.pump([PERIOD] * 5)
    assert len(told) == 1


def test_status_and_metrics_tell_of_it(
    serve: Callable[..., Certificates], pair: Pair, clock: Clock
) -> None:
    certificates = serve(pair)
    mesh = Mesh()
    program = mesh.join("east").program
    assert program is not None
    status = Administration(program, clock.seconds, certificates=certificates).status()
    assert status["certificate"] == {
        "fingerprint": fingerprint(pair.certificate),
        "self_signed": False,
        "expires": rfc3339(certificates.shown.expires),
        "problem": "",
    }
    registry = make_registry(ProgramCollector(clock, (), None, None, certificates=certificates))
    name = "service_reflector_emitter_certificate_expiry_timestamp_seconds"
    assert registry.get_sample_value(name) == certificates.shown.expires
    mesh.stop()


class Echo(Protocol):
    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)

    def connectionLost(self, _reason: Failure = connectionDone) -> None:
        self.factory.gone.callback(None)


@pytest_twisted.ensureDeferred
async def test_an_open_stream_goes_on(pair: Pair, authority: Authority) -> None:
    """Over sockets, with files that are looked at in a thread."""
    certificates = Certificates(
        reactor,
        [pair.certificate, pair.key],
        lambda: show(pair, min_version="", cipher_suites=()),
        epoch=lambda: NOW,
    )
    factory = Factory.forProtocol(Echo)
    factory.gone = Deferred()
    port = reactor.listenSSL(0, factory, certificates, interface="127.0.0.1")
    context = ssl.create_default_context(cafile=str(authority.ca_file))

    def connect() -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", port.getHost().port), timeout=20)
        return context.wrap_socket(plain, server_hostname="localhost")

    def shown_to(connection: ssl.SSLSocket) -> str:
        der = connection.getpeercert(binary_form=True)
        assert der is not None
        return f"sha256:{hashlib.sha256(der).hexdigest()}"

    def say(connection: ssl.SSLSocket, word: bytes) -> bytes:
        connection.sendall(word)
        return connection.recv(100)

    certificates.startService()
    first = await deferToThread(connect)
    assert shown_to(first) == certificates.shown.fingerprint
    replace(pair, authority)
    deadline = reactor.seconds() + 20
    while certificates.shown.fingerprint != fingerprint(pair.certificate):
        assert reactor.seconds() < deadline
        await deferLater(reactor, 0.05)
    assert await deferToThread(say, first, b"still here") == b"still here"
    await deferToThread(first.close)
    await factory.gone
    factory.gone = Deferred()
    second = await deferToThread(connect)
    assert shown_to(second) == fingerprint(pair.certificate)
    await deferToThread(second.close)
    await factory.gone
    certificates.stopService()
    await port.stopListening()
