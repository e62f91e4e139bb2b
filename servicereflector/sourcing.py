"""From the flags and the files of a directory to the sources that the program follows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from .admissions import Admissions
from .client.config import check_kubeconfig, load_kubeconfig
from .client.connection import ConfigError
from .client.credentials import Credentials, from_options
from .client.http import KubeClient
from .listwatch.limits import Limits
from .listwatch.quota import Quotas
from .mirror.admission import EVERYTHING, Admission
from .mirror.freshness import Patience
from .program import HOST, SourceClient
from .reasons import Code
from .reflector.follower import SourceSettings
from .sourcedir import SourceFile, source_name

_T = TypeVar("_T")

Use = Callable[[Sequence[SourceClient], Iterable[str]], None]


class Sourcing:
    """
    :ivar complete: whether the directory has been looked at, where there is one.
    :ivar problems: what is wrong with files of the directory, a line for each.
    :param use: told all sources, in configured order: those of the flags, then those of the files;
        and the names of those whose files cannot be used.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        options: Mapping[str, Any],
        use: Use = lambda _sources, _spared: None,
    ) -> None:
        self.complete = not options["reflector.source-dir"]
        self.problems: list[str] = []
        self.use = use
        self._reactor = reactor
        self._limits = client_limits(options)
        self._quotas = Quotas(
            options["reflector.max-services"],
            options["reflector.max-slices"],
            options["reflector.max-source-bytes"],
        )
        self._selectors = _by_source(options["reflector.source-selector"])
        self._stale_after = _by_source(options["reflector.stale-after"])
        self._remove_after = _by_source(options["reflector.remove-after"])
        self._admissions = Admissions(options)
        self.flags = self._from_flags(options) if options["reflector"] else []
        self._files: dict[SourceFile, SourceClient] = {}
        if options["reflector"] and self.complete:
            self._check_names(source.settings.name for source in self.flags)

    def files_changed(self, files: Sequence[SourceFile], problems: Mapping[str, str]) -> None:
        """The directory holds these now. What has not changed stays the same source."""
        taken = {source.settings.name for source in self.flags}
        clashes = [file.name for file in files if file.name in taken]
        told = [f"{name}: a source of this name is given by a flag" for name in clashes]
        for problem in told:
            if problem not in self.problems:
                text, code = "--reflector.source-dir: {problem}", Code.SOURCE_NAME_TAKEN
                self.log.warn(text, reason=code, problem=problem)
        self.problems = [*problems.values(), *told]
        self._files = {
            file: self._files.get(file) or self._from_file(file)
            for file in files
            if file.name not in taken
        }
        self.complete = True
        self.use([*self.flags, *self._files.values()], _names(problems))

    def _from_flags(self, options: Mapping[str, Any]) -> list[SourceClient]:
        found: list[SourceClient] = []
        for source in options["reflector.source-api"]:
            name = source.name or source.location
            try:
                source.options.connection(source.location)
            except ConfigError as error:
                raise ConfigError(f"--reflector.source-api: {name}: {error}") from None
            credentials = from_options(source.location, source.options, clock=self._reactor)
            found.append(self._source(name, source.location, credentials))
        for source in options["reflector.source-kubeconfig"]:
            try:
                url = check_kubeconfig(source.location)
            except ConfigError as error:
                raise ConfigError(f"--reflector.source-kubeconfig: {error}") from None
            credentials = self._kubeconfig(source.location)
            found.append(self._source(source.name or url, url, credentials))
        names = [source.settings.name for source in found]
        for name in names:
            if name == HOST:
                raise ConfigError(
                    f"a source is called {name!r}, as only the host is: change its NAME="
                )
            if names.count(name) > 1:
                raise ConfigError(f"two sources are called {name!r}: give one of them a NAME=")
        return found

    def _from_file(self, file: SourceFile) -> SourceClient:
        credentials = (
            from_options(file.url, file.options, clock=self._reactor)
            if file.kubeconfig is None
            else self._kubeconfig(file.kubeconfig)
        )
        return self._source(
            file.name,
            file.url,
            credentials,
            file.selector,
            file.stale_after,
            file.remove_after,
            file.admission,
            file.quotas,
        )

    def _kubeconfig(self, path: str) -> Credentials:
        return Credentials(partial(load_kubeconfig, path), clock=self._reactor)

    def _source(
        self,
        name: str,
        url: str,
        credentials: Credentials,
        selector: str | None = None,
        stale_after: float | None = None,
        remove_after: float | None = None,
        admission: Admission = EVERYTHING,
        quotas: tuple[tuple[str, int], ...] = (),
    ) -> SourceClient:
        if selector is None and name in self._selectors:
            selector = str(self._selectors[name])
        patience = Patience(
            _given(stale_after, self._stale_after, name),
            _given(remove_after, self._remove_after, name),
        )
        admitted = self._admissions.of(name, admission)
        limited = replace(self._quotas, **dict(quotas))
        settings = SourceSettings(name, url, selector, patience, admitted, limited)
        return SourceClient(settings, KubeClient(self._reactor, credentials, limits=self._limits))

    def _check_names(self, names: Iterable[str]) -> None:
        """
        :raises ConfigError: a flag is for a source that there is not, nor will be.
        """
        known = {"", *names}
        for flag, given in (
            ("source-selector", self._selectors),
            ("stale-after", self._stale_after),
            ("remove-after", self._remove_after),
            *self._admissions.names.items(),
        ):
            if unknown := sorted(set(given) - known):
                raise ConfigError(f"--reflector.{flag}: there is no source {unknown[0]!r}")


def client_limits(options: Mapping[str, Any]) -> Limits:
    """What the flags allow a server to cost; the host and the sources alike."""
    return Limits(
        connect_timeout=options["client.connect-timeout"],
        request_timeout=options["client.request-timeout"],
        list_timeout=options["client.list-timeout"],
        idle_timeout=options["client.idle-timeout"],
        max_line=options["client.max-line-bytes"],
        max_body=options["client.max-body-bytes"],
        max_reads=options["client.max-reads"],
    )


def _names(files: Iterable[str]) -> list[str]:
    """What the sources of these files are called, where they can be called anything."""
    found = []
    for file in files:
        with suppress(ConfigError):
            found.append(source_name(file))
    return found


def _by_source(given: Iterable[tuple[str, _T]]) -> dict[str, _T]:
    """A URL as a name has no slash at its end, as that of the source itself."""
    return {name.rstrip("/"): value for name, value in given}


def _given(own: float | None, flags: Mapping[str, float], name: str) -> float | None:
    """What holds of a source: its file's own, else the flag's for it, else for all; 0 is never."""
    seconds = own if own is not None else flags.get(name, flags.get("", 0.0))
    return seconds or None
