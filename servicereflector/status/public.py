"""What everybody may read who reaches the port of health and metrics.

Names, states and addresses are for all. Who asks the Emitter, and the words that may name files of
this machine, are for the operator alone: ``service-reflector status`` tells them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit

from ..kube.objects import Json

#: A URL; or an absolute path, but not what stands within a key or ends a CIDR.
_TELLING = re.compile(
    r"""\b([a-z][a-z0-9+.-]*://[^\s'"<>]+)|(?<![\w.*-])~?/(?!\d{1,3}\b)[^\s'":,;()]+""", re.I
)

#: In the place of a file's path, and of a URL that is none.
_HIDDEN = "…"


def public_text(text: str) -> str:
    """The text without files' paths, and with the URLs of :func:`public_url`."""
    if "/" not in text:
        return text
    return _TELLING.sub(lambda found: public_url(found[1]) if found[1] else _HIDDEN, text)


def public_url(text: str) -> str:
    """The URL without a user, a password, a query or a fragment."""
    try:
        parts = urlsplit(text)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return _HIDDEN
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


def public_overview(told: Json) -> Json:
    """The overview as the status document has it, every member of which is always there.

    :param told: as Administration tells it to the public.
    """
    certificate, emitter = told.get("certificate"), told.get("emitter")
    refused = told.get("consumers", {}).get("refused", {})
    return {
        "version": told["version"],
        "time": told["time"],
        "host": {"problem": public_text(told["host"]["problem"])},
        "election": told.get("election"),
        "emitter": None
        if emitter is None
        else {
            **emitter,
            "refused": sum(refused.values()),
            "certificate": None if certificate is None else _certificate(certificate),
        },
        "problems": len(told["problems"]),
        "sources": [_source(source) for source in told["sources"]],
        "delays": told["delays"],
    }


def _certificate(told: Json) -> Json:
    """It is shown to everybody who connects; what is wrong with its files is not."""
    return {**told, "problem": bool(told["problem"])}


_NEVER_FOLLOWED: Json = {
    "objects": {},
    "rejected": 0,
    "heard_seconds_ago": None,
    "held": 0,
    "held_until_seconds": None,
    "waiting": 0,
    "lag_seconds": 0.0,
}


def _source(told: Json) -> Json:
    source = {**_NEVER_FOLLOWED, **told}
    source.pop("services", None)  # is among the objects
    for member, public in _PUBLIC.items():
        source[member] = public(source[member])
    return source


def public_mirror(told: Json) -> Json:
    """A mirror as the status document has it."""
    return {
        **told,
        **{member: public_text(told[member]) for member in ("source", "owner", "reason")},
    }


_PUBLIC: dict[str, Callable[[str], str]] = {
    "name": public_text,
    "location": public_url,
    "reason": public_text,
}
