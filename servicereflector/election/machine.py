"""Who leads: the decisions of client-go's leaderelection, without its clock and its client.

Rules first; times are seconds of the replica's own clock, which nobody sets.

- A replica leads from the *beginning* of a write that made it the Lease's holder or renewed that,
  once it is answered, and for the renew deadline at most. An answer that is lost is no answer.
- Another takes the Lease when it is released, or when it has not *changed* for the duration that is
  written in it. What counts is when the replica saw it change; the times in it are those of another
  clock. Every write of the leader is seen after it began, so the one has stopped before the other
  starts, as long as their clocks go at the same rate: a lease duration of one and a half times the
  renew deadline bears one clock that is half as fast again as the other.
- Every update carries the uid and resourceVersion that were looked at: of two that try, one wins.
- A leader renews without looking. After anything but success it looks first.
- A replica that finds itself the holder, but does not lead, takes the Lease up again: it was the
  answer that was lost.
- A Lease that somebody deleted counts until it would have expired. Nobody can know what a Lease
  said that was deleted before they started.
- A release leaves nobody as the holder and a duration of one second; the next look takes it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil

from ..kube.objects import Json
from .lease import LeaseSpec, new_lease, read_spec, with_spec

#: By so much the renew deadline exceeds the retry period: client-go's JitterFactor.
_JITTER_FACTOR = 1.2


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds; the defaults are those of Kubernetes' own components.

    :ivar lease_duration: for how long others leave the Lease alone once it no longer changes.
    :ivar renew_deadline: for how long a leader leads without a renewal.
    :ivar retry_period: between two looks, and between two renewals.
    """

    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    @property
    def request_timeout(self) -> float:
        """For a request, so that a leader can try once more: as kube-controller-manager has it."""
        return self.renew_deadline / 2

    def renews_in_time(self) -> bool:
        """Whether a leader stops before others start."""
        return self.renew_deadline < self.lease_duration

    def retries_in_time(self) -> bool:
        """Whether a leader gets to renew before it has to stop."""
        return 0 < self.retry_period * _JITTER_FACTOR < self.renew_deadline


@dataclass(frozen=True, slots=True)
class Get:
    """Look at the Lease."""


@dataclass(frozen=True, slots=True)
class Create:
    document: Json = field(repr=False)


@dataclass(frozen=True, slots=True)
class Update:
    document: Json = field(repr=False)


class Elector:
    """One replica's view of the Lease.

    :ivar identity: under which no other replica ever runs.
    :ivar holder: who holds the Lease as far as is known, ``""`` for nobody.
    """

    def __init__(self, identity: str, namespace: str, name: str, timing: Timing) -> None:
        self.identity = identity
        self._namespace = namespace
        self._name = name
        self._timing = timing
        self._lease: Json | None = None
        self._seen = LeaseSpec()
        self._changed_at = 0.0
        self._renewed_at: float | None = None
        self._current = False  # whether the Lease is as it was seen last, for all that is known

    @property
    def holder(self) -> str:
        return self._seen.holder

    @property
    def leads_until(self) -> float | None:
        """None where it does not lead."""
        if self._renewed_at is None:
            return None
        return self._renewed_at + self._timing.renew_deadline

    def leads(self, now: float) -> bool:
        return (until := self.leads_until) is not None and now < until

    def begin(self, now: float, time: str) -> Get | Update:
        """What to do first.

        :param time: now, as a MicroTime.
        """
        if not (self.leads(now) and self._current and self._lease is not None):
            return Get()
        self._current = False
        return Update(with_spec(self._lease, self._renewed(self._seen, time)))

    def found(self, lease: Json | None, now: float, time: str) -> Create | Update | None:
        """What follows from a look: a write, or None for waiting.

        :param lease: None where there is none.
        :param now: when the answer came.
        """
        if lease is not None and (spec := read_spec(lease)) != self._seen:
            self._seen, self._changed_at = spec, now
        self._lease = lease
        if self._is_anothers:
            self._renewed_at = None
            if now < self._expires_at:
                return None
        if lease is None:
            spec = self._renewed(LeaseSpec(acquire_time=time), time)
            return Create(new_lease(self._namespace, self._name, spec))
        spec = self._renewed(self._seen, time)
        if self.holder != self.identity:
            spec = replace(spec, acquire_time=time, transitions=spec.transitions + 1)
        return Update(with_spec(lease, spec))

    def written(self, lease: Json, began: float) -> None:
        """The write that was asked for has succeeded.

        :param lease: as it was answered.
        :param began: when the write began.
        """
        self._lease, self._seen = lease, read_spec(lease)
        self._changed_at = began
        self._renewed_at = began if self.holder == self.identity else None
        self._current = True

    def next_look(self, began: float, now: float) -> float:
        """When to begin again: after the retry period, or as soon as another's Lease expires.

        :param began: when it was begun last.
        """
        last = began if self._renewed_at is None else max(began, self._renewed_at)
        regular = max(now, last + self._timing.retry_period)
        if self._is_anothers and now < self._expires_at:
            return min(regular, self._expires_at)
        return regular

    def resign(self) -> None:
        """Lead no longer, whatever the Lease says."""
        self._renewed_at = None

    def release(self, lease: Json | None, time: str) -> Update | None:
        """What gives the Lease away, None where it is another's.

        :param lease: as it is now, None where there is none.
        """
        self.resign()
        if lease is None or (spec := read_spec(lease)).holder != self.identity:
            return None
        return Update(
            with_spec(
                lease, replace(spec, holder="", duration=1, acquire_time=time, renew_time=time)
            )
        )

    @property
    def _is_anothers(self) -> bool:
        return self.holder not in ("", self.identity)

    @property
    def _expires_at(self) -> float:
        return self._changed_at + (self._seen.duration or self._timing.lease_duration)

    def _renewed(self, spec: LeaseSpec, time: str) -> LeaseSpec:
        # Rounded up: others must not start sooner than the flag says.
        duration = ceil(self._timing.lease_duration)
        return replace(spec, holder=self.identity, duration=duration, renew_time=time)
