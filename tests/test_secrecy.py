"""No credential is in anything that the program tells; and none is sent to another host.

The servers here answer with what they were sent: in errors, in redirections, in header fields.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from e2e.clusters import ask, eventually, fetch, hurried
from test_command import Cluster, environment, kubeconfig

from servicereflector.ops.logs import FACTS
from servicereflector.testing.certificates import Authority
from servicereflector.testing.credentialfiles import write_kubeconfig, write_tokens
from servicereflector.testing.processes import Process, free_port

#: Of sources, and of a client of the Emitter; with characters that need quoting.
TOKENS = {name: f"{name}/t0p+s3cr3t=={n}" for n, name in enumerate(("file", "kube", "own"))}


class Echo(ThreadingHTTPServer):
    """An HTTPS server that answers with what it was sent.

    :ivar seen: the Authorization of each request.
    """

    daemon_threads = True

    def __init__(self, pair: tuple[Path, Path], answer: str, elsewhere: str = "") -> None:
        self.seen: list[str] = []
        self.answer = answer
        self.elsewhere = elsewhere
        super().__init__(("127.0.0.1", 0), Echoing)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,))
        self.thread.start()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """A client that hangs up."""

    def close(self) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


class Echoing(BaseHTTPRequestHandler):
    server: Echo
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        sent = self.headers.get("Authorization", "")
        token = sent.removeprefix("Bearer ")
        self.server.seen.append(sent)
        status = {"kind": "Status", "message": f"no {sent}", "reason": sent, "details": {"x": sent}}
        code, kind, body = 403, "application/json", json.dumps(status)
        if self.server.answer == "redirect":
            code, body = 302, ""
        elif self.server.answer == "text":
            kind, body = f"text/{quote(token, safe='')}", sent
            code = 200 if "watch" in self.path or "version" in self.path else 500
        elif self.server.answer == "status in a watch" and "watch" in self.path:
            code, body = (
                200,
                json.dumps({"type": "ERROR", "object": {**status, "code": 403}}) + "\n",
            )
        elif self.server.answer == "status in a watch":
            kind_of_list = {"services": "ServiceList", "endpoints": "EndpointsList"}
            listed = {"kind": kind_of_list.get(self.path.split("?")[0].split("/")[-1], "Other")}
            listed |= {"apiVersion": "v1", "metadata": {"resourceVersion": "5"}, "items": []}
            code, body = 200, json.dumps(listed)
        self.send_response(code, f"no {token}")
        self.send_header("Content-Type", kind)
        self.send_header("Location", f"{self.server.elsewhere}/{quote(token)}?token={token}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


def forms(secret: str) -> Iterator[str]:
    """As what it might be told."""
    yield secret
    yield quote(secret, safe="")
    yield secret.encode().hex()
    for shift in range(3):  # base64 of a text that it stands in, at any place
        whole = base64.b64encode(b"x" * shift + secret.encode()).decode()
        yield whole[4 if shift else 0 : len(whole) - 4]


def leaks(text: str, secrets: list[str]) -> list[str]:
    return [form for secret in secrets for form in forms(secret) if form in text]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "pki", "ca")


@pytest.fixture
def servers(authority: Authority) -> Iterator[dict[str, Echo]]:
    pair = authority.server(("127.0.0.1",))
    other = Echo(pair, "status")
    found = {
        "elsewhere": other,
        **{
            kind: Echo(pair, kind, other.url)
            for kind in ("status", "redirect", "text", "status in a watch")
        },
    }
    yield found
    for server in found.values():
        server.close()


@pytest.mark.parametrize("form", range(6))
def test_every_form_of_a_secret_is_found(form: int) -> None:
    """What finds nothing would prove nothing."""
    secret = TOKENS["kube"]
    shown = [
        secret,
        quote(secret, safe=""),
        secret.encode().hex(),
        *(base64.b64encode(b"abc"[:n] + secret.encode() + b"more").decode() for n in range(3)),
    ][form]
    assert leaks(f"a line with {shown} in it", [secret])


def test_no_credential_is_told_or_sent_elsewhere(
    tmp_path: Path, authority: Authority, servers: dict[str, Echo]
) -> None:
    cluster = Cluster(tmp_path)
    config = kubeconfig(tmp_path / "host.yaml", cluster.url)
    token_file = tmp_path / "token"
    token_file.write_text(TOKENS["file"])
    certificate, key = authority.client("somebody")
    sources = tmp_path / "sources"
    sources.mkdir()
    for name, server in servers.items():
        if name == "elsewhere":
            continue
        user = {"token": TOKENS["kube"]}
        write_kubeconfig(sources / f"kube-{server.answer.replace(' ', '-')}", server.url,
                         authority.ca_file.read_bytes(), user)  # fmt: skip
    flags = []
    for server in servers.values():
        if server is not servers["elsewhere"]:
            name = f"flag-{server.answer.replace(' ', '-')}"
            told = f"ca-file={authority.ca_file},token-file={token_file}"
            flags.append(f"--source-api={name}={server.url},{told}")
    told = f"ca-file={authority.ca_file},client-certificate={certificate},client-key={key}"
    flags.append(f"--source-api=cert={servers['status'].url},{told}")
    tokens = tmp_path / "tokens.csv"
    write_tokens(tokens, {TOKENS["own"]: ("west", "1", ())})
    listen, https = free_port(), free_port()
    socket = f"--admin-socket={tmp_path / 'admin.sock'}"
    program = Process(
        [
            *hurried(),
            f"--kubeconfig={config}",
            f"--listen=127.0.0.1:{listen}",
            socket,
            "--log-level=all",
            "--emitter.insecure-port=0",
            "--emitter.bind-address=127.0.0.1",
            f"--emitter.secure-port={https}",
            f"--emitter.cert-dir={tmp_path / 'certificates'}",
            f"--emitter.token-auth-file={tokens}",
            f"--reflector.source-dir={sources}",
            *flags,
        ],
        tmp_path,
        "program.log",
    )
    program.start()
    log = tmp_path / "program.log"
    health = f"http://127.0.0.1:{listen}"
    try:
        eventually("health", lambda: fetch(f"{health}/livez")[0] == 200)
        used = [f"Bearer {TOKENS['file']}", f"Bearer {TOKENS['kube']}"]
        for name, server in servers.items():
            if name != "elsewhere":
                eventually(name, lambda s=server: all(u in s.seen for u in used))  # type: ignore[misc]
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        emitter = f"https://127.0.0.1:{https}/api/v1/services"
        own = {"Authorization": f"Bearer {TOKENS['own']}"}
        eventually("the Emitter", lambda: fetch(emitter, tls, headers=own)[0] == 200)
        fetch(emitter, tls, headers={"Authorization": f"Bearer {TOKENS['own']}x"})
        fetch(f"{emitter}?token={quote(TOKENS['own'])}", tls)
        tokens.write_text(f"{TOKENS['own']}\n")  # a bad line is told
        (sources / "bad").write_text(f"token: {TOKENS['kube']}\n  - {TOKENS['kube']}")
        eventually("trouble", lambda: "line 1 has 1 columns" in log.read_text())
        eventually("other trouble", lambda: "bad:" in log.read_text())
        asked = [
            ask(tmp_path, "status", socket),
            ask(tmp_path, "status", "-o", "json", socket),
            ask(tmp_path, "explain", "shop/cart", socket),
        ]
        arguments = [f"--kubeconfig={config}", f"--reflector.source-dir={sources}", *flags]
        asked.append(ask(tmp_path, "plan", "--timeout=2s", *arguments))
        bad = ask(tmp_path, f"--source-api=https://u:{TOKENS['own']}@127.0.0.1")
        asked.append(bad)
        assert bad.returncode == 1
        told = {
            "log": log.read_text(),
            "metrics": fetch(f"{health}/metrics")[1].decode(),
            "readiness": fetch(f"{health}/readyz?verbose")[1].decode(),
            "page": fetch(f"{health}/")[1].decode(),
            "status": fetch(f"{health}/status.json")[1].decode(),
            "commands": "".join(one.stdout + one.stderr for one in asked),
            "host": "".join(
                fetch(f"{cluster.url}/api/v1/{kind}")[1].decode()
                for kind in ("services", "endpoints", "events", "namespaces")
            ),
        }
    finally:
        program.kill()
        cluster.close()
    lines = re.sub(r"-----.*?-----", "", key.read_text()).split()
    secrets = [*TOKENS.values(), *lines]
    assert {place: found for place, text in told.items() if (found := leaks(text, secrets))} == {}
    documents = [json.loads(line) for line in told["log"].splitlines() if line.startswith("{")]
    members = {name for document in documents for name in document}
    assert members - set(FACTS) - {"trace"} == {"ts", "level", "logger", "msg"}
    # What could have told them did: these lines quote what the servers answered with.
    reasons = {document.get("reason") for document in documents}
    assert {"Forbidden", "BadAnswer", "FileUnusable", "SourceFileUnusable"} <= reasons
    for public in ("page", "status"):
        assert "flag-redirect" in told[public]
        assert str(tmp_path) not in told[public]
    assert "which is not followed" in told["log"]
    assert "no Bearer …" in told["log"]
    assert servers["elsewhere"].seen == []
    assert environment(tmp_path)["HOME"] == str(tmp_path)
