"""A kubeconfig that is, or is named by, a file of the source directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ..client.config import check_kubeconfig
from ..client.connection import ConfigError
from .documents import mapping_of, text_of, unquoted
from .inputs import Inputs

#: Where a kubeconfig names files.
_FILES = (
    ("cluster", "certificate-authority"),
    ("user", "client-certificate"),
    ("user", "client-key"),
    ("user", "tokenFile"),
)


def check_server(kubeconfig: str, inputs: Inputs) -> str:
    """The URL of a kubeconfig, checked."""
    try:
        if os.pathsep in kubeconfig:
            raise ConfigError(f"its path has a {os.pathsep!r}, which stands between two")
        document = mapping_of(text_of(inputs.read(kubeconfig)), "not a kubeconfig")
        named = _files(document, os.path.dirname(os.path.abspath(kubeconfig)))
        for key, name in named.items():
            _note(key, name, inputs)
    except OSError as error:
        raise ConfigError(f"kubeconfig: {error.strerror}") from None
    except ConfigError as error:
        raise ConfigError(f"kubeconfig: {error}") from None
    try:
        return check_kubeconfig(kubeconfig)
    except ConfigError as error:
        what = str(error).removeprefix(f"{kubeconfig}: ")
        for name in named.values():
            what = what.replace(name, "…")
        raise ConfigError(f"kubeconfig: {unquoted(what)}") from None


def _files(document: Mapping[Any, Any], directory: str) -> dict[str, str]:
    """The paths of the files that the current context needs, by the members that name them.

    What is malformed is passed over: its check comes after.
    """
    context = _entry(document, "context", document.get("current-context"))
    found = {}
    for kind, key in _FILES:
        entry = _entry(document, kind, context.get(kind))
        name = entry.get(key)
        if name and isinstance(name, str) and not entry.get(f"{key}-data"):
            found[key] = os.path.join(directory, name)
    return found


def _entry(document: Mapping[Any, Any], kind: str, name: object) -> Mapping[Any, Any]:
    entries = document.get(f"{kind}s")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and entry.get("name") == name:
            value = entry.get(kind)
            return value if isinstance(value, dict) else {}
    return {}


def _note(key: str, name: str, inputs: Inputs) -> None:
    try:
        # One that is missing may not be needed: over plain HTTP nothing is.
        with suppress(OSError):
            inputs.read(name)
    except ConfigError as error:
        raise ConfigError(f"{key}: {error}") from None
