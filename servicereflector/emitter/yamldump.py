"""YAML that Go's reader takes for the document that was written."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    _Base = yaml.SafeDumper
else:
    _Base = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # libyaml is five times as fast


class _Dumper(_Base):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


#: What some reader takes for something other than a string and PyYAML writes bare: ``1e3``, ``y``.
_QUOTED = re.compile(r"[-+.0-9]|(?:[yn~]|yes|no|on|off|true|false|null)$", re.IGNORECASE)


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = '"' if _QUOTED.match(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def dump_yaml(document: object) -> bytes:
    """The document with its keys sorted, as sigs.k8s.io/yaml has them; strings are not folded."""
    dumped: str = yaml.dump(
        document,
        Dumper=_Dumper,
        sort_keys=True,
        allow_unicode=True,
        default_flow_style=False,
        width=sys.maxsize >> 33,  # libyaml's int
    )
    return dumped.encode()
