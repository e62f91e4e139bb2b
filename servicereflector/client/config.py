"""Where the clusters are and who one is there: kubeconfigs, service accounts, the host cluster.

The one module that imports the ``kubernetes`` package, and only where it is needed: that takes
0.3 s and 17 MB, a fifth of the program's start and an eighth of its memory with 5,000 Services.
The package is left what must be run to be known, exec plugins and OIDC, and is handed only the
parts of a kubeconfig that this takes. The rest it would write to temporary files, private keys
among them, which a container with a read-only root has no place for, and which two threads that
load the same certificate take away from each other.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .connection import ConfigError, Connection, parse_url, tls_policy
from .kubeconfig import Entry, Kubeconfig, read_kubeconfig

SERVICE_ACCOUNT_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
SERVICE_ACCOUNT_CA = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
SERVICE_ACCOUNT_NAMESPACE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

#: What of a user tells who it is, beside a certificate.
_TOKEN = ("token", "tokenFile")
_AUTHENTICATION = (*_TOKEN, "exec", "auth-provider")


@dataclass(frozen=True, slots=True)
class HostLocation:
    """Where the host cluster's credentials come from.

    :ivar url: the API server.
    :ivar kubeconfig: the path, or None inside of the cluster.
    """

    url: str
    kubeconfig: str | None = None

    def load(self) -> Connection:
        """Blocks; see :func:`load_kubeconfig` and :func:`load_in_cluster`."""
        if self.kubeconfig is None:
            return load_in_cluster(self.url)
        return load_kubeconfig(self.kubeconfig)

    def namespace(self, *, file: str = SERVICE_ACCOUNT_NAMESPACE) -> str:
        """The Pod's own namespace, or that of the kubeconfig's context; else ``default``.

        :param file: where the kubelet writes the Pod's.
        :raises ConfigError: the kubeconfig can no longer be used.
        """
        if self.kubeconfig is not None:
            return read_kubeconfig(self.kubeconfig).namespace or "default"
        try:
            return Path(file).read_text(encoding="utf-8").strip() or "default"
        except (OSError, UnicodeError):
            return "default"


def find_host(
    kubeconfig: str | None,
    environ: Mapping[str, str],
    *,
    token_file: str = SERVICE_ACCOUNT_TOKEN,
) -> HostLocation:
    """``--kubeconfig``, else the Pod's service account, else $KUBECONFIG, else ~/.kube/config.

    :param kubeconfig: what the flag gave; None or ``""`` where it was not.
    :raises ConfigError: where nothing is found, or what is found cannot be used.
    """
    if kubeconfig:
        return HostLocation(check_kubeconfig(kubeconfig), kubeconfig)
    if in_cluster(environ, token_file=token_file):
        host, port = environ["KUBERNETES_SERVICE_HOST"], environ["KUBERNETES_SERVICE_PORT"]
        return HostLocation(parse_url(f"https://{f'[{host}]' if ':' in host else host}:{port}"))
    # As kubectl has it, $KUBECONFIG takes the place of the usual file, even where it names none.
    path = environ.get("KUBECONFIG") or os.path.join(
        environ.get("HOME") or os.path.expanduser("~"), ".kube", "config"
    )
    if not any(os.path.exists(os.path.expanduser(name)) for name in path.split(os.pathsep) if name):
        raise ConfigError(
            f"no host cluster: not in a Pod with a service account, and no file {path}; "
            "name one with --kubeconfig, or try the program with: service-reflector demo"
        )
    return HostLocation(check_kubeconfig(path), path)


def in_cluster(environ: Mapping[str, str], *, token_file: str = SERVICE_ACCOUNT_TOKEN) -> bool:
    """Whether this is a Pod with a service account."""
    return (
        bool(environ.get("KUBERNETES_SERVICE_HOST"))
        and bool(environ.get("KUBERNETES_SERVICE_PORT"))
        and os.path.isfile(token_file)
    )


def check_kubeconfig(path: str) -> str:
    """The URL of the current context's server. Reads files, and runs nothing.

    :param path: one path, or several, joined as in $KUBECONFIG.
    :raises ConfigError: one line that names the path and what is wrong.
    """
    return _checked(read_kubeconfig(path))[1].url


def load_kubeconfig(path: str) -> Connection:
    """The Connection of the current context. Blocks: an exec plugin may take seconds.

    :raises ConfigError: one line that names the path and what is wrong.
    """
    kubeconfig, connection = _checked(read_kubeconfig(path))
    user = kubeconfig.user
    if connection.url.startswith("http:") or not any(user.value.get(k) for k in _AUTHENTICATION):
        return connection
    # In the package's order: a provider, a token, a plugin.
    if "auth-provider" not in user.value and any(user.value.get(k) for k in _TOKEN):
        return replace(connection, token=_token(user))
    plugin = user.value.get("exec")
    with TemporaryDirectory(prefix="service-reflector-") if plugin else nullcontext() as scratch:
        configuration = _authenticate(kubeconfig, scratch)
        # The package's refresh hook is not called: it would run a plugin a second time whose token
        # lasts less than five minutes, and a whole reload comes soon enough.
        _, _, bearer = configuration.api_key.get("BearerToken", "").partition(" ")
        token = checked_token(bearer, path)
        if configuration.cert_file and configuration.key_file:
            connection = replace(
                connection,
                certificate=user.read("certificate of the exec plugin", configuration.cert_file),
                private_key=user.read("key of the exec plugin", configuration.key_file),
            )
        elif not token:
            # The package logs why, and goes on without.
            raise user.error(f"{_source(user)} gave no credentials")
    connection = replace(connection, token=token or None)
    _check_tls(connection, path)
    return connection


def load_in_cluster(
    url: str, *, token_file: str = SERVICE_ACCOUNT_TOKEN, ca_file: str = SERVICE_ACCOUNT_CA
) -> Connection:
    """The Connection of the Pod's service account, its token as the kubelet last wrote it. Blocks.

    :raises ConfigError: where there is none.
    """
    where = "the Pod's service account"
    try:
        token = checked_token(Path(token_file).read_text(encoding="utf-8"), where)
        ca = Path(ca_file).read_bytes()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{where} cannot be used: {error}") from None
    if not token or not ca:
        raise ConfigError(f"{where} cannot be used: {ca_file if token else token_file} is empty")
    connection = Connection(url, ca=ca, token=token)
    _check_tls(connection, where)
    return connection


def _checked(kubeconfig: Kubeconfig) -> tuple[Kubeconfig, Connection]:
    connection = kubeconfig.connection()
    _check_tls(connection, kubeconfig.path)
    return kubeconfig, connection


def _check_tls(connection: Connection, where: str) -> None:
    try:
        tls_policy(connection)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _authenticate(kubeconfig: Kubeconfig, scratch: str | None) -> Any:
    """Let the package find the token or the certificate.

    :return: its Configuration. The proxy in it, which it takes from $HTTPS_PROXY, is not used:
        a proxy-url is refused, and the client has no other way to a cluster than straight.
    """
    from kubernetes.client import Configuration
    from kubernetes.config import load_kube_config_from_dict

    configuration = Configuration()
    try:
        load_kube_config_from_dict(
            _for_the_package(kubeconfig),
            client_configuration=configuration,
            persist_config=False,
            temp_file_path=scratch,
        )
    except Exception as error:
        # Its type only: the package's messages may quote the whole user, secrets and all.
        raise kubeconfig.user.error(
            f"the kubernetes package could not authenticate ({type(error).__name__})"
        ) from None
    return configuration


def _for_the_package(kubeconfig: Kubeconfig) -> dict[str, Any]:
    """A kubeconfig of one context, with absolute paths: a dict has no directory of its own."""
    entry = kubeconfig.user
    user = {key: entry.value[key] for key in _AUTHENTICATION if entry.value.get(key)}
    if "tokenFile" in user:
        user["tokenFile"] = entry.file("tokenFile")
    cluster: dict[str, Any] = {"server": kubeconfig.url}
    plugin = user.get("exec")
    if plugin:
        if os.sep in plugin["command"]:
            base = os.path.dirname(os.path.abspath(entry.path))
            user["exec"] = {**plugin, "command": os.path.join(base, plugin["command"])}
        if plugin.get("provideClusterInfo"):
            cluster = {**kubeconfig.cluster.value, **cluster}
            ca = kubeconfig.cluster.content("certificate-authority")
            if ca is not None:
                cluster["certificate-authority-data"] = base64.b64encode(ca).decode("ascii")
    return {
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": cluster}],
        "users": [{"name": "it", "user": user}],
    }


def _source(user: Entry) -> str:
    """What should have given credentials, for a message."""
    plugin, provider = user.value.get("exec"), user.value.get("auth-provider")
    if plugin:
        return f"the command {plugin['command']!r}"
    if provider:
        return f"the auth-provider {provider.get('name')!r}"
    return "tokenFile"


def _token(user: Entry) -> str:
    """As the file has it now, unless the kubeconfig itself has one."""
    told = user.text("token")
    if not told:
        told = user.read("tokenFile", user.file("tokenFile")).decode("utf-8", "replace")
    token = checked_token(told, user.path)
    if not token:
        raise user.error(f"{_source(user)} gave no credentials")
    return token


def checked_token(text: str, where: str) -> str:
    """The token, without the newline that ends its file.

    :param where: how the message names what it is of.
    :raises ConfigError: it would be a header of its own, or none.
    """
    token = text.strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(f"{where}: the token has characters that no token has")
    return token
