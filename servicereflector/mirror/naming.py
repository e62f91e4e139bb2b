"""How a source's Services are called in the host: templates of names and namespaces."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from ..kube.objects import key_of, split_key
from ..kube.slices import digest

_PLACEHOLDER = re.compile(r"\{(name|namespace|source)\}")

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")

#: Longest name of a Service, and of a namespace.
_LONGEST = 63


@dataclass(frozen=True, slots=True)
class Naming:
    """Templates with the placeholders {name}, {namespace} and {source}.

    Templates may give several Services one key, such as a constant namespace does to those of one
    name, or ``{namespace}-{name}`` to ``a/b-c`` and ``a-b/c``. Who then has the name is decided
    where it is owned.

    :ivar name: of a Service, as :func:`name_template` takes it.
    :ivar namespace: of a Service, as :func:`namespace_template` takes it.
    """

    name: str = "{name}"
    namespace: str = "{namespace}"

    def host_key(self, source: str, key: str) -> str:
        """
        :param key: ``namespace/name`` in the source.
        :return: ``namespace/name`` in the host. A DNS label each where they are such in the source;
            but the name of a Service must begin with a letter in older hosts, and what begins with
            a digit is left so: they refuse it.
        """
        if self.name == "{name}" and self.namespace == "{namespace}":
            return key
        namespace, name = split_key(key)
        values = {"name": name, "namespace": namespace, "source": _label(source)}
        return key_of(_filled(self.namespace, values), _filled(self.name, values))


def _filled(template: str, values: Mapping[str, str]) -> str:
    text = _PLACEHOLDER.sub(lambda found: values[found[1]], template)
    if len(text) <= _LONGEST:
        return text
    told = digest(text)
    return f"{text[: _LONGEST - len(told) - 1].rstrip('-')}-{told}"


@lru_cache(maxsize=256)
def _label(source: str) -> str:
    """The source's name as it may stand in a DNS label, with a hash where it had to be changed.

    It may be longer than a label: what it becomes a part of is cut in the end.
    """
    if _LABEL.fullmatch(source):
        return source
    cleaned = re.sub(r"[^a-z0-9]+", "-", source.lower()).strip("-")
    return f"{cleaned}-{digest(source)}".lstrip("-")


def name_template(text: str) -> str:
    """Check a template of names.

    :raises ValueError: telling what is valid.
    """
    checked = _checked(text, "a-z", "a letter")
    if "{name}" not in text:
        raise ValueError(f"{text!r} gives all Services one name: it must have {{name}} in it")
    return checked


def namespace_template(text: str) -> str:
    """Check a template of namespaces. It may be a constant.

    :raises ValueError: telling what is valid.
    """
    return _checked(text, "a-z0-9", "a letter or digit")


def _checked(text: str, first: str, told: str) -> str:
    literal = _PLACEHOLDER.sub("", text)
    if "{" in literal or "}" in literal:
        raise ValueError(
            f"{text!r} has a brace of no placeholder: valid are {{name}}, {{namespace}}, {{source}}"
        )
    example = _PLACEHOLDER.sub("x", text)
    if not re.fullmatch(f"[{first}]([-a-z0-9]*[a-z0-9])?", example):
        raise ValueError(
            f"{text!r} makes no valid name: beside placeholders it may have a-z, 0-9 and -, with"
            f" {told} at its beginning and no - at its end"
        )
    if len(literal) > _LONGEST:
        raise ValueError(f"{text!r} makes no valid name: that has at most {_LONGEST} characters")
    return text
