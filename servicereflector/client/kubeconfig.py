"""A kubeconfig as far as it can be read without running anything: the current context's parts.

What is wrong with a file is found here, at start-up, in one line that names it. Who one is (exec
plugins, OIDC) is not worked out here, but in :mod:`.config`.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from .connection import ConfigError, Connection, parse_url


@dataclass(frozen=True, slots=True)
class Entry:
    """A cluster, a user or a context, with the file that it stands in.

    :ivar where: how messages name it; never its content, which may be secret.
    """

    path: str
    where: str
    value: Mapping[str, Any]

    def text(self, key: str) -> str:
        """A member that is a string; ``""`` where it is missing."""
        value = self.value.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.error(f"{key} is not a string")
        return value

    def file(self, key: str) -> str:
        """A member that is a path: relative to the kubeconfig's directory, as kubectl has it."""
        name = self.text(key)
        return name and os.path.join(os.path.dirname(os.path.abspath(self.path)), name)

    def content(self, key: str) -> bytes | None:
        """What ``<key>-data`` holds, or else the file that ``<key>`` names."""
        inline = self.text(f"{key}-data")
        if inline:
            try:
                return base64.b64decode(inline, validate=False)
            except binascii.Error:
                raise self.error(f"{key}-data is not base64") from None
        name = self.file(key)
        return self.read(key, name) if name else None

    def read(self, key: str, name: str) -> bytes:
        try:
            with open(name, "rb") as file:
                return file.read()
        except OSError as error:
            raise self.error(f"{key} {name}: {error.strerror}") from None
        except ValueError:
            raise self.error(f"{key} is no path") from None

    def error(self, what: str) -> ConfigError:
        return ConfigError(f"{self.path}: {self.where}: {what}")


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """What the current context selects, checked.

    :ivar path: as it was given, for messages.
    :ivar namespace: the context's, ``""`` where it names none.
    """

    path: str
    url: str
    cluster: Entry
    user: Entry
    namespace: str = ""

    def connection(self) -> Connection:
        """All but what a plugin or provider adds.

        :raises ConfigError: where a file that it needs cannot be read.
        """
        if self.url.startswith("http:"):
            # As client-go: no credentials over a connection that anybody can listen to.
            return Connection(self.url)
        return Connection(
            self.url,
            ca=self.cluster.content("certificate-authority"),
            insecure=self.cluster.value.get("insecure-skip-tls-verify") is True,
            certificate=self.user.content("client-certificate"),
            private_key=self.user.content("client-key"),
            server_name=self.cluster.text("tls-server-name") or None,
        )


def read_kubeconfig(path: str) -> Kubeconfig:
    """The current context of a kubeconfig, or of several, joined by ``os.pathsep``.

    Of several the first to name a thing has it, and those that are missing are passed over:
    kubectl's rules.

    :raises ConfigError: for whatever cannot be used.
    """
    names = [os.path.expanduser(name) for name in path.split(os.pathsep) if name]
    present = [name for name in names if os.path.exists(name)]
    if not present:
        raise ConfigError(f"{path}: no such file")
    found: dict[str, dict[str, Entry]] = {"context": {}, "cluster": {}, "user": {}}
    current = ""
    for name in present:
        document = _parse(name)
        current = current or Entry(name, "kubeconfig", document).text("current-context")
        for kind, entries in found.items():
            for entry_name, entry in _entries(name, document, kind):
                entries.setdefault(entry_name, entry)
    if not current:
        raise ConfigError(f"{path}: no current-context")
    if current not in found["context"]:
        raise ConfigError(f"{path}: current-context {current!r} is not among its contexts")
    context = found["context"][current]
    cluster = _named(found, context, "cluster")
    # A context without a user asks without credentials.
    user = (
        _named(found, context, "user")
        if context.text("user")
        else Entry(context.path, "no user", {})
    )
    url, namespace = _check_cluster(cluster), context.text("namespace")
    return Kubeconfig(path, url, cluster, _check_user(user), namespace)


def _parse(path: str) -> Mapping[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            document = yaml.safe_load(file)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        # Not the error's own text, which quotes the file.
        mark = error.problem_mark
        line = f" (line {mark.line + 1})" if mark else ""
        raise ConfigError(f"{path}: not YAML{line}") from None
    except (yaml.YAMLError, LookupError, RecursionError, TypeError, ValueError):
        # PyYAML lets through what its constructors raise, of a 31st of February for one.
        raise ConfigError(f"{path}: not YAML") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: not a kubeconfig")
    return document


def _entries(path: str, document: Mapping[str, Any], kind: str) -> list[tuple[str, Entry]]:
    listed = document.get(f"{kind}s") or []
    if not isinstance(listed, list):
        raise ConfigError(f"{path}: {kind}s is not a list")
    found = []
    for item in listed:
        name = item.get("name") if isinstance(item, dict) else None
        value = item.get(kind) if isinstance(item, dict) else None
        if not isinstance(name, str) or not isinstance(value, dict | None):
            raise ConfigError(f"{path}: {kind}s has an entry that is not one")
        found.append((name, Entry(path, f"{kind} {name!r}", value or {})))
    return found


def _named(found: Mapping[str, Mapping[str, Entry]], context: Entry, kind: str) -> Entry:
    name = context.text(kind)
    if not name:
        raise context.error(f"names no {kind}")
    if name not in found[kind]:
        raise context.error(f"its {kind} {name!r} is not there")
    return found[kind][name]


def _check_cluster(cluster: Entry) -> str:
    server = cluster.text("server")
    if not server:
        raise cluster.error("no server")
    try:
        url = parse_url(server)
    except ConfigError as error:
        raise cluster.error(f"server: {error}") from None
    if cluster.text("proxy-url"):
        raise cluster.error("proxy-url is set, and proxies are not supported")
    return url


def _check_user(user: Entry) -> Entry:
    if user.text("username") or user.text("password"):
        raise user.error("username and password: Kubernetes 1.19 and later do not take them")
    # Where there are both, the package takes the token.
    if not user.text("token") and user.text("tokenFile"):
        user.read("tokenFile", user.file("tokenFile"))
    plugin = user.value.get("exec")
    if plugin is not None and not _is_plugin(plugin):
        raise user.error("exec needs command and apiVersion, and args and env as lists")
    provider = user.value.get("auth-provider")
    if provider is not None and not isinstance(provider, dict):
        raise user.error("auth-provider is not a mapping")
    return user


def _is_plugin(plugin: object) -> bool:
    """Whether the ``exec`` member has the form that the kubernetes package relies on.

    Where it has not, the package logs the whole user, secrets and all.
    """
    if not isinstance(plugin, dict):
        return False
    args, env = plugin.get("args") or [], plugin.get("env") or []
    return (
        all(isinstance(plugin.get(key), str) and plugin[key] for key in ("command", "apiVersion"))
        and isinstance(args, list)
        and all(isinstance(arg, str) for arg in args)
        and isinstance(env, list)
        and all(
            isinstance(one, dict)
            and isinstance(one.get("name"), str)
            and isinstance(one.get("value"), str)
            for one in env
        )
    )
