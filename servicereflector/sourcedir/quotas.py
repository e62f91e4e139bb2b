"""The members of a source's file that say how much of it is taken in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..client.connection import ConfigError
from ..flags import count, size_or_none
from .documents import unquoted

#: By the member's name the field of Quotas, and what makes a value of a text.
_FIELDS = {
    "max-services": ("services", count),
    "max-slices": ("slices", count),
    "max-source-bytes": ("size", size_or_none),
}

MEMBERS = tuple(_FIELDS)


def read_quotas(options: Mapping[Any, Any]) -> tuple[tuple[str, int], ...]:
    """The fields of Quotas that the file gives, and their values.

    :raises ConfigError: without a word of the file.
    """
    return tuple(_read(options))


def _read(options: Mapping[Any, Any]) -> Iterator[tuple[str, int]]:
    for key, (field, read) in _FIELDS.items():
        value = options.get(key)
        if value is None:
            continue
        try:
            # YAML takes 500 for a number.
            yield field, read(str(value) if type(value) in (str, int) else "")
        except ValueError as error:
            raise ConfigError(f"{key}: {unquoted(error)}") from None
