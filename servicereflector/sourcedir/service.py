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
from ..outages import Outage
from ..reasons import Code
from ..telling import tell_failure, tell_recovery
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
        self._outage = Outage()
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
        scanned.addErrback(self._defective)
        scanned.addCallback(self._scan_later)

    def _scan_later(self, _: object) -> None:
        self._scanning = False
        if self.running:
            self._timer = self._reactor.callLater(INTERVAL, self._scan)

    def _defective(self, failure: Failure) -> None:
        text = "the sources could not be changed"
        self.log.failure(text, failure, reason=Code.INTERNAL_ERROR)

    def _failed(self, failure: Failure) -> None:
        if not self.running:
            return
        # Other errors than ours may quote what is in the files.
        error = failure.value
        trouble = str(error) if isinstance(error, ConfigError) else type(error).__name__
        self.trouble = trouble
        tally = self._outage.failed(Code.SOURCE_DIR_UNREADABLE, self._reactor.seconds())
        if tally is None:
            return  # to look is no attempt that anybody would want to follow
        tell_failure(
            self.log,
            tally,
            "{still}the source directory cannot be read, its sources stay as they are: {error}",
            reason=Code.SOURCE_DIR_UNREADABLE,
            error=trouble,
        )

    def _scanned(self, scan: Scan) -> None:
        if not self.running:
            return
        self.trouble = ""
        tally = self._outage.recovered(self._reactor.seconds())
        tell_recovery(self.log, tally, "the source directory can be read again, {after}")
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
            kept = "; its source stays as it was" if file in files.values() else ""
            code = Code.SOURCE_FILE_UNUSABLE
            self.log.warn("{problem}{kept}", reason=code, problem=problem, kept=kept)

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
                code, what = Code.SOURCE_ADDED, "added from {path}"
            elif now is None:
                code, what = Code.SOURCE_REMOVED, "removed with {path}"
            elif before != now:
                code, what = Code.SOURCE_CHANGED, "changed in {path}"
            elif files[name] in self.problems and files[name] not in problems:
                code, what = Code.RECOVERED, "{path} is good again"
            else:
                continue
            self.log.info("source {source}: " + what, reason=code, source=name, path=path)
