"""What the program answers to its operator: the questions, and the two things to be told."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from . import __version__
from .access.gate import Access
from .emitter.certificates import Certificates
from .kube.objects import key_of
from .mirror.states import Status
from .program import Program
from .reflector.controller import Controller
from .reflector.recorder import rfc3339
from .reflector.report import (
    explain,
    report_mirror_closely,
    report_mirrors,
    report_sources,
)


class Administration:
    """
    :param seconds: the reactor's.
    :param problems: what is wrong with the sources' configuration, a line for each.
    :param certificates: what the Emitter shows, None where it speaks no TLS.
    :param access: who may ask the Emitter, None where everybody may.
    :param epoch: the time in seconds since 1970.
    """

    def __init__(
        self,
        program: Program,
        seconds: Callable[[], float],
        problems: Callable[[], list[str]] = lambda: [],
        certificates: Certificates | None = None,
        access: Access | None = None,
        epoch: Callable[[], float] = time.time,
    ) -> None:
        self._program = program
        self._seconds = seconds
        self._problems = problems
        self._certificates = certificates
        self._access = access
        self._epoch = epoch

    def status(self) -> dict[str, Any]:
        """How the host, the sources and the mirrors are."""
        controller = self._program.controller
        mirrors = report_mirrors(controller) if controller is not None else []
        return {**self.overview(), "mirrors": mirrors}

    def overview(self, *, public: bool = False) -> dict[str, Any]:
        """All of the status but the mirrors.

        :param public: whether others than the operator read the reasons of sources.
        """
        controller, now = self._program.controller, self._seconds()
        followers = self._program.followers
        return {
            "version": __version__,
            "time": rfc3339(self._epoch()),
            "host": {"problem": self._program.problem()},
            **self._election(),
            **self._certificate(),
            **self._consumers(),
            **self._emitter(),
            "sources": report_sources(controller, followers, now, public=public)
            if controller is not None
            else [],
            "delays": _delays(controller, now) if controller is not None else [],
            "problems": [*self._problems(), *(self._access.problems if self._access else ())],
        }

    def statuses(self) -> Mapping[str, Mapping[str, Status]]:
        """What has become of each name, by source."""
        controller = self._program.controller
        return controller.statuses if controller is not None else {}

    def mirror(self, key: str, source: str, status: Status) -> dict[str, Any]:
        """All that is to be shown of a name of :meth:`statuses`."""
        return report_mirror_closely(self._controller(), key, source, status, self._epoch())

    def explain(self, key: str) -> dict[str, Any]:
        """
        :raises ValueError: there is no Reflector.
        """
        return explain(self._controller(), key, rfc3339)

    def release(self, source: str) -> str:
        """Let the deletions go ahead that are held.

        :raises ValueError: there is no such source, or another replica leads.
        """
        count = self._leader().release(source)
        if not count:
            return f"no deletions of source {source!r} are held"
        return f"deletions of mirrors of source {source!r} that go ahead: {count}"

    def forget(self, source: str) -> str:
        """Delete the mirrors of a source that is no longer configured.

        :raises ValueError: it is configured, or another replica leads.
        """
        count = self._leader().forget(source)
        if not count:
            return f"there are no mirrors of source {source!r}"
        return f"mirrors of source {source!r} that are deleted, or taken over: {count}"

    def _election(self) -> dict[str, Any]:
        """Nothing where the Reflector is alone."""
        election = self._program.election
        if election is None:
            return {}
        told = {
            "role": "leader" if election.leads else "standby",
            "identity": election.candidacy.identity,
            "holder": election.holder,
            "lease": key_of(election.candidacy.namespace, election.candidacy.name),
        }
        return {"election": told}

    def _certificate(self) -> dict[str, Any]:
        """Nothing where the Emitter speaks no TLS."""
        if self._certificates is None:
            return {}
        shown = self._certificates.shown
        told = {
            "fingerprint": shown.fingerprint,
            "self_signed": shown.self_signed,
            "expires": rfc3339(shown.expires),
            "problem": self._certificates.problem,
        }
        return {"certificate": told}

    def _consumers(self) -> dict[str, Any]:
        """Nothing where everybody may read."""
        if self._access is None:
            return {}
        refused = {str(code): count for code, count in self._access.stats.refused.items()}
        return {"consumers": {"open": self._access.consumers(), "refused": refused}}

    def _emitter(self) -> dict[str, Any]:
        """Nothing without that role."""
        api = self._program.read_api
        if api is None:
            return {}
        told = {
            "watchers": api.stats.watchers,
            "clients": api.reads.watches.clients,
            "sent_bytes": api.stats.bytes_sent,
            "slow": api.stats.slow,
        }
        return {"emitter": told}

    def _leader(self) -> Controller:
        controller, election = self._controller(), self._program.election
        if election is not None and not election.leads:
            leader = election.holder or "nobody, for now"
            raise ValueError(f"this replica stands by: tell the one that leads, {leader}")
        return controller

    def _controller(self) -> Controller:
        if self._program.controller is None:
            raise ValueError("this process runs no Reflector")
        return self._program.controller


def _delays(controller: Controller, now: float) -> list[dict[str, Any]]:
    """Of the last hour, by minute."""
    return [
        {
            "seconds_ago": round(max(0.0, now - minute.start), 3),
            "count": minute.count,
            "median_seconds": round(minute.median, 6),
            "longest_seconds": round(minute.longest, 6),
        }
        for minute in controller.delays.minutes(now)
    ]
