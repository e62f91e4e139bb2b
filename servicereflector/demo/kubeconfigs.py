"""The files with which kubectl reaches the demo's clusters; gone at its end if they are as it wrote
them. A file that the demo did not write is never touched."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import yaml

from ..client.connection import ConfigError

_MARK = "# Written by service-reflector demo, which takes it away when it ends.\n"


def kubeconfig(name: str, url: str) -> str:
    """A kubeconfig with one context."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": url}}],
        "users": [{"name": name, "user": {}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return _MARK + yaml.safe_dump(document, sort_keys=False)


class Kubeconfigs:
    """
    :param urls: of the clusters' APIs, by the clusters' names.
    :raises ConfigError: a file of another's is in the way, or cannot be written; nothing is left.
    """

    def __init__(self, directory: Path, urls: Mapping[str, str]) -> None:
        self._directory = directory
        self._written: dict[Path, str] = {}
        self._made: list[Path] = []
        try:
            for name in urls:
                _check(self.path(name))
            self._make(directory)
            for name, url in urls.items():
                self._write(self.path(name), kubeconfig(name, url))
        except OSError as error:
            self.remove()
            where = error.filename or directory
            raise ConfigError(f"--kubeconfig-dir: {where}: {error.strerror}") from None

    def path(self, name: str) -> Path:
        """Where the file of this cluster is."""
        return self._directory / f"{name}.yaml"

    def remove(self) -> None:
        """Take away what is still as it was written."""
        for path, text in self._written.items():
            with suppress(OSError):
                if _text(path) == text:
                    path.unlink()
        for directory in reversed(self._made):
            with suppress(OSError):  # somebody has put something there
                directory.rmdir()

    def _make(self, directory: Path) -> None:
        missing = [p for p in (directory, *directory.parents) if not p.exists()]
        for path in reversed(missing):
            path.mkdir(mode=0o700)
            self._made.append(path)

    def _write(self, path: Path, text: str) -> None:
        path.unlink(missing_ok=True)  # of a demo that was killed
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._written[path] = text
        with open(opened, "w") as file:
            file.write(text)


def _check(path: Path) -> None:
    """
    :raises ConfigError: there is something that the demo did not write.
    """
    try:
        ours = _text(path).startswith(_MARK)
    except FileNotFoundError:
        return
    if not ours:
        raise ConfigError(
            f"--kubeconfig-dir: {path} is there, and not of the demo: say another directory"
        )


def _text(path: Path) -> str:
    """What is in the file; nothing where it is no file, a symbolic link for one."""
    if not stat.S_ISREG(path.lstat().st_mode):
        return ""
    return path.read_text(errors="replace")
