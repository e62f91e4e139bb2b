"""What a server sends, without the token that it was sent: some answer with what they got, and
answers come into logs."""

from __future__ import annotations

MASK = "…".encode()


def conceal(text: bytes, token: str | None) -> bytes:
    """
    :param token: None or ``""`` for none.
    """
    return text.replace(token.encode(), MASK) if token else text


class Concealing:
    """The same for what comes in pieces, cut anywhere."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What may go on. The beginning of a token is held back until its end can be seen; no token
        has the end of a line in it."""
        text = (self._held + data).replace(self._token, MASK)
        held = 0
        if not text.endswith(b"\n"):
            longest = min(len(self._token) - 1, len(text))
            held = next((n for n in range(longest, 0, -1) if text.endswith(self._token[:n])), 0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]
