"""The Service that keeps asking for the Lease, and tells when this replica leads and when it no
longer does."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol, TypeVar

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..kube.objects import Json
from ..kube.resources import LEASES, Resource
from ..kube.status import ApiError
from ..kube.text import shown
from ..outages import HEALTHY, Outage
from ..reasons import Code, code_of
from ..telling import tell_failure, tell_recovery
from .machine import Create, Elector, Timing, Update

#: Seconds for giving the Lease away: stopping waits for that.
RELEASE_TIMEOUT = 1.0

#: What the role of the manifest says of Leases; that of older versions lacks it.
RULE = 'apiGroups ["coordination.k8s.io"], resources [leases], verbs [get, create, update]'

_T = TypeVar("_T")


class LeaseApi(Protocol):
    """What is needed of a client; errors are ApiError or the transport's own."""

    async def get(self, resource: Resource, namespace: str, name: str) -> Json: ...

    async def create(self, resource: Resource, document: Json) -> Json: ...

    async def update(self, resource: Resource, document: Json) -> Json: ...


@dataclass(frozen=True, slots=True)
class Candidacy:
    """What a replica stands for election with.

    :ivar identity: no other process has it, nor has had it.
    :ivar namespace: of the Lease.
    :ivar name: of the Lease.
    """

    identity: str
    namespace: str = "default"
    name: str = "service-reflector"
    timing: Timing = field(default_factory=Timing)


def micro_time(epoch: float) -> str:
    """A time, in seconds since 1970, as Kubernetes writes a MicroTime."""
    moment = datetime.fromtimestamp(epoch, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class LeaderElection(Service):
    """
    :param reactor: its seconds go on whatever becomes of the system's time: leading goes by them.
    :param epoch: the time in seconds since 1970, for people.
    :param started: called when this replica has begun to lead.
    :param stopped: called when it leads no longer, but not when the Service is stopped.
    """

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        api: LeaseApi,
        candidacy: Candidacy,
        *,
        epoch: Callable[[], float],
        started: Callable[[], None],
        stopped: Callable[[], None],
    ) -> None:
        self.candidacy = candidacy
        self._reactor = reactor
        self._api = api
        self._epoch = epoch
        self._started = started
        self._stopped = stopped
        timing = candidacy.timing
        where = (candidacy.namespace, candidacy.name)
        self._elector = Elector(candidacy.identity, *where, timing)
        self._leading = False
        self._told_holder = ""
        self._outage = Outage()
        self._why = ""
        self._asking: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None
        self._lapse: IDelayedCall | None = None

    @property
    def leads(self) -> bool:
        """Whether this replica may act, by the clock: nobody else does before it ceases to."""
        return self._leading and self._elector.leads(self._reactor.seconds())

    @property
    def holder(self) -> str:
        """The identity of whoever leads, as far as is known; ``""`` for nobody."""
        return self._elector.holder

    def startService(self) -> None:
        Service.startService(self)
        self._ask()

    def stopService(self) -> Deferred[None]:
        """Give the Lease away. Whoever acts by it must have stopped before."""
        Service.stopService(self)
        for call in (self._timer, self._lapse):
            if call is not None:
                call.cancel()
        self._timer = self._lapse = None
        self._leading = False
        if self._asking is not None:
            self._asking.cancel()
        elif self.holder != self.candidacy.identity:
            return succeed(None)
        return self._within(RELEASE_TIMEOUT, self._release()).addErrback(self._not_released)

    def _ask(self) -> None:
        self._timer = None
        self._look()  # a process that stood still has a term behind it
        began = self._reactor.seconds()
        self._asking = Deferred.fromCoroutine(self._attempt())
        self._asking.addCallbacks(self._succeeded, self._failed).addBoth(self._asked, began)

    async def _attempt(self) -> None:
        step = self._elector.begin(self._reactor.seconds(), self._time())
        if isinstance(step, Update):
            try:
                await self._write(step)
                return
            except ApiError as error:
                if error.code not in (404, 409):
                    raise
        found = await self._get()
        write = self._elector.found(found, self._reactor.seconds(), self._time())
        if write is not None:
            await self._write(write)

    async def _get(self) -> Json | None:
        where = (self.candidacy.namespace, self.candidacy.name)
        try:
            return await self._in_time(self._api.get(LEASES, *where))
        except ApiError as error:
            if error.code != 404:
                raise
            return None

    async def _write(self, step: Create | Update) -> None:
        write = self._api.create if isinstance(step, Create) else self._api.update
        began = self._reactor.seconds()
        self._elector.written(await self._in_time(write(LEASES, step.document)), began)

    async def _in_time(self, request: Coroutine[Any, Any, _T]) -> _T:
        return await self._within(self.candidacy.timing.request_timeout, request)

    def _within(self, seconds: float, work: Coroutine[Any, Any, _T]) -> Deferred[_T]:
        def out_of_time(_: object, seconds: float) -> Failure:
            return Failure(TimeoutError(f"no answer within {seconds:g} s"))

        return Deferred.fromCoroutine(work).addTimeout(seconds, self._reactor, out_of_time)

    def _succeeded(self, _result: None) -> None:
        tally = self._outage.recovered(self._reactor.seconds(), lasting=HEALTHY)
        text = "leader election: the Lease {lease} answers again, {after}"
        tell_recovery(self.log, tally, text, lease=self._lease_name)

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError, GeneratorExit):
            return
        error = failure.value
        if isinstance(error, ApiError) and error.code == 409:
            return  # another was faster
        self._why = shown(str(error)) or type(error).__name__
        hint = ""
        if isinstance(error, ApiError) and error.code == 403:
            hint = f". A role that lets us has this rule: {RULE}"
        tell_failure(
            self.log,
            self._outage.failed(code_of(error), self._reactor.seconds()),
            "leader election: {still}the Lease {lease}: {why}{hint}",
            reason=Code.LEASE_UNAVAILABLE,
            lease=self._lease_name,
            why=self._why,
            hint=hint,
        )

    def _asked(self, _result: object, began: float) -> None:
        self._asking = None
        if not self.running:
            return
        now = self._reactor.seconds()
        self._timer = self._reactor.callLater(self._elector.next_look(began, now) - now, self._ask)
        self._look()

    def _look(self) -> None:
        """Whether it leads, and tell if that is news."""
        if self._lapse is not None:
            self._lapse.cancel()
            self._lapse = None
        now, until = self._reactor.seconds(), self._elector.leads_until
        leads = until is not None and now < until
        if until is not None and leads:
            # Not sooner than floats can tell apart, or it would come again in no time.
            self._lapse = self._reactor.callLater(max(until - now, 0.001), self._lapsed)
        if leads == self._leading:
            self._tell_of_others()
        elif leads:
            self._leading = True
            self._told_holder = self.holder
            self.log.info(
                "leader election: this replica, {holder}, leads",
                reason=Code.LEADER_ELECTED,
                holder=self.holder,
                lease=self._lease_name,
            )
            self._started()
        else:
            self._leading = False
            self._tell_of_loss()
            self._stopped()

    def _lapsed(self) -> None:
        self._lapse = None
        self._look()

    def _tell_of_others(self) -> None:
        if self._leading or self.holder in (self._told_holder, self.candidacy.identity):
            return
        self._told_holder = self.holder
        if self.holder:
            self.log.info(
                "leader election: {holder} leads, this replica stands by",
                reason=Code.STANDING_BY,
                holder=self.holder,
                lease=self._lease_name,
            )

    def _tell_of_loss(self) -> None:
        if self.holder not in ("", self.candidacy.identity):
            why = f"{self.holder} leads"
        else:
            why = f"the Lease was not renewed in time: {self._why or 'the process stood still'}"
        self._told_holder = self.holder
        self.log.warn(
            "leader election: this replica no longer leads, {why}",
            reason=Code.LEASE_LOST,
            why=why,
            holder=self.holder,
            lease=self._lease_name,
        )

    async def _release(self) -> None:
        while update := self._elector.release(await self._get(), self._time()):
            try:
                await self._api.update(LEASES, update.document)
            except ApiError as error:
                if error.code != 409:
                    raise
                continue  # a renewal that was cancelled has come late
            self.log.info(
                "leader election: the Lease is released",
                reason=Code.LEASE_RELEASED,
                lease=self._lease_name,
            )
            return

    def _not_released(self, failure: Failure) -> None:
        self.log.warn(
            "leader election: the Lease was not released, so others wait until it expires: {why}",
            reason=Code.LEASE_NOT_RELEASED,
            lease=self._lease_name,
            why=shown(str(failure.value)) or type(failure.value).__name__,
        )

    def _time(self) -> str:
        return micro_time(self._epoch())

    @property
    def _lease_name(self) -> str:
        return f"{self.candidacy.namespace}/{self.candidacy.name}"
