"""Texts that may be secret: what is wrong with one is told without a word of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from ..client.connection import ConfigError

#: A string as ``repr`` writes it.
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


def text_of(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError("not UTF-8") from None


def mapping_of(text: str, otherwise: str) -> Mapping[Any, Any]:
    try:
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        # Not the error's own text, which quotes the file.
        mark = error.problem_mark
        raise ConfigError(f"not YAML (line {mark.line + 1})" if mark else "not YAML") from None
    except Exception:  # of a date without such a day ValueError, and others
        raise ConfigError("not YAML") from None
    if not isinstance(document, dict):
        raise ConfigError(otherwise)
    return document


def unquoted(message: object) -> str:
    """A message of the client, the flags or a kubeconfig, which quote with ``repr``."""
    return _QUOTED.sub("…", str(message))
