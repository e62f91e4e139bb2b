"""Kubeconfigs and service accounts: what is taken, and what is refused with which words."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from servicereflector.client.config import (
    HostLocation,
    check_kubeconfig,
    find_host,
    in_cluster,
    load_in_cluster,
    load_kubeconfig,
)
from servicereflector.client.connection import ConfigError, Connection
from servicereflector.testing.certificates import Authority

URL = "https://api.example:6443"


def kubeconfig(
    user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "west", "user": "me"}}],
        "clusters": [{"name": "west", "cluster": {"server": URL, **(cluster or {})}}],
        "users": [{"name": "me", "user": user or {}}],
    }


class Config:
    """A kubeconfig in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "config"

    def write(self, document: object) -> str:
        self.path.write_text(yaml.safe_dump(document))
        return str(self.path)

    def load(self, *args: Any) -> Connection:
        return load_kubeconfig(self.write(kubeconfig(*args)))

    def plugin(self, script: str, **options: Any) -> dict[str, Any]:
        """A user whose exec plugin is this shell script."""
        path = self.directory / "plugin"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        api = "client.authentication.k8s.io/v1"
        return {"exec": {"apiVersion": api, "command": str(path), **options}}


def says(**status: str) -> str:
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": status,
    }
    return f"cat <<'END'\n{json.dumps(credential)}\nEND"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.create(tmp_path / "ca", "ca")


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


# What is loaded


def test_a_kubeconfig_gives_the_server_and_its_token(config: Config) -> None:
    """The least that there is."""
    assert config.load({"token": "t0ken"}) == Connection(URL, token="t0ken")


def test_a_user_without_credentials_is_anonymous(config: Config) -> None:
    """An Emitter asks for none."""
    assert config.load() == Connection(URL)


def test_the_token_of_a_file_is_taken_without_its_newline(config: Config) -> None:
    """Its path is relative to the kubeconfig."""
    (config.directory / "token").write_text("t0ken\n")
    assert config.load({"tokenFile": "token"}).token == "t0ken"


def test_a_rotated_token_file_is_read_again(config: Config) -> None:
    """Each load reads the file."""
    token = config.directory / "token"
    tokens = []
    for value in ("old", "new"):
        token.write_text(value)
        tokens.append(config.load({"tokenFile": "token"}).token)
    assert tokens == ["old", "new"]


def test_certificates_within_the_kubeconfig_are_taken(config: Config, authority: Authority) -> None:
    """All three as base64."""
    ca = authority.ca_file.read_bytes()
    certificate, key = (path.read_bytes() for path in authority.client("jane"))
    assert config.load(
        {"client-certificate-data": b64(certificate), "client-key-data": b64(key)},
        {"certificate-authority-data": b64(ca)},
    ) == Connection(URL, ca=ca, certificate=certificate, private_key=key)


def test_certificates_beside_the_kubeconfig_are_taken(config: Config, authority: Authority) -> None:
    """All three as relative paths."""
    certificate, key = authority.client("jane")
    connection = config.load(
        {
            "client-certificate": os.path.relpath(certificate, config.directory),
            "client-key": os.path.relpath(key, config.directory),
        },
        {"certificate-authority": os.path.relpath(authority.ca_file, config.directory)},
    )
    assert connection.ca == authority.ca_file.read_bytes()
    assert connection.certificate == certificate.read_bytes()
    assert connection.private_key == key.read_bytes()


def test_nothing_of_the_kubeconfig_is_written_to_temporary_files(
    config: Config, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kubernetes package would; a read-only container has no place for them."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    ca = authority.ca_file.read_bytes()
    connection = config.load({"token": "t"}, {"certificate-authority-data": b64(ca)})
    assert connection.ca == ca


def test_the_server_name_and_insecure_are_taken(config: Config) -> None:
    """tls-server-name and insecure-skip-tls-verify."""
    cluster = {"tls-server-name": "kubernetes", "insecure-skip-tls-verify": True}
    assert config.load(None, cluster) == Connection(URL, insecure=True, server_name="kubernetes")


def test_credentials_are_not_sent_in_the_clear(config: Config) -> None:
    """As kubectl, which leaves them out where the server is http."""
    assert config.load({"token": "t"}, {"server": "http://api"}) == Connection("http://api")


def test_a_proxy_of_the_environment_is_not_used(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kubernetes package takes it up; the client goes straight."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert config.load({"token": "t"}) == Connection(URL, token="t")


# Plugins


def test_an_exec_plugin_gives_a_token(config: Config) -> None:
    """With its arguments and its environment."""
    user = config.plugin(
        says(token="TOKEN").replace("TOKEN", "$1-$NAME").replace("'END'", "END"),
        args=["arg"],
        env=[{"name": "NAME", "value": "env"}],
    )
    assert config.load(user).token == "arg-env"


def test_an_exec_plugin_is_found_beside_the_kubeconfig(config: Config) -> None:
    """A relative path starts there, as kubectl has it."""
    user = config.plugin(says(token="t"))
    user["exec"]["command"] = "./plugin"
    assert config.load(user).token == "t"


def test_an_exec_plugin_gives_a_client_certificate(
    config: Config, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is read at once: its temporary files are gone afterwards."""
    certificate, key = (path.read_text() for path in authority.client("jane"))
    user = config.plugin(says(clientCertificateData=certificate, clientKeyData=key))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    for _ in range(2):
        connection = config.load(user)
        assert connection.certificate == certificate.encode()
        assert connection.private_key == key.encode()
        assert connection.token is None
    assert list(temporary.iterdir()) == []


def test_an_exec_plugin_is_told_of_its_cluster_where_it_asks(
    config: Config, authority: Authority
) -> None:
    """provideClusterInfo: the server and its authority, wherever that is kept."""
    user = config.plugin(
        f'printf %s "$KUBERNETES_EXEC_INFO" > {config.directory}/info\n{says(token="t")}',
        provideClusterInfo=True,
    )
    config.load(user, {"certificate-authority": str(authority.ca_file)})
    info = json.loads((config.directory / "info").read_text())
    assert info["spec"]["cluster"]["server"] == URL
    assert info["spec"]["cluster"]["certificate-authority-data"] == b64(
        authority.ca_file.read_bytes()
    )


@pytest.mark.parametrize("script", ["exit 1", "echo nonsense", "echo {}", says()])
def test_an_exec_plugin_that_gives_nothing_is_named(config: Config, script: str) -> None:
    """The kubernetes package would go on without credentials."""
    with pytest.raises(ConfigError, match=r"config: user 'me': the command '.*/plugin' gave no"):
        config.load(config.plugin(script))


def test_an_exec_plugin_that_is_missing_is_named(config: Config) -> None:
    """Its command is not installed."""
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-one"}}
    with pytest.raises(ConfigError, match="'no-such-one' gave no credentials"):
        config.load(user)


def test_an_auth_provider_that_gives_nothing_is_named(config: Config) -> None:
    """Azure's is gone from the kubernetes package, as from kubectl."""
    with pytest.raises(ConfigError, match="auth-provider 'azure' gave no credentials"):
        config.load({"auth-provider": {"name": "azure", "config": {}}})


def test_the_token_of_an_auth_provider_is_taken(config: Config) -> None:
    """OIDC: the id-token, as long as it has not expired."""
    parts = (b"{}", b'{"exp": 9999999999}', b"signature")
    token = ".".join(b64(part).rstrip("=") for part in parts)
    user = {"auth-provider": {"name": "oidc", "config": {"id-token": token}}}
    assert config.load(user).token == token


# What is refused


def test_check_gives_the_server_of_the_current_context(config: Config) -> None:
    """And no slash at its end."""
    path = config.write(kubeconfig(None, {"server": f"{URL}/"}))
    assert check_kubeconfig(path) == URL


def test_check_runs_no_plugin(config: Config) -> None:
    """It is cheap."""
    path = config.write(kubeconfig(config.plugin(f"touch {config.directory}/ran")))
    check_kubeconfig(path)
    assert not (config.directory / "ran").exists()


@pytest.mark.parametrize("user", [{}, {"token": "a"}, {"tokenFile": "token"}])
def test_what_needs_not_be_run_does_not_import_the_kubernetes_package(
    config: Config, user: dict[str, str]
) -> None:
    """It takes 0.3 s and 17 MB."""
    (config.directory / "token").write_text("a")
    path = config.write(kubeconfig(user))
    program = (
        "import sys; from servicereflector.client.config import load_kubeconfig;"
        f"load_kubeconfig({path!r}); sys.exit('kubernetes' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_token_goes_before_a_plugin(config: Config) -> None:
    """As the kubernetes package has it: what is there need not be asked for."""
    plugin = config.plugin(f"touch {config.directory}/ran")
    assert config.load({**plugin, "token": "t0ken"}).token == "t0ken"
    assert not (config.directory / "ran").exists()


def test_a_token_file_that_is_missing_is_named(config: Config) -> None:
    """In one line."""
    with pytest.raises(ConfigError, match=r"tokenFile .*/missing: No such file"):
        config.load({"tokenFile": "missing"})


def broken(**changes: Any) -> dict[str, Any]:
    return {**kubeconfig(), **changes}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "not a kubeconfig"),
        (None, "not a kubeconfig"),
        (broken(**{"current-context": ""}), "no current-context"),
        (broken(**{"current-context": 5}), "current-context is not a string"),
        (broken(**{"current-context": "there"}), "'there' is not among its contexts"),
        (broken(contexts=[]), "'here' is not among its contexts"),
        (broken(contexts="here"), "contexts is not a list"),
        (broken(contexts=["here"]), "contexts has an entry that is not one"),
        (broken(contexts=[{"name": "here", "context": {}}]), "context 'here': names no cluster"),
        (broken(clusters=[]), "context 'here': its cluster 'west' is not there"),
        (broken(users=[]), "context 'here': its user 'me' is not there"),
        (kubeconfig(None, {"server": ""}), "cluster 'west': no server"),
        (kubeconfig(None, {"server": "api:6443"}), "cluster 'west': server: not of the form"),
        (kubeconfig(None, {"server": "https://a:s3cret@b"}), "server: a URL with a user name"),
        (kubeconfig(None, {"proxy-url": "http://s3cret@proxy"}), "proxies are not supported"),
        (kubeconfig(None, {"certificate-authority": "no"}), "/no: No such file"),
        (kubeconfig(None, {"certificate-authority-data": "s3cret=="}), "holds no certificate"),
        (kubeconfig({"client-certificate": "no"}), "/no: No such file"),
        (kubeconfig({"client-key": "no"}), "/no: No such file"),
        (kubeconfig({"client-key-data": "s3cret"}), "client-key-data is not base64"),
        (kubeconfig({"tokenFile": "no"}), "/no: No such file"),
        (kubeconfig({"token": ["s3cret"]}), "token is not a string"),
        (kubeconfig({"username": "me", "password": "s3cret"}), "username and password"),
        (kubeconfig({"exec": {"command": "s3cret"}}), "exec needs command and apiVersion"),
        (kubeconfig({"auth-provider": "s3cret"}), "auth-provider is not a mapping"),
    ],
)
def test_check_says_what_is_wrong_and_where(config: Config, document: Any, words: str) -> None:
    """One line, which names the file, and nothing that may be secret."""
    path = config.write(document)
    with pytest.raises(ConfigError) as raised:
        check_kubeconfig(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "s3cret" not in message
    assert "\n" not in message


def test_check_says_where_the_yaml_is_broken(config: Config) -> None:
    """By its line, without quoting it."""
    config.path.write_text("a: b\ntoken: s3cret: s3cret\n")
    with pytest.raises(ConfigError, match=r"config: not YAML \(line 2\)$"):
        check_kubeconfig(str(config.path))


def test_check_takes_no_other_encoding(config: Config) -> None:
    """A binary is no YAML."""
    config.path.write_bytes(b"\x80\x00\xff")
    with pytest.raises(ConfigError, match="not YAML"):
        check_kubeconfig(str(config.path))


@pytest.mark.parametrize("text", ["a: 2026-02-31", "a: !!int ''", "? [a]: b", "a: !!float x"])
def test_what_yaml_cannot_construct_is_no_trace(config: Config, text: str) -> None:
    """The library's own checks are not all errors of its own."""
    config.path.write_text(text)
    with pytest.raises(ConfigError):
        check_kubeconfig(str(config.path))


def test_a_path_that_is_none(config: Config) -> None:
    user = {"client-certificate": "a\0b", "client-key": "c"}
    with pytest.raises(ConfigError, match="client-certificate is no path"):
        check_kubeconfig(config.write(kubeconfig(user)))


def test_check_names_a_missing_file(config: Config) -> None:
    """The commonest mistake."""
    with pytest.raises(ConfigError, match="config: no such file"):
        check_kubeconfig(str(config.path))


def test_check_names_a_directory(config: Config) -> None:
    """As a Secret that is mounted without its key."""
    with pytest.raises(ConfigError, match=f"{config.directory}: Is a directory"):
        check_kubeconfig(str(config.directory))


def test_check_names_an_unreadable_file() -> None:
    """As where the Pod's user is not the file's; this one not even root can read from its start."""
    with pytest.raises(ConfigError, match="/proc/self/mem: Input/output error"):
        check_kubeconfig("/proc/self/mem")


def test_a_token_with_a_line_break_is_refused(config: Config) -> None:
    """It would be a header of its own."""
    with pytest.raises(ConfigError, match="characters that no token has"):
        config.load({"token": "a\nX-Remote-User: admin"})


def test_an_empty_token_file_is_refused(config: Config) -> None:
    """It is about to be written; anonymous requests would be answered with other errors."""
    (config.directory / "token").write_text("")
    with pytest.raises(ConfigError, match="tokenFile gave no credentials"):
        config.load({"tokenFile": "token"})


def test_of_several_kubeconfigs_the_first_to_name_a_thing_has_it(config: Config) -> None:
    """Missing ones are passed over, relative paths start at their own file."""
    elsewhere = config.directory / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "token").write_text("there")
    second = elsewhere / "config"
    second.write_text(
        yaml.safe_dump(
            {
                **kubeconfig({"tokenFile": "token"}, {"server": "https://other"}),
                "current-context": "none",
            }
        )
    )
    first = config.write({**kubeconfig(), "users": []})
    joined = os.pathsep.join([str(config.directory / "no"), first, str(second)])
    assert load_kubeconfig(joined) == Connection(URL, token="there")


# The host cluster

POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def account(tmp_path: Path, authority: Authority) -> dict[str, Path]:
    """A Pod's service account."""
    files = {"token_file": tmp_path / "sa-token", "ca_file": tmp_path / "sa-ca.crt"}
    files["token_file"].write_text("pod-token\n")
    files["ca_file"].write_bytes(authority.ca_file.read_bytes())
    return files


def load_account(account: dict[str, Path]) -> Connection:
    files = {name: str(path) for name, path in account.items()}
    return load_in_cluster("https://10.0.0.1:443", **files)


def test_a_pod_is_known_by_its_environment_and_its_token(tmp_path: Path) -> None:
    """One without the other is none: a Pod may go without a service account."""
    token = tmp_path / "token"
    assert not in_cluster(POD, token_file=str(token))
    token.write_text("t")
    assert in_cluster(POD, token_file=str(token))
    assert not in_cluster({}, token_file=str(token))


def test_a_pod_speaks_with_its_service_account(account: dict[str, Path]) -> None:
    """The token, and the cluster's own authority."""
    assert load_account(account) == Connection(
        "https://10.0.0.1:443", ca=account["ca_file"].read_bytes(), token="pod-token"
    )


def test_a_pods_rotated_token_is_read_again(account: dict[str, Path]) -> None:
    """The kubelet replaces it every hour or so."""
    load_account(account)
    account["token_file"].write_text("rotated")
    assert load_account(account).token == "rotated"


@pytest.mark.parametrize("name", ["token_file", "ca_file"])
def test_a_pod_without_its_token_or_its_authority_is_refused(
    account: dict[str, Path], name: str
) -> None:
    """One line that names the file, where it is empty and where it is not there."""
    account[name].write_text("")
    with pytest.raises(ConfigError, match=rf"account cannot be used: {account[name]} is empty"):
        load_account(account)
    account[name].unlink()
    with pytest.raises(ConfigError, match=rf"account cannot be used: .*'{account[name]}'"):
        load_account(account)


def test_a_pods_authority_that_is_none_is_refused(account: dict[str, Path]) -> None:
    """One line."""
    account["ca_file"].write_text("nonsense")
    with pytest.raises(ConfigError, match="the Pod's service account: "):
        load_account(account)


def test_the_host_is_first_what_the_flag_names(config: Config) -> None:
    """Even inside of a cluster."""
    path = config.write(kubeconfig())
    token_file = str(config.path)
    host = find_host(path, {**POD, "KUBECONFIG": "/other"}, token_file=token_file)
    assert (host.url, host.kubeconfig) == (URL, path)


def test_the_host_is_then_the_pods_own_cluster(config: Config) -> None:
    """Even where $KUBECONFIG is set."""
    path = config.write(kubeconfig())
    host = find_host(None, {**POD, "KUBECONFIG": path}, token_file=path)
    assert (host.url, host.kubeconfig) == ("https://10.0.0.1:443", None)


def test_the_pods_cluster_may_have_an_ipv6_address(config: Config) -> None:
    """Which a URL has in brackets."""
    environ = {**POD, "KUBERNETES_SERVICE_HOST": "fd00::1"}
    host = find_host(None, environ, token_file=config.write({}))
    assert host.url == "https://[fd00::1]:443"


def test_the_host_is_then_what_the_environment_names(config: Config) -> None:
    """$KUBECONFIG, which may be several."""
    path = f"{config.directory}/no{os.pathsep}{config.write(kubeconfig({'token': 't'}))}"
    host = find_host(None, {"KUBECONFIG": path}, token_file="/no")
    assert host.url == URL
    assert host.load() == Connection(URL, token="t")


def test_the_host_is_last_the_usual_file(config: Config) -> None:
    """``~/.kube/config``."""
    (config.directory / ".kube").mkdir()
    (config.directory / ".kube" / "config").write_text(yaml.safe_dump(kubeconfig()))
    assert find_host(None, {"HOME": str(config.directory)}, token_file="/no").url == URL


def test_no_host_at_all_names_the_flag_and_the_demo(config: Config) -> None:
    """What a person who just tries the program needs."""
    with pytest.raises(ConfigError) as raised:
        find_host(None, {"HOME": str(config.directory)}, token_file="/no")
    assert "--kubeconfig" in str(raised.value)
    assert "service-reflector demo" in str(raised.value)


def test_the_namespace_is_the_pods_own_or_the_contexts(tmp_path: Path) -> None:
    """Or the one that Kubernetes itself takes for want of another."""
    file = tmp_path / "namespace"
    pod = HostLocation("https://10.0.0.1:443")
    assert pod.namespace(file=str(file)) == "default"
    file.write_text("shop\n")
    assert pod.namespace(file=str(file)) == "shop"
    kubeconfig = tmp_path / "config"
    for given, told in (("", "default"), (", namespace: web", "web")):
        kubeconfig.write_text(
            "current-context: it\n"
            f"contexts: [{{name: it, context: {{cluster: it{given}}}}}]\n"
            "clusters: [{name: it, cluster: {server: http://10.0.0.1}}]\n"
        )
        found = find_host(str(kubeconfig), {})
        assert found.namespace(file=str(file)) == told
