"""The file of ``--token-auth-file``: ``token,user,uid,"group1,group2"``, a line for each.

The form is kube-apiserver's (apiserver/pkg/authentication/token/tokenfile). It is kept as digests:
how long it takes to find one tells nothing of a token, and no token is in a core dump.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from hashlib import sha256

from .identity import AccessError, User

Tokens = Mapping[bytes, User]


def digest_of(token: str) -> bytes:
    return sha256(token.encode()).digest()


def parse_token_file(content: bytes) -> Tokens:
    """
    :raises AccessError: as :func:`parse_tokens` does.
    """
    return parse_tokens(content.decode("utf-8-sig"))


def parse_tokens(text: str) -> Tokens:
    """Who each token belongs to, by its digest. Of a token that comes twice the last line counts,
    and lines without one are left out, as kube-apiserver has it.

    :raises AccessError: with the number of the line.
    """
    rows = csv.reader(text.splitlines(), skipinitialspace=True, strict=True)
    tokens: dict[bytes, User] = {}
    try:
        for row in rows:
            if not row:
                continue
            if len(row) < 3:
                raise AccessError(
                    f"line {rows.line_num} has {len(row)} columns: "
                    'say token,user,uid and, if need be, "group,group"'
                )
            token, name, uid = (column.strip() for column in row[:3])
            groups = row[3].split(",") if len(row) > 3 else []
            if not name:
                raise AccessError(f"line {rows.line_num} names no user")
            if token:
                kept = tuple(group.strip() for group in groups if group.strip())
                tokens[digest_of(token)] = User(name, kept, uid)
    except csv.Error:
        raise AccessError(f"line {rows.line_num} is not CSV") from None
    return tokens
