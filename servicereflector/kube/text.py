"""A stranger's text, fit to be shown: in logs, in a status, in Events and errors."""

from __future__ import annotations


class Confidential(Exception):
    """Its words may name files and commands of this machine: they are for the operator alone."""


#: Characters of one text that are shown.
MOST_SHOWN = 300


def shown(text: str, most: int = MOST_SHOWN) -> str:
    """The text in one line of at most ``most`` characters; what is not printable is escaped.

    Line ends, terminal escapes, marks that turn the direction of writing and lone surrogates
    become ``\\n``, ``\\x1b``, ``\\u202e``.
    """
    cut = text[:most]
    if not cut.isprintable():
        cut = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)
    return cut if len(cut) <= most and len(text) <= most else cut[: most - 3] + "..."
