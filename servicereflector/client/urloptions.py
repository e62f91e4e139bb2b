"""What is said of a source beside its URL: whom to trust there, and who one is.

A kubeconfig can say the same, and more; this is for a source that is only a URL.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from .connection import ConfigError, Connection, parse_fingerprint, tls_policy

#: Whose values are paths of files.
FILES = ("token-file", "ca-file", "client-certificate", "client-key")

NAMES = (*FILES, "server-name", "fingerprint")

#: Bytes; a chain of certificates has some thousands.
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class UrlOptions:
    """
    :ivar token_file: holds the bearer token, in one line.
    :ivar ca_file: the certificates to trust, PEM; None trusts the system's.
    :ivar client_certificate: a file, with ``client_key``, PEM.
    :ivar server_name: the name that the server's certificate is for, where it is not the host.
    :ivar fingerprint: of the one certificate that is taken.
    """

    token_file: str | None = None
    ca_file: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    server_name: str | None = None
    fingerprint: str | None = None

    @property
    def files(self) -> list[str]:
        """The paths of those that are needed."""
        told = (self.token_file, self.ca_file, self.client_certificate, self.client_key)
        return [path for path in told if path]

    def connection(self, url: str, read: Callable[[str], bytes] | None = None) -> Connection:
        """What the files say now. Blocks.

        :param read: reads a file; raises OSError and ConfigError.
        :raises ConfigError: one line that names the option and quotes nothing of the file.
        """
        read = read or _read

        def content(name: str, path: str | None) -> bytes | None:
            if path is None:
                return None
            try:
                return read(path)
            except OSError as error:
                raise ConfigError(f"{name}: {error.strerror}") from None
            except ConfigError as error:
                raise ConfigError(f"{name}: {error}") from None

        connection = Connection(
            url,
            ca=content("ca-file", self.ca_file),
            certificate=content("client-certificate", self.client_certificate),
            private_key=content("client-key", self.client_key),
            server_name=self.server_name,
            fingerprint=self.fingerprint,
        )
        tls_policy(connection)
        token = content("token-file", self.token_file)
        return connection if token is None else replace(connection, token=_token(token))


#: A URL alone.
NOTHING = UrlOptions()


def parse_options(told: Mapping[str, str], url: str, directory: str = "") -> UrlOptions:
    """
    :param told: values by :data:`NAMES`, none of them empty.
    :param directory: where relative paths begin; ``""`` is the working directory.
    :raises ConfigError: one line.
    """
    if told and url.startswith("http:"):
        first = next(iter(told))
        raise ConfigError(f"{first} needs https: over plain HTTP anybody on the way reads along")
    if ("client-certificate" in told) != ("client-key" in told):
        raise ConfigError("client-certificate and client-key go together")
    if "fingerprint" in told and ("ca-file" in told or "server-name" in told):
        raise ConfigError(
            "fingerprint stands in place of ca-file and server-name: it alone says whom to trust"
        )
    paths = {name: os.path.join(directory, told[name]) for name in FILES if name in told}
    fingerprint = told.get("fingerprint")
    return UrlOptions(
        **{name.replace("-", "_"): path for name, path in paths.items()},
        server_name=told.get("server-name"),
        fingerprint=parse_fingerprint(fingerprint) if fingerprint else None,
    )


def _token(content: bytes) -> str:
    try:
        token = content.decode("ascii").strip()
    except UnicodeDecodeError:
        token = " "
    if not token:
        raise ConfigError("token-file: empty")
    if not token.isprintable() or " " in token:
        raise ConfigError("token-file: the token has characters that no token has")
    return token


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ConfigError("larger than 1 MiB")
    return content
