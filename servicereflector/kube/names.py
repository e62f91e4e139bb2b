"""What a label's key and value may be, and how Kubernetes tells what is wrong with one.

The rules and texts are those of k8s.io/apimachinery's util/validation.
"""

from __future__ import annotations

import json
import re

#: Stands for the minor version of a server that has not told its own.
NEWEST = 99

#: The minor version from which a label key is called so. Which one was the first is not known.
_LABEL_KEYS = 34

_NAME = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_VALUE = f"({_NAME})?"
_SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"

_NAME_RULE = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an"
    " alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for"
    f" validation is '{_NAME}')"
)
_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or"
    f" '12345', regex used for validation is '{_VALUE}')"
)
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.',"
    " and must start and end with an alphanumeric character (e.g. 'example.com', regex used for"
    f" validation is '{_SUBDOMAIN}')"
)


def label_key_errors(key: str, minor: int = NEWEST) -> list[str]:
    """Why the text is no label key; nothing where it is one.

    :param minor: 20 for the words of Kubernetes 1.20.
    """
    parts = key.split("/")
    if len(parts) > 2:
        what = "a valid label key" if minor >= _LABEL_KEYS else "a qualified name"
        return [
            f"{what} {_NAME_RULE} with an optional DNS subdomain prefix and '/'"
            " (e.g. 'example.com/MyName')"
        ]
    name = parts[-1]
    found = []
    if len(parts) == 2:
        prefix = parts[0]
        if not prefix:
            found.append("prefix part must be non-empty")
        else:
            if _length(prefix) > 253:
                found.append(f"prefix part {_too_long(253, minor)}")
            if not re.fullmatch(_SUBDOMAIN, prefix):
                found.append(f"prefix part {_SUBDOMAIN_RULE}")
    if not name:
        found.append("name part must be non-empty")
    elif _length(name) > 63:
        found.append(f"name part {_too_long(63, minor)}")
    if not re.fullmatch(_NAME, name):
        found.append(f"name part {_NAME_RULE}")
    return found


def label_value_errors(value: str, minor: int = NEWEST) -> list[str]:
    """Why the text is no label value; nothing where it is one."""
    found = [_too_long(63, minor)] if _length(value) > 63 else []
    if not re.fullmatch(_VALUE, value):
        found.append(_VALUE_RULE)
    return found


def quoted(text: str) -> str:
    """As Go quotes a string, but for rare characters."""
    return json.dumps(text, ensure_ascii=False)


def _length(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _too_long(most: int, minor: int) -> str:
    # What was always counted is bytes; 1.36 says so. Which version was the first is not known.
    return f"must be no more than {most} {'bytes' if minor > 32 else 'characters'}"
