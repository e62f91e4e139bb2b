"""What a file of the source directory says of what its source may have mirrored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..client.connection import ConfigError
from ..flags import boolean, glob
from ..mirror.addresses import AddressRules, read_rewrite
from ..mirror.admission import Admission, read_ports
from ..mirror.networks import read_network
from .documents import unquoted

_T = TypeVar("_T")

#: Members of a mapping, each as the flag of the same name.
MEMBERS = (
    "allow-cidr",
    "map-cidr",
    "deny-ports",
    "external-names",
    "namespaces",
    "deny-namespaces",
)


def read_admission(options: Mapping[Any, Any]) -> Admission:
    """
    :raises ConfigError: one line that quotes nothing of the file.
    """
    external = _list(options, "external-names", boolean)
    if len(external) > 1:
        raise ConfigError("external-names is neither true nor false")
    return Admission(
        AddressRules(
            _list(options, "allow-cidr", read_network), _list(options, "map-cidr", read_rewrite)
        ),
        _list(options, "deny-ports", read_ports),
        external[0] if external else None,
        _list(options, "namespaces", glob),
        _list(options, "deny-namespaces", glob),
    )


def _list(options: Mapping[Any, Any], key: str, read: Callable[[str], _T]) -> tuple[_T, ...]:
    """A list, or a text with commas. YAML takes a port for a number, and true for a boolean."""
    value = options.get(key)
    texts = value if isinstance(value, list) else str("" if value is None else value).split(",")
    if not all(isinstance(text, str | int) for text in texts) or isinstance(value, dict):
        raise ConfigError(f"{key} is neither a text nor a list of texts")
    try:
        return tuple(read(str(text).strip()) for text in texts if str(text).strip())
    except ValueError as error:
        raise ConfigError(f"{key}: {unquoted(error)}") from None
