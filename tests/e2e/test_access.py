"""Who may ask the installed Emitter: by certificates, tokens and the host cluster's own word, with
kubectl, with the Reflector, and in the words of the host's own API server."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from servicereflector.testing.binaries import Binaries
from servicereflector.testing.certificates import Authority
from servicereflector.testing.credentialfiles import write_kubeconfig, write_tokens
from servicereflector.testing.envtest import ApiServer
from servicereflector.testing.processes import Process, free_port

from .clusters import Cluster, RunningProgram, ask, eventually, fetch, run_emitter, run_reflector
from .test_kubectl import KUBECTL, kubectl

TOKENS = {"t-shop": ("shop-reader", "1", ()), "t-edge": ("e1", "2", ("edge",))}
VIEWS = """
views:
- users: [shop-reader]
  namespaces: [shop]
- groups: [edge]
"""


class Secured:
    """An Emitter that authenticates, and how it is reached."""

    def __init__(self, directory: Path, cluster: Cluster, *flags: str) -> None:
        self.directory = directory
        self.authority = Authority.create(directory / "pki", "clients")
        self.tokens, self.views = directory / "tokens.csv", directory / "views.yaml"
        write_tokens(self.tokens, TOKENS)
        self.views.write_text(VIEWS)
        self.server = Authority.create(directory / "pki", "servers")
        certificate, key = self.server.server(("127.0.0.1",))
        port = free_port()
        self.url = f"https://127.0.0.1:{port}"
        self.program, self.plain = run_emitter(
            directory,
            cluster,
            f"--emitter.secure-port={port}",
            f"--emitter.tls-cert-file={certificate}",
            f"--emitter.tls-private-key-file={key}",
            *flags,
        )
        self.program.wait_until_ready()

    def kubeconfig(self, **user: str) -> str:
        path = self.directory / "client.kubeconfig"
        write_kubeconfig(path, self.url, self.server.ca_file.read_bytes(), user)
        return f"--kubeconfig={path}"

    def fetch(
        self, path: str, token: str = "", certificate: tuple[Path, Path] | None = None
    ) -> tuple[int, bytes]:
        tls = ssl.create_default_context(cafile=str(self.server.ca_file))
        if certificate is not None:
            tls.load_cert_chain(*certificate)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return fetch(self.url + path, tls, headers=headers)


@pytest.fixture(scope="module")
def secured(east: Cluster, directory: Path, programs: list[RunningProgram]) -> Secured:
    for key in ("shop/cart", "zoo/door"):
        east.namespace(key.split("/")[0])
        east.export(key, "10.9.0.1")
    secured = Secured(
        directory,
        east,
        f"--emitter.client-ca-file={directory / 'pki' / 'clients.crt'}",
        f"--emitter.token-auth-file={directory / 'tokens.csv'}",
        f"--emitter.views={directory / 'views.yaml'}",
    )
    programs.append(secured.program)
    return secured


def test_kubectl_sees_what_its_user_is_shown(secured: Secured, tmp_path: Path) -> None:
    def names(**user: str) -> list[str]:
        config = secured.kubeconfig(**user)
        return kubectl(tmp_path, config, "get", "services", "-A", "-o", "name").split()

    certificate, key = secured.authority.client("somebody", ("edge",))
    by_certificate = {"client-certificate": str(certificate), "client-key": str(key)}
    eventually("all", lambda: names(**by_certificate) == ["service/cart", "service/door"])
    assert names(token="t-shop") == ["service/cart"]
    config = secured.kubeconfig(token="t-shop")
    hidden = kubectl(tmp_path, config, "get", "service", "door", "-n", "zoo")
    assert hidden == 'Error from server (NotFound): services "door" not found\n'
    stranger = kubectl(tmp_path, secured.kubeconfig(token="wrong"), "get", "services", "-A")
    assert "must be logged in" in stranger or "Unauthorized" in stranger
    nobody, key = secured.authority.client("nobody")
    config = secured.kubeconfig(**{"client-certificate": str(nobody), "client-key": str(key)})
    refused = kubectl(tmp_path, config, "get", "services", "-A")
    assert refused == (
        'Error from server (Forbidden): services is forbidden: User "nobody" cannot list '
        'resource "services" in API group "" at the cluster scope\n'
    )


def test_certificates_that_nobody_vouches_for_are_worth_nothing(
    secured: Secured, tmp_path: Path
) -> None:
    """They do not end the handshake: a token beside them may be good."""
    path = "/api/v1/services"
    forged = Authority.create(tmp_path, "clients").client("somebody", ("edge",))
    for_servers = secured.authority.server(("somebody",))
    for bad in (forged, for_servers):
        assert secured.fetch(path, certificate=bad)[0] == 401
    assert secured.fetch(path, "t-edge", forged)[0] == 200
    assert secured.fetch(path)[0] == 401


def test_the_plain_port_answers_health_alone(secured: Secured) -> None:
    assert fetch(f"{secured.plain}/readyz") == (200, b"ok")
    code, body = fetch(
        f"{secured.plain}/api/v1/services", headers={"Authorization": "Bearer t-edge"}
    )
    assert (code, json.loads(body)["reason"]) == (401, "Unauthorized")


def test_a_reflector_mirrors_what_its_token_is_shown(
    secured: Secured, west: Cluster, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("t-shop\n")
    source = f"east={secured.url},ca-file={secured.server.ca_file},token-file={token}"
    program = run_reflector(tmp_path, west, f"--source-api={source}")
    try:
        eventually(program.log, lambda: west.ips("shop/cart") == ["10.9.0.1"])
        assert west.get("services", "zoo/door") is None
        told = ask(tmp_path, "status", secured.program.admin_socket).stdout
        assert "The Emitter's clients: shop-reader (2)" in told, told
    finally:
        program.kill()


def test_a_token_that_is_taken_back_ends_a_watch_of_kubectl(
    secured: Secured, east: Cluster, tmp_path: Path
) -> None:
    config = secured.kubeconfig(token="t-shop")
    arguments = [KUBECTL, config, "get", "services", "-n", "shop", "--watch", "--output=name"]
    watching = Process(arguments, tmp_path, "watch.log")
    watching.start()
    try:
        eventually("the first", lambda: "service/cart" in watching.log_tail())
        write_tokens(secured.tokens, {"t-edge": TOKENS["t-edge"]})
        eventually("the end", lambda: watching.pid is None, 5)
        assert secured.fetch("/api/v1/services", "t-shop")[0] == 401
    finally:
        watching.kill()
        write_tokens(secured.tokens, TOKENS)


@pytest.fixture(scope="module")
def guarded(envtest_binaries: Binaries) -> Iterator[Cluster]:
    """A cluster with RBAC, and users of its own."""
    users = {"t-reader": ("reader", "r", ("team",)), "t-nobody": ("nobody", "n", ())}
    server = ApiServer(authorization_mode="RBAC", tokens=users, binaries=envtest_binaries)
    with server:
        yield Cluster(server)


ROLE = {
    "metadata": {"name": "reads-shop"},
    "rules": [
        {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "watch"]},
    ],
}
BINDING = {
    "metadata": {"name": "reads-shop"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reads-shop"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "team"}],
}


def test_the_host_says_who_it_is_and_what_they_may(guarded: Cluster, tmp_path: Path) -> None:
    """Its own users, by its own rules; and what is refused is refused in its own bytes."""
    guarded.namespace("shop")
    guarded.export("shop/cart", "10.9.0.1")
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/shop"
    guarded.must("POST", f"{rbac}/roles", ROLE)
    guarded.must("POST", f"{rbac}/rolebindings", BINDING)
    flags = ("--emitter.authentication=webhook", "--emitter.authorization=webhook")
    secured = Secured(tmp_path, guarded, *flags)
    upstream = ssl.create_default_context(cafile=str(guarded.server.ca_file))

    def of_host(path: str, token: str) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {token}"}
        return fetch(guarded.server.url + path, upstream, headers=headers)

    try:
        for path in (
            "/api/v1/services",
            "/api/v1/services?watch=1",
            "/api/v1/namespaces/zoo/services",
            "/api/v1/namespaces/zoo/services/cart",
            "/api/v1/namespaces/zoo/services?fieldSelector=metadata.name%3Dcart",
            "/api/v1/namespaces/zoo/services/cart/status",
            "/api/v1/namespaces/zoo",
            "/api/v1/watch/namespaces/zoo/endpoints/cart",
            "/apis/discovery.k8s.io/v1beta1/endpointslices",
            "/apis/apps/v1/deployments",
            "/metrics",
            "/logs/",
        ):
            for token in ("t-reader", "t-nobody", "wrong"):
                expected = of_host(path, token)
                assert expected[0] == (401 if token == "wrong" else 403), (path, expected)
                assert secured.fetch(path, token) == expected, (path, token)
        code, body = secured.fetch("/api/v1/namespaces/shop/services", "t-reader")
        assert (code, [i["metadata"]["name"] for i in json.loads(body)["items"]]) == (200, ["cart"])
        assert secured.fetch("/version", "t-nobody")[0] == 200
    finally:
        secured.program.kill()
