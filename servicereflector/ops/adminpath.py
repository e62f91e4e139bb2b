"""Where the admin socket is, for the program that opens it and for the commands that look for it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from .sockets import BindError

#: Made by whoever installs the program: systemd's RuntimeDirectory, a volume of a Pod.
SYSTEM = Path("/run/service-reflector")

_FILE = "admin.sock"


def default_path(environ: Mapping[str, str]) -> Path:
    """The socket's path where no flag names one; neither it nor its directory need exist."""
    if _usable(SYSTEM):
        return SYSTEM / _FILE
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/") and _usable(Path(runtime)):
        return Path(runtime, "service-reflector", _FILE)
    temporary = environ.get("TMPDIR", "")
    directory = temporary if temporary.startswith("/") else "/tmp"
    return Path(directory, f"service-reflector-{os.geteuid()}", _FILE)


def make_directory(path: Path) -> None:
    """Make the directory of a default path, for this user alone.

    :raises BindError: it cannot be made, or what is there cannot be trusted.
    """
    directory = path.parent
    try:
        directory.mkdir(0o700)
    except FileExistsError:
        check_directory(path)
    except OSError as error:
        raise BindError(f"cannot make the directory {directory}: {error.strerror}") from None


def check_directory(path: Path) -> None:
    """Others must not be able to lay their own socket at a default path; no directory is fine.

    :raises BindError: they are.
    """
    directory = path.parent
    if directory == SYSTEM:
        return
    try:
        found = directory.lstat()
    except OSError:
        return
    if not stat.S_ISDIR(found.st_mode):
        raise BindError(f"{directory} is not used: it is no directory, or a link to one")
    if found.st_uid != os.geteuid():
        raise BindError(f"{directory} is not used: it belongs to another user")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise BindError(f"{directory} is not used: others may write to it")


def _usable(directory: Path) -> bool:
    return directory.is_dir() and os.access(directory, os.W_OK | os.X_OK)
