"""The Service that looks into the source directory again and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.threads import deferToThread
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..client.connection import ConfigError
from .files import SourceFile
from .scanner import Scan, Scanner

#: Seconds between two scans.
INTERVAL = 2.0

Changed = Callable[[Sequence[SourceFile], Mapping[str, str]], None]
DeferToThread = Callable[[Callable[[], Scan]], "Deferred[Scan]"]


class SourceDirectory(Service):
    """Tells of the sources that a directory has, and of every change.

    A source whose file has become bad stays as it was, until its file is good again or gone. While
    the directory cannot be read, all stay.

    :ivar sources: by their names, sorted.
    :ivar problems: what is wrong with files, by the files' names: one line each.
    :ivar trouble: why the directory cannot be read, ``""`` if it can.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        directory: Path,
        changed: Changed,
        *,
        defer_to_thread: DeferToThread = deferToThread,
    ) -> None:
        """
        :param changed: called with all sources, sorted by name, and all problems: after the first
            scan that could read the directory, and then whenever something is not as it was.
        """
        self.sources: dict[str, SourceFile] = {}
        self.problems: dict[str, str] = {}
        self.trouble = ""
        self._reactor = reactor
        self._directory = directory.absolute()
        self._changed = changed
        self._defer_to_thread = defer_to_thread
        self._scanner = Scanner(directory)
        self._files: dict[str, str] = {}  # of the sources
        self._first = True
        self._scanning = False
        self._timer: IDelayedCall | None = None

    def startService(self) -> None:
        Service.startService(self)
        # The last scan before a stop may still be under way. It goes on from there.
        if not self._scanning:
            self._scan()

    def stopService(self) -> None:
        """What a scan finds that is under way is not told. It is not waited for: a file system
        that does not answer would keep the process from ending."""
        Service.stopService(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _scan(self) -> None:
        self._timer = None
        self._scanning = True
        scanned = self._defer_to_thread(self._scanner.scan)
        scanned.addCallbacks(self._scanned, self._failed)
        scanned.addErrback(lambda f: self.log.failure("the sources could not be changed", f))
        scanned.addCallback(self._scan_later)

    def _scan_later(self, _: object) -> None:
        self._scanning = False
        if self.running:
            self._timer = self._reactor.callLater(INTERVAL, self._scan)

    def _failed(self, failure: Failure) -> None:
        if not self.running:
            return
        # Other errors than ours may quote what is in the files.
        error = failure.value
        trouble = str(error) if isinstance(error, ConfigError) else type(error).__name__
        if not self.trouble:
            self.log.warn(
                "the source directory cannot be read, its sources stay as they are: {error}",
                error=trouble,
            )
        self.trouble = trouble

    def _scanned(self, scan: Scan) -> None:
        if not self.running:
            return
        if self.trouble:
            self.trouble = ""
            self.log.info("the source directory can be read again")
        bad = {name: file for name, file in self._files.items() if file in scan.problems}
        files = {**bad, **scan.files}
        sources = {name: scan.sources.get(name) or self.sources[name] for name in sorted(files)}
        if (sources, scan.problems) == (self.sources, self.problems) and not self._first:
            self._files = files
            return
        self._tell_problems(scan.problems, files)
        self._tell_sources(sources, files, scan.problems)
        self.sources, self.problems, self._files = sources, scan.problems, files
        self._first = False
        self._changed(tuple(sources.values()), dict(scan.problems))

    def _tell_problems(self, problems: Mapping[str, str], files: Mapping[str, str]) -> None:
        for file, problem in problems.items():
            if self.problems.get(file) == problem:
                continue
            if file in files.values():
                self.log.warn("{problem}; its source stays as it was", problem=problem)
            else:
                self.log.warn("{problem}", problem=problem)

    def _tell_sources(
        self,
        sources: Mapping[str, SourceFile],
        files: Mapping[str, str],
        problems: Mapping[str, str],
    ) -> None:
        for name in sorted(self.sources.keys() | sources.keys()):
            before, now = self.sources.get(name), sources.get(name)
            path = str(self._directory / (files.get(name) or self._files[name]))
            if before is None:
                self.log.info("source {source}: added from {path}", source=name, path=path)
            elif now is None:
                self.log.info("source {source}: removed with {path}", source=name, path=path)
            elif before != now:
                self.log.info("source {source}: changed in {path}", source=name, path=path)
            elif files[name] in self.problems and files[name] not in problems:
                self.log.info("source {source}: {path} is good again", source=name, path=path)
