"""Who may own a name in the host.

The rules, in the order in which they are looked at:

1. What the program did not create is never touched: Conflict. That includes a stranger's Endpoints
   beside our Service, because the API server deletes the Endpoints together with a Service.
2. A mirror stays with its source while that exports the name, or has not told yet whether it does.
3. A mirror whose source no longer exports the name is taken over, in place, by the first source in
   configured order that does; the others stand by.
4. A name that is free goes to the first source in configured order that has something to mirror.
5. A mirror that nobody exports is deleted if its source is configured and has told its whole list;
   the mirror of a source that is no longer configured is kept as an orphan, unless told to prune.
   But not while another source is still expected to tell its first list: it may export the name,
   and the ClusterIP would be lost.

An ExternalName counts as not exported where the policy refuses them: Refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from ..kube.objects import Record
from ..kube.slices import MANAGED_BY, MANAGER
from .copying import is_external
from .policy import DEFAULT, Policy


class State(str, Enum):
    """What has become of one exported Service."""

    MIRRORED = "Mirrored"
    PENDING = "Pending"
    STANDBY = "Standby"
    CONFLICT = "Conflict"
    ORPHANED = "Orphaned"
    REFUSED = "Refused"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Status:
    """A state and its reason, a sentence for people."""

    state: State
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SourceState:
    """What one source says of one name.

    :ivar synced: whether its first complete lists are in.
    :ivar awaited: whether they are not, but are expected to be any moment now.
    :ivar slices: those whose label names the Service.
    """

    name: str
    synced: bool
    service: Record | None = None
    endpoints: Record | None = None
    awaited: bool = False
    slices: tuple[Record, ...] = ()

    @property
    def exports(self) -> bool:
        return self.synced and self.service is not None and is_exported(self.service)

    @property
    def complete(self) -> bool:
        """Whether there is something to mirror: a Service waits for its Endpoints or a slice."""
        if not self.exports:
            return False
        return self.endpoints is not None or bool(self.slices) or self.is_external

    @property
    def is_external(self) -> bool:
        return self.service is not None and is_external(self.service.document().get("spec") or {})


@dataclass(frozen=True, slots=True)
class HostState:
    """What the host has under one name.

    :ivar slices: all that name the Service, whoever made them.
    """

    namespace: Record | None = None
    service: Record | None = None
    endpoints: Record | None = None
    slices: tuple[Record, ...] = ()

    @property
    def held(self) -> Record | None:
        """By its source it tells whose the name is."""
        return self.service or self.endpoints or next(iter(self.own_slices), None)

    @property
    def own_slices(self) -> tuple[Record, ...]:
        """Those that the program made: a controller of the host may have made others."""
        return tuple(
            record
            for record in self.slices
            if record.source is not None and record.labels.get(MANAGED_BY) == MANAGER
        )


class Course(Enum):
    """What is to happen to the name in the host."""

    LEAVE = "leave"
    MIRROR = "mirror"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    :ivar owner: the source to mirror, where the course is MIRROR.
    :ivar statuses: the status by the name of the source.
    """

    course: Course
    owner: SourceState | None
    statuses: dict[str, Status]


def is_exported(service: Record) -> bool:
    """Never a mirror, or a mesh of clusters would keep a deleted Service alive for ever; never the
    cluster's own API."""
    return not service.reflected and service.key != "default/kubernetes"


def judge(
    sources: Sequence[SourceState],
    host: HostState,
    policy: Policy = DEFAULT,
) -> Verdict:
    """Apply the rules.

    :param sources: in configured order.
    """
    refused = () if policy.external_names else tuple(s for s in sources if s.is_external)
    exporting = [s for s in sources if s.exports and s not in refused]
    verdict = _judge(sources, exporting, host, prune=policy.prune)
    reason = Status(State.REFUSED, "it is an ExternalName, and those are not mirrored")
    statuses = {source.name: reason for source in refused if source.exports}
    return replace(verdict, statuses={**statuses, **verdict.statuses})


def _judge(
    sources: Sequence[SourceState], exporting: list[SourceState], host: HostState, *, prune: bool
) -> Verdict:
    for kind, record in (("Service", host.service), ("Endpoints", host.endpoints)):
        if record is not None and record.source is None:
            reason = f"{kind} {record.key} exists and was not created by service-reflector"
            conflict = Status(State.CONFLICT, reason)
            return Verdict(Course.LEAVE, None, {s.name: conflict for s in exporting})
    held = host.held
    if held is None:
        owner = next((source for source in exporting if source.complete), None)
        return _mirror(owner, exporting)
    keeper = next((source for source in sources if source.name == held.source), None)
    if keeper is not None and not keeper.synced:
        statuses = _standby(exporting, keeper.name)
        statuses[keeper.name] = Status(State.MIRRORED, "kept: the source has not been listed yet")
        return Verdict(Course.LEAVE, None, statuses)
    if keeper not in exporting:
        keeper_gone = keeper is not None
        keeper = next(iter(sorted(exporting, key=lambda source: not source.complete)), None)
        if keeper is None:
            if (keeper_gone or prune) and any(source.awaited for source in sources):
                kept = Status(State.MIRRORED, "kept until all sources have been listed")
                return Verdict(Course.LEAVE, None, {held.source or "": kept})
            if keeper_gone or prune:
                return Verdict(Course.DELETE, None, {})
            reason = f"source {held.source!r} is not configured"
            return Verdict(Course.LEAVE, None, {held.source or "": Status(State.ORPHANED, reason)})
    return _mirror(keeper, exporting)


def _mirror(owner: SourceState | None, exporting: Sequence[SourceState]) -> Verdict:
    if owner is None:
        pending = Status(State.PENDING, "the source has no Endpoints for it yet")
        return Verdict(Course.LEAVE, None, {source.name: pending for source in exporting})
    statuses = _standby(exporting, owner.name)
    statuses[owner.name] = Status(State.MIRRORED)
    return Verdict(Course.MIRROR, owner, statuses)


def _standby(exporting: Sequence[SourceState], owner: str) -> dict[str, Status]:
    standby = Status(State.STANDBY, f"source {owner!r} owns the name")
    return {source.name: standby for source in exporting}
