"""The command as its users run it: what it says to bad input, what it serves, how it stops."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import servicereflector
from servicereflector.ops.logs import FACTS
from servicereflector.testing.certificates import Authority
from servicereflector.testing.processes import free_port

COMMAND = [sys.executable, "-m", "servicereflector"]
TWISTD = [str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile=", "service-reflector"]
BOTH = pytest.mark.parametrize("command", [COMMAND, TWISTD], ids=["service-reflector", "twistd"])

#: Seconds for anything that happens at once, on a machine that is busy.
SOON = 30.0
#: Seconds within which the program has stopped, as documented.
STOPPED = 5.0

#: A cluster in memory, over TLS where it is given a pair: prints its port, and serves until it is
#: killed.
CLUSTER = """
import sys, uuid
from pathlib import Path
from twisted.internet import reactor
from twisted.web.server import Site
from servicereflector.embedded.api import EmbeddedApi
from servicereflector.embedded.cluster import Cluster
from servicereflector.emitter.tls import Pair, server_options

cluster = Cluster(now=lambda: "2026-01-01T00:00:00Z", uid=lambda: str(uuid.uuid4()))
site = Site(EmbeddedApi(reactor, cluster).app.resource())
if sys.argv[1:]:
    tls = server_options(Pair(*map(Path, sys.argv[1:])))
    port = reactor.listenSSL(0, site, tls, interface="127.0.0.1")
else:
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
print(port.getHost().port, flush=True)
reactor.run()
"""


def environment(home: Path) -> dict[str, str]:
    """Nothing in it leads to a cluster; the package and its plugin are found as they are here."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "KUBECONFIG" and not name.startswith("KUBERNETES_")
    }
    root = Path(servicereflector.__file__).parents[1]
    if not (root / "twisted" / "__init__.py").exists():  # a checkout, not where pip installs
        kept["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), kept.get("PYTHONPATH")]))
    return {**kept, "HOME": str(home)}


def run(command: list[str], directory: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """The command, which is to end by itself."""
    return subprocess.run(
        [*command, *flags],
        cwd=directory,
        env=environment(directory),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )


def kubeconfig(path: Path, server: str, ca: Path | None = None) -> Path:
    """A kubeconfig for a server that asks for no credentials."""
    trust = {"certificate-authority": str(ca)} if ca else {}
    document = {
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it"}}],
        "clusters": [{"name": "it", "cluster": {"server": server, **trust}}],
    }
    path.write_text(json.dumps(document))  # JSON is YAML
    return path


@pytest.fixture
def unreachable(tmp_path: Path) -> Path:
    """The kubeconfig of a cluster that is not there."""
    return kubeconfig(tmp_path / "unreachable.yaml", f"http://127.0.0.1:{free_port()}")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def eventually(what: str, probe: Callable[[], Any], process: subprocess.Popen[bytes]) -> Any:
    """The first true answer of ``probe``, which may fail until then."""
    deadline = time.monotonic() + SOON
    while True:
        try:
            if answer := probe():
                return answer
        except OSError:
            pass
        assert process.poll() is None, f"ended with {process.returncode} before: {what}"
        assert time.monotonic() < deadline, f"not within {SOON} s: {what}"
        time.sleep(0.02)


def fetch(url: str, context: ssl.SSLContext | None = None) -> tuple[int, str]:
    """The status and body of an answer."""
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(url, timeout=SOON) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


class Cluster:
    """A cluster in memory, in a process of its own."""

    def __init__(self, directory: Path, *pair: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CLUSTER, *map(str, pair)],
            cwd=directory,
            env=environment(directory),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        scheme = "https" if pair else "http"
        self.url = f"{scheme}://127.0.0.1:{int(self.process.stdout.readline())}"

    def post(self, path: str, document: dict[str, Any]) -> None:
        request = urllib.request.Request(
            self.url + path,
            json.dumps(document).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            assert answer.status == 201

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.close()


class Program:
    """The program as it runs, on free ports of the loopback."""

    def __init__(
        self, directory: Path, config: Path, *flags: str, command: list[str] = COMMAND
    ) -> None:
        health, http, https = free_port(), free_port(), free_port()
        self.health = f"http://127.0.0.1:{health}"
        self.emitter = f"http://127.0.0.1:{http}"
        self.secure_emitter = f"https://localhost:{https}"
        self.certificates = directory / "certificates"
        self.log = directory / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *command,
                    f"--kubeconfig={config}",
                    f"--listen=127.0.0.1:{health}",
                    "--emitter.insecure-bind-address=127.0.0.1",
                    f"--emitter.insecure-port={http}",
                    "--emitter.bind-address=127.0.0.1",
                    f"--emitter.secure-port={https}",
                    f"--emitter.cert-dir={self.certificates}",
                    *flags,
                ],
                cwd=directory,
                env=environment(directory),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def wait_until_alive(self) -> None:
        self.eventually("/livez answers", lambda: fetch(f"{self.health}/livez"))

    def wait_until_ready(self) -> None:
        self.eventually("/readyz says ok", lambda: fetch(f"{self.health}/readyz")[0] == 200)

    def eventually(self, what: str, probe: Callable[[], Any]) -> Any:
        return eventually(what, probe, self.process)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to stop: it does so in time, and well."""
        self.process.send_signal(number)
        self.has_stopped()

    def has_stopped(self) -> None:
        assert self.process.wait(STOPPED) == 0, self.log.read_text()
        assert "Traceback" not in self.log.read_text()

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """The metrics, by name and labels."""
        status, text = fetch(f"{self.health}/metrics")
        assert status == 200
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def close(self) -> str:
        """End it if it still runs; what it wrote to stdout."""
        self.process.kill()
        stdout, _ = self.process.communicate()
        return stdout.decode()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts programs, and ends them."""
    programs: list[Program] = []

    def start(config: Path, *flags: str, command: list[str] = COMMAND) -> Program:
        directory = tmp_path / f"program{len(programs)}"
        directory.mkdir()
        programs.append(Program(directory, config, *flags, command=command))
        return programs[-1]

    yield start
    for program in programs:
        assert program.close() == ""


# What ends by itself.


@BOTH
def test_version_is_printed(command: list[str], tmp_path: Path) -> None:
    """On stdout, with status 0."""
    done = run(command, tmp_path, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"service-reflector {servicereflector.__version__}\n"


@BOTH
def test_help_is_printed(command: list[str], tmp_path: Path) -> None:
    """On stdout, with status 0."""
    done = run(command, tmp_path, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: service-reflector [flags]\n")


def refusal(directory: Path, *flags: str, command: list[str] = COMMAND) -> str:
    """What is said to bad input: one line, with status 1."""
    done = run(command, directory, *flags)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    (line,) = done.stderr.splitlines()
    prefix = "service-reflector: "
    assert line.startswith(prefix)
    return line.removeprefix(prefix)


@BOTH
def test_an_unknown_flag_is_refused(command: list[str], tmp_path: Path) -> None:
    """However the program is started."""
    told = refusal(tmp_path, "--source-apis=http://a", command=command)
    assert told == "unknown flag --source-apis; did you mean --source-api?"


@BOTH
def test_a_missing_kubeconfig_is_refused(command: list[str], tmp_path: Path) -> None:
    """However the program is started."""
    assert refusal(tmp_path, "--kubeconfig=none", command=command) == (
        "--kubeconfig: none: no such file"
    )


def test_no_cluster_at_all_is_refused(tmp_path: Path) -> None:
    """With what can be done about it."""
    told = refusal(tmp_path)
    assert told.startswith("no host cluster: ")
    assert "--kubeconfig" in told
    assert "service-reflector demo" in told


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("--emitter=maybe", "--emitter: 'maybe' is no boolean: say true or false"),
        ("--emitter.secure-port=https", "--emitter.secure-port: 'https' is no port: "),
        ("--reflector.selector=a in", "--reflector.selector: 'a in' is no label selector: "),
        ("--source-api=east:8080", "--reflector.source-api: not of the form http[s]://"),
        ("--namespace", "--namespace needs a value"),
        ("surplus", "unexpected argument 'surplus'"),
        ("--source-kubeconfig=east=none", "--reflector.source-kubeconfig: none: no such file"),
        ("--source-kubeconfig=broken", "--reflector.source-kubeconfig: broken: not YAML (line "),
        ("--source-api=a=http://a,a=http://b", "two sources are called 'a': "),
        ("--source-api=host=http://a", "a source is called 'host', "),
        ("--emitter.tls-cert-file=c", "--emitter.tls-cert-file and --emitter.tls-private-key-file"),
        ("--emitter.tls-sni-cert-key=none,none", "--emitter.tls-sni-cert-key: none: No such file"),
        ("--emitter.tls-cipher-suites=RC4", "--emitter.tls-cipher-suites: unknown cipher suite "),
        ("--emitter.cert-dir=broken/x", "--emitter.cert-dir: broken/x: Not a directory"),
    ],
)
def test_bad_input_is_refused_before_any_port_is_opened(
    tmp_path: Path, unreachable: Path, taken: int, flag: str, told: str
) -> None:
    """A port that is taken is not noticed before it is opened."""
    (tmp_path / "broken").write_text("a: [")
    flags = [f"--kubeconfig={unreachable}", f"--listen=127.0.0.1:{taken}"]
    assert refusal(tmp_path, *flags, flag).startswith(told)


def test_a_broken_kubeconfig_is_refused(tmp_path: Path) -> None:
    """With the line."""
    (tmp_path / "broken").write_text("a: [")
    told = refusal(tmp_path, "--kubeconfig=broken")
    assert told.startswith("--kubeconfig: broken: not YAML (line ")


def test_a_certificate_that_cannot_be_read_is_refused(
    tmp_path: Path, unreachable: Path, taken: int
) -> None:
    """Before any port is opened."""
    told = refusal(
        tmp_path,
        f"--kubeconfig={unreachable}",
        f"--listen=127.0.0.1:{taken}",
        f"--emitter.tls-cert-file={tmp_path}",
        f"--emitter.tls-private-key-file={tmp_path}",
    )
    assert told == f"--emitter.tls-cert-file: {tmp_path}: Is a directory"


@pytest.mark.parametrize("flag", ["--listen", "--emitter.insecure-port", "--emitter.secure-port"])
def test_a_port_in_use_is_refused(tmp_path: Path, unreachable: Path, taken: int, flag: str) -> None:
    """By the flag that asks for it."""
    flags = {
        "--kubeconfig": str(unreachable),
        "--listen": f"127.0.0.1:{free_port()}",
        "--emitter.bind-address": "127.0.0.1",
        "--emitter.insecure-bind-address": "127.0.0.1",
        "--emitter.insecure-port": str(free_port()),
        "--emitter.secure-port": str(free_port()),
    }
    flags[flag] = f"127.0.0.1:{taken}" if flag == "--listen" else str(taken)
    told = refusal(tmp_path, *(f"{name}={value}" for name, value in flags.items()))
    assert told == f"{flag}: cannot listen on 127.0.0.1:{taken}: Address already in use"


def test_a_name_that_is_no_address_is_refused(tmp_path: Path, unreachable: Path) -> None:
    """With what the resolver says of it."""
    told = refusal(tmp_path, f"--kubeconfig={unreachable}", "--listen=no.such.invalid:0")
    assert told.startswith("--listen: cannot listen on no.such.invalid:0: ")


# Health.


def test_a_host_that_cannot_be_reached_is_not_ready(
    start: Callable[..., Program], unreachable: Path
) -> None:
    """It is alive all the same, and tells why it is not ready; nothing ends the process."""
    program = start(unreachable)
    program.wait_until_alive()
    for path in ("/health", "/healthz", "/livez"):
        assert fetch(program.health + path) == (200, "ok")
    status, text = fetch(f"{program.health}/readyz")
    assert status == 503
    assert "the host's first lists are not in: services, endpoints, namespaces" in text
    assert "readyz check failed" in text
    assert fetch(f"{program.health}/metrics")[0] == 200
    assert fetch(f"{program.emitter}/api/v1/services")[0] == 429
    program.stop()


def test_a_host_that_answers_is_ready(
    start: Callable[..., Program], cluster: Cluster, tmp_path: Path
) -> None:
    """With ``?verbose`` check by check; the Emitter serves on both ports."""
    program = start(kubeconfig(tmp_path / "host.yaml", cluster.url))
    program.wait_until_ready()
    assert fetch(f"{program.health}/readyz") == (200, "ok")
    assert fetch(f"{program.health}/readyz?verbose") == (
        200,
        "[+]program ok\nreadyz check passed\n",
    )
    assert fetch(f"{program.health}/livez?verbose") == (200, "[+]ping ok\nlivez check passed\n")
    assert json.loads(fetch(f"{program.emitter}/api/v1/services")[1])["kind"] == "ServiceList"
    trusting = ssl.create_default_context(cafile=str(program.certificates / "emitter.crt"))
    status, text = fetch(f"{program.secure_emitter}/api/v1/endpoints", trusting)
    assert (status, json.loads(text)["kind"]) == (200, "EndpointsList")


def test_a_role_that_is_off_opens_no_port(start: Callable[..., Program], unreachable: Path) -> None:
    """Nor makes a certificate."""
    program = start(unreachable, "--emitter=false")
    program.wait_until_alive()
    with pytest.raises(OSError, match="refused"):
        fetch(f"{program.emitter}/livez")
    assert not program.certificates.exists()


@pytest.mark.parametrize(("flags", "code"), [((), 200), (("--status-page=false",), 404)])
def test_the_status_page_is_there_unless_a_flag_says_otherwise(
    start: Callable[..., Program], unreachable: Path, flags: tuple[str, ...], code: int
) -> None:
    """Also where the host is away: then above all."""
    program = start(unreachable, *flags)
    program.wait_until_alive()
    for path in ("/", "/status.json", "/status.schema.json"):
        assert fetch(program.health + path)[0] == code
    if code == 200:
        assert "the host's first lists are not in" in fetch(f"{program.health}/")[1]
    program.stop()


# Metrics.


def label(**labels: str) -> frozenset[tuple[str, str]]:
    return frozenset(labels.items())


def test_metrics_tell_what_was_done(
    start: Callable[..., Program], west: Path, cluster: Cluster, tmp_path: Path
) -> None:
    """The documented names and labels, the Go program's two among them, after some traffic."""
    source = Cluster(tmp_path)
    try:
        program = start(west, f"--source-api=east={source.url}")
        metadata = {"name": "books", "namespace": "default"}
        path = "/api/v1/namespaces/default/"
        source.post(f"{path}services", {"metadata": metadata, "spec": {"ports": [{"port": 80}]}})
        subset = {"addresses": [{"ip": "10.9.0.1"}], "ports": [{"port": 8080}]}
        source.post(f"{path}endpoints", {"metadata": metadata, "subsets": [subset]})
        program.eventually(
            "the mirror is there", lambda: fetch(f"{cluster.url}{path}endpoints/books")[0] == 200
        )
        synced = ("service_reflector_mirrored_services", label(source="east", state="Mirrored"))
        program.eventually("a mirror is counted", lambda: program.samples()[synced] == 1)
        with watching(program.emitter):
            samples = program.samples()
    finally:
        source.close()
    assert samples["service_reflector_reconcile_attempts_total", label()] >= 1
    assert ("service_reflector_reconcile_errors_total", label()) in samples
    for source_name in ("host", "east"):
        for resource in ("services", "endpoints"):
            labels = label(source=source_name, resource=resource)
            assert samples["service_reflector_lists_total", labels] >= 1
            assert samples["service_reflector_watches_total", labels] >= 1
            assert ("service_reflector_watch_events_total", labels) in samples
            assert samples["service_reflector_reconnects_total", labels] == 0
            assert samples["service_reflector_connected", labels] == 1
            assert 0 <= samples["service_reflector_last_event_age_seconds", labels] < SOON
    created = label(operation="create", resource="services")
    assert samples["service_reflector_writes_total", created] == 1
    assert samples["service_reflector_emitter_watchers", label()] == 1
    assert samples["service_reflector_emitter_sent_bytes_total", label()] > 0
    assert samples["process_resident_memory_bytes", label()] > 0
    version = label(version=servicereflector.__version__)
    assert samples["service_reflector_build_info", version] == 1


# Stopping.


@contextmanager
def watching(url: str, context: ssl.SSLContext | None = None) -> Iterator[socket.socket]:
    """An open watch, of which the first event has been read."""
    host, port = url.split("//")[1].split(":")
    with socket.create_connection(("127.0.0.1", int(port)), timeout=SOON) as plain:
        connection = context.wrap_socket(plain, server_hostname=host) if context else plain
        with connection:
            connection.sendall(b"GET /api/v1/services?watch=1 HTTP/1.1\r\nHost: a\r\n\r\n")
            received = connection.recv(65536)
            while b'"ADDED"' not in received:
                more = connection.recv(65536)
                assert more, received
                received += more
            assert received.startswith(b"HTTP/1.1 200 OK\r\n")
            yield connection


def rest(connection: socket.socket) -> bytes:
    """What comes until the other end hangs up."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture
def west(cluster: Cluster, tmp_path: Path) -> Path:
    """The kubeconfig of a cluster with a Service to emit."""
    service = {
        "metadata": {"name": "cart", "namespace": "default"},
        "spec": {"ports": [{"port": 80}]},
    }
    cluster.post("/api/v1/namespaces/default/services", service)
    return kubeconfig(tmp_path / "west.yaml", cluster.url)


@BOTH
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_watches_and_then_the_process(
    start: Callable[..., Program], west: Path, command: list[str], number: signal.Signals
) -> None:
    """Each watch with its terminal chunk, the process with status 0, in time."""
    program = start(west, command=command)
    program.wait_until_ready()
    trusting = ssl.create_default_context(cafile=str(program.certificates / "emitter.crt"))
    with (
        watching(program.emitter) as open_watch,
        watching(program.secure_emitter, trusting) as secure_watch,
    ):
        program.process.send_signal(number)
        assert rest(open_watch).endswith(b"0\r\n\r\n")
        assert rest(secure_watch).endswith(b"0\r\n\r\n")
    program.has_stopped()


def test_a_second_signal_changes_nothing(start: Callable[..., Program], west: Path) -> None:
    """Impatience is no error."""
    program = start(west)
    program.wait_until_ready()
    with watching(program.emitter):
        program.process.send_signal(signal.SIGTERM)
        program.stop(signal.SIGINT)


def test_a_host_that_is_away_does_not_hold_up_the_end(
    start: Callable[..., Program], unreachable: Path
) -> None:
    """Nothing waits for its answer."""
    program = start(unreachable)
    program.wait_until_alive()
    program.stop()


def test_a_host_that_hangs_does_not_hold_up_the_end(
    start: Callable[..., Program], tmp_path: Path, taken: int
) -> None:
    """It takes connections, and never answers."""
    program = start(kubeconfig(tmp_path / "host.yaml", f"http://127.0.0.1:{taken}"))
    program.wait_until_alive()
    program.stop()


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_clusters_that_freeze_do_not_hold_up_the_end(
    start: Callable[..., Program], tmp_path: Path, secure: bool
) -> None:
    """With watches open to them; TLS would wait for their goodbye."""
    authority = Authority.create(tmp_path / "ca", "ca")
    pair = authority.server(["127.0.0.1"]) if secure else ()
    host, source = Cluster(tmp_path, *pair), Cluster(tmp_path, *pair)
    try:
        config = kubeconfig(tmp_path / "host.yaml", host.url, authority.ca_file)
        other = kubeconfig(tmp_path / "source.yaml", source.url, authority.ca_file)
        program = start(config, f"--source-kubeconfig=east={other}")
        program.wait_until_ready()
        east = ("service_reflector_watches_total", label(source="east", resource="services"))
        program.eventually("the source is watched", lambda: program.samples()[east])
        host.process.send_signal(signal.SIGSTOP)
        source.process.send_signal(signal.SIGSTOP)
        program.stop()
    finally:
        host.close()
        source.close()


def test_a_watcher_that_does_not_read_does_not_hold_up_the_end(
    start: Callable[..., Program], west: Path
) -> None:
    """Its end of the connection is open, and stays so."""
    program = start(west)
    program.wait_until_ready()
    with watching(program.emitter):
        program.stop()


# Logs.


@pytest.mark.parametrize("flags", [(), ("--log-format=json",)], ids=["by default", "json"])
def test_logs_are_json_lines(
    start: Callable[..., Program], unreachable: Path, flags: tuple[str, ...]
) -> None:
    """Where stderr is no terminal, or where they are asked for; from the first line to the last."""
    program = start(unreachable, *flags)
    program.eventually("a warning is logged", lambda: "host: " in "".join(program.lines()))
    program.stop()
    documents = [json.loads(line) for line in program.lines()]
    for document in documents:
        assert document.keys() - set(FACTS) - {"trace"} == {"ts", "level", "logger", "msg"}
        assert document["reason"]
    assert documents[0]["level"] == "info"
    assert documents[0]["logger"] == "emitter.certificates.Certificates"
    assert documents[0]["msg"].startswith("HTTPS shows the self-signed certificate sha256:")
    assert documents[1]["level"] == "warn"
    assert documents[1]["logger"].startswith("listwatch.")
    assert documents[1]["msg"].startswith("host: ")
    assert (documents[1]["source"], documents[1]["reason"]) == ("host", "Unreachable")
    told = [document for document in documents if document.get("source") == "host"]
    assert len(told) == 1, "whatever asks the host, that it is away is one line"


def test_logs_are_text_where_asked_for(start: Callable[..., Program], unreachable: Path) -> None:
    """A time, a level, the reason, and the message; in no colours, as this is no terminal."""
    program = start(unreachable, "--log-format=text")
    program.eventually("a warning is logged", lambda: "host: " in "".join(program.lines()))
    program.stop()
    shape = re.compile(
        r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
        r"(INFO  CertificateShown: HTTPS|WARN  Unreachable: host:) "
    )
    assert all(shape.match(line) for line in program.lines()), program.lines()
    assert "\x1b" not in "".join(program.lines())


def test_no_logs_means_none(start: Callable[..., Program], unreachable: Path) -> None:
    """Not of the host that is away, nor of the end."""
    program = start(unreachable, "--log-level=none")
    program.wait_until_alive()
    retried = ("service_reflector_reconnects_total", label(source="host", resource="services"))
    program.eventually("the host was missed", lambda: program.samples()[retried])
    program.stop()
    assert program.lines() == []


def test_all_logs_are_those_of_twisted_too(
    start: Callable[..., Program], unreachable: Path
) -> None:
    """Its factories among them."""
    program = start(unreachable, "--log-level=all")
    program.wait_until_alive()
    program.stop()
    loggers = {json.loads(line)["logger"] for line in program.lines()}
    assert any(logger.startswith("twisted.") for logger in loggers)
