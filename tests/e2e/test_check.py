"""What somebody asks before anything is installed: would it work, and if not, why?"""

from __future__ import annotations

import http.server
import json
import re
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from servicereflector.testing.binaries import Binaries
from servicereflector.testing.certificates import Authority
from servicereflector.testing.envtest import ApiServer
from servicereflector.testing.processes import free_port

from .clusters import Cluster, RunningProgram, ask
from .installs import ACCOUNTS, groups, installed
from .test_plan import versions

Asked = subprocess.CompletedProcess[str]
Check = Callable[..., Asked]

PASSED, FAILED = 0, 2

DOCUMENT = Path(__file__).parents[2] / "docs" / "check.md"


@pytest.fixture
def check(west: Cluster, tmp_path: Path) -> Check:
    """Asks, and asserts that nothing was written. No endpoint is tried: these are nobody's."""

    def check(*flags: str) -> Asked:
        before = versions(west)
        kubeconfig = f"--kubeconfig={west.server.kubeconfig()}"
        told = ask(tmp_path, "check", kubeconfig, "--probe=false", *flags)
        assert versions(west) == before
        return told

    return check


@pytest.fixture(scope="module")
def source(east: Cluster, emitter: tuple[RunningProgram, str]) -> str:
    """The flag of a source that has something to mirror."""
    east.namespace("checked")
    east.export("checked/cart", "10.9.0.1")
    return f"--source-api=east={emitter[1]}"


def test_a_host_and_a_source_that_will_do(check: Check, source: str) -> None:
    """All is well, and said."""
    told = check(source, "--namespace=checked", "--reflector.create-namespaces=false")
    assert (told.returncode, told.stderr) == (PASSED, "")
    lines = told.stdout.splitlines()
    assert all(line.startswith("ok    ") for line in lines[:-1])
    assert re.fullmatch(r"\d+ ok, 0 warn, 0 fail\. Nothing was written\.", lines[-1])
    for words in (
        r"host: reachable, v1\.",
        "host: its clock is within 5 s",
        r"host: all \d+ permissions are there",
        r"east: reachable, v1\.",
        "east: 1 Service listed",
        "host: 1 name, each wanted by one Service",
        "host: no address is an endpoint in two clusters",
    ):
        assert re.search(f"^ok    {words}", told.stdout, re.M), words


@pytest.fixture(scope="module")
def contested(east: Cluster, west: Cluster, source: str) -> str:
    """In the host somebody has the name of one Service and the address of another."""
    east.export("checked/till", "10.9.0.2")
    west.namespace("checked")
    west.create("services", "checked/cart", spec={"ports": [{"port": 80}]})
    subsets = [{"addresses": [{"ip": "10.9.0.2"}], "ports": [{"port": 80}]}]
    west.create("endpoints", "checked/own", subsets=subsets)
    return source


def normal(output: str) -> list[str]:
    """Without what is another at each run."""
    output = re.sub(r"127\.0\.0\.1:\d+", "10.1.2.3:8080", output)
    output = re.sub(r"v1\.\d+\.\d+\S*?(?=$|,)", "v1.34.1", output, flags=re.M)
    output = re.sub(r"\d+ permissions", "26 permissions", output)
    return [line for line in output.splitlines() if "EndpointSlices (" not in line]


def test_what_is_in_the_way_is_told_with_what_helps(check: Check, contested: str) -> None:
    """As the document shows it; and nothing hides anything else."""
    dead = f"--source-api=north=http://127.0.0.1:{free_port()}"
    told = check(contested, dead, "--namespace=checked", "--timeout=3s")
    assert told.returncode == FAILED
    (example,) = re.findall(r"^```text\n(.*?)```$", DOCUMENT.read_text(), re.M | re.S)
    documented, seen = normal(example), normal(told.stdout)
    assert documented[:-1] == seen[:-1]
    assert re.fullmatch(r"\d+ ok, 2 warn, 2 fail\. Nothing was written\.", documented[-1])
    assert re.fullmatch(r"\d+ ok, 2 warn, 2 fail\. Nothing was written\.", seen[-1])


def test_the_same_is_told_as_json(check: Check, contested: str) -> None:
    """With a code for each."""
    told = check(contested, "--namespace=checked", "-o", "json")
    assert (told.returncode, told.stderr) == (PASSED, "")
    findings = json.loads(told.stdout)["findings"]
    warnings = {one["code"]: one for one in findings if one["result"] == "warn"}
    assert warnings.keys() == {"NameTaken", "AddressesOverlap"}
    assert "checked/cart of east" in warnings["NameTaken"]["message"]
    assert (
        "10.9.0.2 (checked/own of host, checked/till of east)"
        in (warnings["AddressesOverlap"]["message"])
    )
    assert all(one.keys() == {"subject", "result", "code", "message", "remedy"} for one in findings)
    assert all(bool(one["remedy"]) is (one["result"] != "ok") for one in findings)


class Answering(http.server.BaseHTTPRequestHandler):
    """Says the same to whatever is asked."""

    code, body = 200, b"<html>welcome</html>"

    def do_GET(self) -> None:
        self.send_response(self.code)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


class Unauthorized(Answering):
    code, body = 401, b"who are you?"


@contextmanager
def serving(
    handler: type[Answering], pair: tuple[Path, Path] | None = None, ca: Path | None = None
) -> Iterator[int]:
    """The port, over TLS where there is a pair."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if pair is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_each_fault_of_a_source_has_its_code(check: Check, tmp_path: Path) -> None:
    """In one run: a dead source hides no other."""
    authority = Authority.create(tmp_path, "authority")
    pair = authority.server(("127.0.0.1",))
    other = authority.server(("elsewhere.example",))
    with (
        serving(Answering) as page,
        serving(Unauthorized) as stranger,
        serving(Answering, pair) as https,
        serving(Answering, other) as misnamed,
    ):
        told = check(
            f"--source-api=refused=http://127.0.0.1:{free_port()}",
            f"--source-api=page=http://127.0.0.1:{page}",
            f"--source-api=stranger=http://127.0.0.1:{stranger}",
            f"--source-api=unknown=https://127.0.0.1:{https}",
            f"--source-api=misnamed=https://127.0.0.1:{misnamed},ca-file={authority.ca_file}",
            f"--source-api=pinned=https://127.0.0.1:{https},fingerprint=sha256:{'0' * 64}",
            "--timeout=3s",
            "--output=json",
        )
    assert told.returncode == FAILED
    failed = {
        one["subject"]: (one["code"], one["message"])
        for one in reversed(json.loads(told.stdout)["findings"])
        if one["result"] == "fail"
    }
    assert {subject: code for subject, (code, _) in failed.items()} == {
        "refused": "Unreachable",
        "page": "BadAnswer",
        "stranger": "Unauthorized",
        "unknown": "TlsFailed",
        "misnamed": "TlsFailed",
        "pinned": "TlsFailed",
    }
    assert "another name" in failed["misnamed"][1]


def test_a_host_that_does_not_answer(west: Cluster, tmp_path: Path) -> None:
    """Is told in the same way, and so is what was to be asked of the sources."""
    config = json.loads(west.server.kubeconfig().read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    (tmp_path / "nowhere").write_text(json.dumps(config))
    told = ask(tmp_path, "check", f"--kubeconfig={tmp_path}/nowhere", "--timeout=1s")
    assert told.returncode == FAILED
    assert re.search(r"^FAIL  host: .*\(Unreachable\): is the address right", told.stdout, re.M)
    assert re.search(r"^FAIL  host: no source is named \(NoSources\)", told.stdout, re.M)


def test_a_flag_that_is_wrong_is_one_line(tmp_path: Path) -> None:
    """Before anybody is asked."""
    told = ask(tmp_path, "check", "--timeout=soon")
    assert (told.returncode, told.stdout) == (1, "")
    assert re.fullmatch(r"service-reflector: .*--timeout.*\n", told.stderr)


@pytest.fixture(scope="module")
def guarded(envtest_binaries: Binaries) -> Iterator[Cluster]:
    """A cluster with RBAC, and a token for each manifest's account."""
    tokens = {token: (user, token, groups(user)) for token, user in ACCOUNTS.items()}
    with ApiServer(
        service_cluster_ip_range="10.3.0.0/16",
        authorization_mode="RBAC",
        tokens=tokens,
        binaries=envtest_binaries,
    ) as server:
        yield Cluster(server)


def test_what_is_not_permitted_is_told_with_the_manifest_that_grants_it(
    guarded: Cluster, source: str, tmp_path: Path
) -> None:
    """And is no longer once that is applied."""
    manifest = "reflector.yaml"
    config = guarded.server.kubeconfig(token=f"token-of-{manifest}")
    flags = ("--emitter=false", "--reflector.leader-elect", "--probe=false", source)

    def told() -> Asked:
        return ask(tmp_path, "check", f"--kubeconfig={config}", "--timeout=5s", *flags)

    before = told()
    assert before.returncode == FAILED
    assert re.search(
        r"^FAIL  host: may not, in all namespaces: list services, .*create events, update events"
        r" \(NotPermitted\): .*kubectl apply -f manifests/reflector\.yaml$",
        before.stdout,
        re.M,
    )
    assert "get leases.coordination.k8s.io 'service-reflector'" in before.stdout
    with installed(guarded, manifest):
        after = told()
    assert "NotPermitted" not in after.stdout
    assert after.returncode == PASSED, after.stdout
