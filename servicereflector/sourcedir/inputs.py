"""Files as they are read here: regular ones, up to a limit, and remembered by their digests."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from hashlib import sha256

from ..client.connection import ConfigError

#: Bytes. A kubeconfig has some thousands.
LIMIT = 1 << 20


class Inputs:
    """The files that something was made of. While they are unchanged the same comes of them."""

    def __init__(self) -> None:
        self._digests: dict[str, str] = {}

    @property
    def paths(self) -> list[str]:
        return list(self._digests)

    def read(self, path: str) -> bytes:
        """
        :raises OSError: where it cannot be read.
        :raises ConfigError: where it is not to be read; without its path.
        """
        # What is read a second time may be newer. It is the first digest that has to be compared.
        try:
            content = _read(path)
        except (OSError, ConfigError) as error:
            self._digests.setdefault(path, str(error))
            raise
        self._digests.setdefault(path, sha256(content).hexdigest())
        return content

    def unchanged(self) -> bool:
        return self._again()._digests == self._digests

    def digest(self) -> str:
        """Of all that was read."""
        return sha256("\n".join(self._digests.values()).encode("utf-8", "replace")).hexdigest()

    def _again(self) -> Inputs:
        again = Inputs()
        for path in self._digests:
            with suppress(OSError, ConfigError):
                again.read(path)
        return again


def _read(path: str) -> bytes:
    try:
        status = os.stat(path)
    except ValueError:  # a character that no path has
        raise ConfigError("no name of a file") from None
    # A pipe would block, and a device never ends.
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError("not a regular file")
    if status.st_size <= LIMIT:
        with open(path, "rb") as file:
            content = file.read(LIMIT + 1)
        if len(content) <= LIMIT:
            return content
    raise ConfigError("larger than 1 MiB")
