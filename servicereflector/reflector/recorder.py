"""The recorder of Kubernetes Events: they tell people what became of a name, beside its object.

Events are what may get lost: a few are written at a time, a few wait, and what fails is not tried
again before it happens again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from typing import Protocol

import orjson
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..kube.objects import Json, key_of
from ..kube.resources import EVENTS, Resource
from ..kube.status import ApiError
from ..kube.text import shown
from ..outages import HEALTHY, Outage
from ..reasons import Code, code_of
from ..telling import tell_failure, tell_recovery
from .correlation import MOST_REMEMBERED, Correlator, Create, Key, Occurrence, Recent, Told

#: The Events' source.
COMPONENT = "service-reflector"

#: What the role of the manifest says of Events; that of older versions lacks a verb.
RULE = 'apiGroups [""], resources [events], verbs [create, update]'

#: Writes under way at a time. A client keeps 16 connections, and mirrors come first.
MOST_WRITES = 4

#: Events that wait for their turn.
MOST_WAITING = 100

#: Reasons that are good news; all others are warnings.
_NORMAL = (Code.TAKEN_OVER.value,)

#: As a DNS subdomain may be long.
_MOST_NAME = 253


def rfc3339(seconds: float) -> str:
    """A time, in seconds since 1970, as Kubernetes writes it."""
    return datetime.fromtimestamp(int(seconds), timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class EventWriter(Protocol):
    """What the recorder needs of a client; errors are ApiError or the transport's own."""

    async def create(self, resource: Resource, document: Json) -> Json: ...

    async def update(self, resource: Resource, document: Json) -> Json: ...


class Recorder:
    """
    :param epoch: the time in seconds since 1970.
    :param random: a draw from [0, 1).
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        writer: EventWriter,
        *,
        epoch: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._writer = writer
        self._epoch = epoch
        self._random = random
        self._correlator = Correlator()
        # What the host answered, as JSON: parsed it would take ten times the memory.
        self._written: Recent[Key, bytes] = Recent(MOST_REMEMBERED)
        self._waiting: dict[Key, Told] = {}
        self._busy: set[Key] = set()
        self._workers: set[Deferred[None]] = set()
        self._names = 0
        self._dropped = 0
        self._outage = Outage()
        self._stopped = False

    def tell(self, occurrence: Occurrence) -> None:
        """Have it told, at some time or as a part of a number. Never raises."""
        if self._stopped:
            return
        told = self._correlator.tell(occurrence, self._reactor.seconds())
        if told is None:
            return
        key = occurrence.key
        if isinstance(told, Create):
            self._written.forget(key)
        before = self._waiting.get(key)
        self._waiting[key] = replace(told, more=told.more + before.more) if before else told
        if len(self._waiting) > MOST_WAITING:
            self._correlator.unsaid(self._waiting.pop(next(iter(self._waiting))))
            self._dropped += 1
        if len(self._workers) < MOST_WRITES:
            worker = Deferred.fromCoroutine(self._work())
            self._workers.add(worker)
            worker.addBoth(lambda _: self._workers.discard(worker))

    def start(self) -> None:
        """Write from now on, after a :meth:`stop`."""
        self._stopped = False

    def stop(self) -> None:
        """Cancel what is under way, and forget what waits. What is told from now on is lost."""
        self._stopped = True
        self._waiting.clear()
        for worker in tuple(self._workers):
            worker.cancel()

    async def _work(self) -> None:
        # Two writes of one Event would race: the second waits for what the first is answered.
        while (key := next((k for k in self._waiting if k not in self._busy), None)) is not None:
            told = self._waiting.pop(key)
            self._busy.add(key)
            try:
                await self._write(key, told)
            except Exception as error:
                if self._stopped:
                    return
                self._correlator.unsaid(told)
                self._tell_of_failure(told, error)
            finally:
                self._busy.discard(key)
        if self._dropped:
            self.log.warn(
                "{count} Events were not written, as more than {most} waited for the host",
                reason=Code.EVENTS_NOT_WRITTEN,
                count=self._dropped,
                most=MOST_WAITING,
            )
            self._dropped = 0

    async def _write(self, key: Key, told: Told) -> None:
        written = self._written.get(key)
        if written is None:
            answer: Json | None = await self._create(told)
        else:
            answer = await self._repeat(orjson.loads(written), told)
        if answer is None:
            self._correlator.unsaid(told)
            return
        self._written.put(key, orjson.dumps(answer))
        tally = self._outage.recovered(self._reactor.seconds(), lasting=HEALTHY)
        tell_recovery(self.log, tally, "Events are written again, {after}")

    async def _create(self, told: Told) -> Json:
        return await self._writer.create(EVENTS, self._document(told))

    async def _repeat(self, written: Json, told: Told) -> Json | None:
        """None where our role does not let us."""
        if not self._correlator.repeats:
            return None
        raised = {"count": told.count, "lastTimestamp": self._time(told.last)}
        if told.more:
            raised["message"] = told.message
        try:
            return await self._writer.update(EVENTS, written | raised)
        except ApiError as error:
            if error.code == 403 and not _has_no_place(error):
                self._tell_of_role(error)
                return None
            if error.code not in (404, 409):
                raise
        # It has expired, or somebody else has changed it.
        return await self._create(told)

    def _document(self, told: Told) -> Json:
        occurrence, involved = told.occurrence, told.occurrence.involved
        reference = {
            "kind": involved.resource.kind,
            "apiVersion": involved.resource.api_version,
            "namespace": involved.namespace,
            "name": involved.name,
            "uid": involved.uid,
        }
        self._names += 1
        unique = f".{int(self._random() * 2**48):012x}{self._names:04x}"
        name = involved.name[: _MOST_NAME - len(unique)].rstrip("-.") + unique
        return {
            # The API wants the Events of what is cluster-scoped there.
            "metadata": {"name": name, "namespace": involved.namespace or "default"},
            "involvedObject": {member: value for member, value in reference.items() if value},
            "reason": occurrence.reason,
            "message": told.message,
            "type": "Normal" if occurrence.reason in _NORMAL else "Warning",
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "firstTimestamp": self._time(told.first),
            "lastTimestamp": self._time(told.last),
            "count": told.count,
        }

    def _time(self, seconds: float) -> str:
        """A time of the reactor's, as Kubernetes writes it."""
        moment = self._epoch() - (self._reactor.seconds() - seconds)
        return rfc3339(moment)

    def _tell_of_role(self, error: ApiError) -> None:
        if self._correlator.repeats:
            self.log.warn(
                "the host does not let us update Events, so they do not tell how often something"
                " happened. A role that lets us has this rule: {rule}. It said: {error}",
                reason=Code.EVENTS_FORBIDDEN,
                rule=RULE,
                error=shown(error.message),
            )
        self._correlator.repeats = False

    def _tell_of_failure(self, told: Told, error: Exception) -> None:
        tally = None
        if not (isinstance(error, ApiError) and _has_no_place(error)):
            tally = self._outage.failed(code_of(error), self._reactor.seconds())
        involved = told.occurrence.involved
        tell_failure(
            self.log,
            tally,
            "{still}the Event {event} of {key} was not written: {error}",
            reason=Code.EVENTS_NOT_WRITTEN,
            event=told.occurrence.reason,
            key=key_of(involved.namespace, involved.name),
            error=shown(str(error)) or type(error).__name__,
        )


def _has_no_place(error: ApiError) -> bool:
    """Whether the namespace is not there, or not for long."""
    return error.code == 404 or "NamespaceTerminating" in error.causes
