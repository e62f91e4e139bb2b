"""All files of the source directory at one moment, as Kubernetes mounts a Secret or ConfigMap.

There the visible files are links through ``..data``, itself a link to the directory that has them,
which is replaced in one step when the Secret changes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..client.connection import ConfigError
from .files import SourceFile, printable, read_source, source_name
from .inputs import Inputs

#: More entries than anybody has sources.
MAX_ENTRIES = 1000

#: How often a scan is begun again because ``..data`` has been replaced meanwhile.
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Scan:
    """
    :ivar sources: what can be used, by the names of the sources, sorted.
    :ivar files: the names of the files of those sources, by the names of the sources.
    :ivar problems: what cannot, by the names of the files: one line each, with the path.
    """

    sources: dict[str, SourceFile]
    files: dict[str, str]
    problems: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Known:
    """What came of a file.

    :ivar source: None where there is a problem.
    """

    inputs: Inputs
    source: SourceFile | None = None
    problem: str = ""


def check(directory: Path) -> None:
    """
    :raises ConfigError: where the directory cannot be read. Bad files in it are no matter here.
    """
    _list(directory.absolute())


def scan(directory: Path) -> Scan:
    """See :class:`Scanner`.

    :raises ConfigError: where the directory cannot be read.
    """
    return Scanner(directory).scan()


class Scanner:
    """Scans again and again. What has not changed is read and compared, but not parsed again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._known: dict[str, _Known] = {}
        self._mounted = False

    def scan(self) -> Scan:
        """Blocks. One call at a time.

        :raises ConfigError: where the directory cannot be read; one line that names it.
        """
        for _ in range(_TRIES):
            data = self._data()
            found = self._scan()
            if self._data() != data:
                continue
            # Where a volume was, an empty directory is left.
            if self._mounted and data is None:
                raise self._error("no longer mounted: it had a link ..data")
            self._mounted = data is not None
            return found
        raise self._error("..data is replaced faster than it can be read")

    def _error(self, what: str) -> ConfigError:
        return ConfigError(f"{printable(str(self._directory))}: {what}")

    def _data(self) -> str | None:
        try:
            return os.readlink(self._directory / "..data")
        except OSError:
            return None

    def _scan(self) -> Scan:
        files: dict[str, str] = {}
        problems: dict[str, str] = {}
        found: dict[str, _Known] = {}
        for file in _list(self._directory):
            path = self._directory / file
            try:
                name = _name(file, files)
            except ConfigError as error:
                problems[printable(file)] = f"{printable(str(path))}: {error}"
                continue
            # A bad file keeps its name: a second one is not to come in its place unasked.
            files[name] = file
            known = self._known.get(file)
            if known is None or not known.inputs.unchanged():
                known = _read(path)
            found[file] = known
        self._known = found
        parts = self._parts()
        for file, known in found.items():
            if known.problem and str(self._directory / file) not in parts:
                problems[file] = known.problem
        sources = {n: found[f].source for n, f in sorted(files.items())}
        good = {name: source for name, source in sources.items() if source is not None}
        return Scan(good, {name: files[name] for name in good}, dict(sorted(problems.items())))

    def _parts(self) -> set[str]:
        """The paths of what sources are made of: a certificate beside its kubeconfig is no source,
        and no mistake either."""
        sources = [known for known in self._known.values() if known.source is not None]
        return {os.path.normpath(path) for known in sources for path in known.inputs.paths}


def _name(file: str, taken: Mapping[str, str]) -> str:
    name = source_name(file)
    if name in taken:
        raise ConfigError(f"a source called {name!r} is in the file {taken[name]} already")
    return name


def _read(path: Path) -> _Known:
    inputs = Inputs()
    try:
        return _Known(inputs, read_source(path, inputs))
    except ConfigError as error:
        return _Known(inputs, problem=str(error))


def _list(directory: Path) -> list[str]:
    """The names of the files, sorted; hidden ones, which Kubernetes' own are, and directories not.

    A link to nothing counts as a file: what it leads to may be back soon.
    """
    try:
        with os.scandir(directory) as entries:
            visible = (entry.name for entry in entries if not entry.name.startswith("."))
            names = list(islice(visible, MAX_ENTRIES + 1))
    except OSError as error:
        raise ConfigError(f"{printable(str(directory))}: {error.strerror}") from None
    if len(names) > MAX_ENTRIES:
        raise ConfigError(f"{printable(str(directory))}: more than {MAX_ENTRIES} entries")
    return sorted(name for name in names if not os.path.isdir(directory / name))
