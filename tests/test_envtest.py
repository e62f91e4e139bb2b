"""The real API server that other tests stand on: who it lets in, what outlives a kill -9."""

import json
import os
import select
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from servicereflector.testing.envtest import (
    ApiServer,
    Binaries,
    BinariesMissing,
    StartFailed,
    find_binaries,
)

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(scope="module")
def binaries(envtest_binaries: Binaries) -> Binaries:
    """The programs."""
    return envtest_binaries


@pytest.fixture(scope="module")
def api(binaries: Binaries) -> Iterator[ApiServer]:
    """One cluster with RBAC, a controller manager and a user who may do nothing."""
    server = ApiServer(
        binaries=binaries,
        authorization_mode="RBAC",
        with_controller_manager=binaries.kube_controller_manager is not None,
        tokens={"read-me": ("reader", "reader-uid", ["readers"])},
    )
    with server:
        yield server


def ask(
    api: ApiServer,
    path: str,
    token: str | None = None,
    *,
    body: object = None,
    certificate: tuple[Path, Path] | None = None,
    ca_file: Path | None = None,
) -> tuple[int, bytes]:
    """Send one request, verifying the server; its status and body."""
    context = ssl.create_default_context(cafile=ca_file or api.ca_file)
    if certificate is not None:
        context.load_cert_chain(*certificate)
    request = urllib.request.Request(api.url + path, headers={"User-Agent": "envtest"})
    if token is not None:
        request.add_header("Authorization", f"Bearer {token}")
    if body is not None:
        request.add_header("Content-Type", "application/json")
        request.data = json.dumps(body).encode()
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    try:
        with opener.open(request, timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def create_config_map(api: ApiServer, name: str) -> None:
    """Write an object and have it acknowledged."""
    status, body = ask(api, CONFIG_MAPS, api.admin_token, body={"metadata": {"name": name}})
    assert status == 201, body


def is_alive(pid: int) -> bool:
    """Whether there is such a process, or its zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_missing_binaries_tell_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The reason names the make target and the variable."""
    for variable in ("KUBEBUILDER_ASSETS", "PATH", "SERVICE_REFLECTOR_ENVTEST_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path))
    with pytest.raises(BinariesMissing, match=r"make envtest.*KUBEBUILDER_ASSETS"):
        find_binaries()


def test_assets_folder_comes_before_the_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The first kube-apiserver decides, and its neighbours go with it."""
    for folder in ("assets", "on-path"):
        for name in ("etcd", "kube-apiserver", "kube-proxy", "kubectl"):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / name).touch(mode=0o755)
    (tmp_path / "assets" / "kube-proxy").unlink()
    (tmp_path / "assets" / "kubectl").unlink()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    monkeypatch.setenv("PATH", str(tmp_path / "on-path"))
    assert find_binaries() == Binaries(
        etcd=tmp_path / "assets" / "etcd",
        kube_apiserver=tmp_path / "assets" / "kube-apiserver",
        kube_controller_manager=None,
        kube_proxy=None,
        kubectl=tmp_path / "on-path" / "kubectl",
    )


def test_running_server_is_of_the_version_it_tells(api: ApiServer) -> None:
    """`version()` and the server's own answer agree."""
    status, body = ask(api, "/version", api.admin_token)
    assert (status, json.loads(body)["gitVersion"]) == (200, api.version())
    assert api.version().startswith("v1.")


def test_admin_token_is_let_in(api: ApiServer) -> None:
    """TLS is verified and the token of system:masters may list."""
    status, _ = ask(api, CONFIG_MAPS, api.admin_token)
    assert status == 200


def test_wrong_token_is_turned_away(api: ApiServer) -> None:
    """An unknown bearer token gives 401, not an anonymous user."""
    status, _ = ask(api, CONFIG_MAPS, "wrong")
    assert status == 401


def test_further_token_is_its_user(api: ApiServer) -> None:
    """A token of the constructor's authenticates, and RBAC knows whom it refuses."""
    status, body = ask(api, CONFIG_MAPS, "read-me")
    assert status == 403
    assert 'User \\"reader\\"' in body.decode()


def test_server_is_not_trusted_without_its_authority(api: ApiServer) -> None:
    """The client authority did not issue the server's certificate: verification is real."""
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        ask(api, "/readyz", ca_file=api.directory / "pki" / "envtest-client-ca.crt")


def test_client_certificate_is_its_user_and_groups(api: ApiServer) -> None:
    """The subject's common name is the user; its organizations are the groups."""
    nobody = api.client_certificate("jane", ["nobodies"])
    status, body = ask(api, CONFIG_MAPS, certificate=nobody)
    assert status == 403
    assert 'User \\"jane\\"' in body.decode()
    master = api.client_certificate("joe", ["nobodies", "system:masters"])
    assert ask(api, CONFIG_MAPS, certificate=master)[0] == 200


def test_client_certificate_ends_with_its_lifetime(api: ApiServer) -> None:
    """The user is nobody after it; a kubeconfig takes certificate and key as paths."""
    brief = api.client_certificate("joe", ["system:masters"], timedelta(seconds=-1))
    assert ask(api, CONFIG_MAPS, certificate=brief)[0] == 401
    certificate, key = map(str, brief)
    user = {"client-certificate": certificate, "client-key": key}
    config = json.loads(api.kubeconfig(server="https://127.0.0.1:1", user=user).read_text())
    assert config["users"][0]["user"] == user
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"


def test_service_account_token_is_issued_and_accepted(api: ApiServer) -> None:
    """TokenRequest works, and its token authenticates the service account."""
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    status, body = ask(api, accounts, api.admin_token, body={"metadata": {"name": "robot"}})
    assert status == 201, body
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    status, body = ask(api, f"{accounts}/robot/token", api.admin_token, body=request)
    assert status == 201, body
    status, body = ask(api, CONFIG_MAPS, json.loads(body)["status"]["token"])
    assert status == 403
    assert "system:serviceaccount:default:robot" in body.decode()


def test_kubectl_takes_the_kubeconfig(api: ApiServer, binaries: Binaries) -> None:
    """The kubeconfig is complete: server, authority and token."""
    if binaries.kubectl is None:
        pytest.skip("no kubectl here")
    command = [str(binaries.kubectl), f"--kubeconfig={api.kubeconfig()}", "get", "--raw", "/readyz"]
    said = subprocess.run(command, check=True, capture_output=True, text=True)
    assert said.stdout == "ok"


def test_data_outlives_a_killed_api_server(api: ApiServer) -> None:
    """Killed, it refuses connections; restarted, it has the same URL and objects."""
    create_config_map(api, "before-api-server-kill")
    url, killed = api.url, api.pids["kube-apiserver"]
    api.kill_apiserver()
    assert "kube-apiserver" not in api.pids
    with pytest.raises(urllib.error.URLError, match="refused"):
        ask(api, "/readyz")
    api.restart_apiserver()
    assert api.url == url
    assert api.pids["kube-apiserver"] != killed
    status, _ = ask(api, f"{CONFIG_MAPS}/before-api-server-kill", api.admin_token)
    assert status == 200


def test_data_outlives_a_killed_etcd(api: ApiServer) -> None:
    """What was acknowledged just before the kill is there; the API server ran on."""
    api_server = api.pids["kube-apiserver"]
    create_config_map(api, "before-etcd-kill")
    api.kill_etcd()
    assert "etcd" not in api.pids
    api.restart_etcd()
    status, _ = ask(api, f"{CONFIG_MAPS}/before-etcd-kill", api.admin_token)
    assert status == 200
    assert api.pids["kube-apiserver"] == api_server
    create_config_map(api, "after-etcd-kill")


def test_replaced_tokens_and_certificates_are_those_of_the_next_start(api: ApiServer) -> None:
    """The admin's token stays; whoever trusts the old authority only is told so."""
    old_authority = api.ca_file
    api.replace_tokens({"another": ("reader", "reader-uid", ["readers"])})
    api.replace_server_certificate(authority="another-ca")
    api.restart_apiserver()
    assert [ask(api, CONFIG_MAPS, token)[0] for token in ("read-me", "another")] == [401, 403]
    assert ask(api, CONFIG_MAPS, api.admin_token)[0] == 200
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        ask(api, "/readyz", ca_file=old_authority)


def test_compacted_etcd_has_forgotten_what_was(api: ApiServer) -> None:
    """A watch from before it is told 410, once the API server's own memory is gone, too."""
    status, body = ask(api, CONFIG_MAPS, api.admin_token)
    before = json.loads(body)["metadata"]["resourceVersion"]
    create_config_map(api, "before-compaction")
    _, body = ask(api, CONFIG_MAPS, api.admin_token)
    api.compact_etcd(json.loads(body)["metadata"]["resourceVersion"])
    api.restart_apiserver()
    path = f"{CONFIG_MAPS}?watch=true&timeoutSeconds=1&resourceVersion={before}"
    status, body = ask(api, path, api.admin_token)
    assert (status, json.loads(body)["object"]["code"]) == (200, 410)


def test_stop_leaves_no_process_and_no_file(binaries: Binaries) -> None:
    """Leaving the context removes all that entering it made."""
    with ApiServer(binaries=binaries) as server:
        pids, directory = server.pids, server.directory
        assert set(pids) == {"etcd", "kube-apiserver"}
        assert all(map(is_alive, pids.values()))
    assert not any(map(is_alive, pids.values()))
    assert not directory.exists()
    assert server.pids == {}


def test_failed_start_tells_the_log_and_leaves_nothing(binaries: Binaries) -> None:
    """A flag that kube-apiserver does not know ends it; its own words are in the exception."""
    server = ApiServer(binaries=binaries, extra_flags=["--no-such-flag"])
    with pytest.raises(StartFailed, match=r"kube-apiserver ended\n(.|\n)*no-such-flag"):
        server.start()
    assert server.pids == {}
    assert not server.directory.exists()


def test_servers_die_with_the_process_that_started_them(binaries: Binaries, tmp_path: Path) -> None:
    """Even when it is killed and cannot clean up."""
    program = (
        "from servicereflector.testing.envtest import ApiServer\n"
        "api = ApiServer()\n"
        "api.start()\n"
        "print(*api.pids.values(), flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={
            **os.environ,
            "TMPDIR": str(tmp_path),
            "KUBEBUILDER_ASSETS": str(binaries.kube_apiserver.parent),
        },
        text=True,
    ) as starter:
        assert starter.stdout is not None
        pids = [int(word) for word in starter.stdout.readline().split()]
        starter.kill()
    assert len(pids) == 2
    # Their end is the kernel's; pidfd_open() waits for it, or finds them gone already.
    for pid in pids:
        wait_for_end(pid)


def wait_for_end(pid: int) -> None:
    """Block until a process that is not our child has ended, 10 s at most."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with os.fdopen(handle) as ended:
        assert select.select([ended], [], [], 10)[0], f"process {pid} is still there"
