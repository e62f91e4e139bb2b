"""Who may own a name in the host.

The rules, in the order in which they are looked at:

1. What the program did not create is never touched: Conflict. That includes a stranger's Endpoints
   beside our Service, because the API server deletes the Endpoints together with a Service.
2. A mirror stays with its source while that exports the name, or has not told yet whether it does.
   A source answers to its name, and to its URL where it was given a name later.
3. A mirror whose source no longer exports the name is taken over, in place, by the first source in
   configured order that does; the others stand by. So is one whose source has been silent for so
   long that its endpoints are withdrawn, if another source has something to mirror.
4. A name that is free goes to the first source in configured order that has something to mirror. A
   silent source comes after the others, here and in rule 3. Nobody waits for a source that has not
   been listed: if it comes first in the order and is listed soon, it is given what was given away
   meanwhile, in place, so that the order decides between sources that start together.
5. A mirror that nobody exports is deleted if its source is configured and has told its whole list;
   the mirror of a source that is no longer configured is kept as an orphan, unless told to prune.
   But not while another source is still expected to tell its first list: it may export the name,
   and the ClusterIP would be lost. And not while the deletion is held, because the source's list
   lacks most of what it had. So it is with what is behind a mirror.

What the policy refuses, or what is said of the source, counts as not exported: Refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from ..reasons import Code
from .addresses import NOTHING, Reserved
from .admission import refused_external_name, refused_ports
from .freshness import Freshness
from .policy import DEFAULT, Policy
from .selection import refused_namespace
from .slices import source_slices
from .states import HostState, SourceState, State, Status

#: The lists of Services and of what is behind them come one after the other, and it is one story.
_HELD = Status(
    State.HELD,
    Code.HELD,
    "its source no longer lists it, or what is behind it, nor most of its mirrors: the deletion is"
    " held",
)


class Course(Enum):
    """What is to happen to the name in the host."""

    LEAVE = "leave"
    MIRROR = "mirror"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    :ivar rule: why, a sentence for people.
    :ivar owner: the source to mirror, where the course is MIRROR.
    :ivar statuses: the status by the name of the source.
    :ivar freshness: where the course is LEAVE, that of the source whose mirror it is.
    :ivar former: the source from which the name is taken over, ``""`` where it is not.
    :ivar contested: whether a source that comes before may still want the name.
    """

    course: Course
    rule: str
    owner: SourceState | None = None
    statuses: dict[str, Status] = field(default_factory=dict)
    freshness: Freshness = Freshness.FRESH
    former: str = ""
    contested: bool = False


def refusal(
    source: SourceState, policy: Policy, namespace: str, reserved: Reserved = NOTHING
) -> Status | None:
    """Why the Service is not mirrored into the namespace by what the operator says; None if it is.

    A namespace that is not mirrored is an ordinary choice, of which people need not hear.
    """
    if source.service is None:
        return None
    admission = source.admission
    allowed = (*policy.namespaces, *admission.namespaces)
    denied = (*policy.denied_namespaces, *admission.denied_namespaces)
    if why := refused_namespace(source.service.namespace, namespace, allowed, denied):
        return Status(State.REFUSED, Code.NAMESPACE_REFUSED, why)
    code, why = _refused_content(source, policy, reserved)
    return Status(State.REFUSED, code, why, noteworthy=True) if why else None


def _refused_content(source: SourceState, policy: Policy, reserved: Reserved) -> tuple[Code, str]:
    """Why, ``""`` if it is not refused."""
    assert source.service is not None
    admission = source.admission
    if source.is_external:
        own = admission.external_names
        if not (policy.external_names if own is None else own):
            return Code.EXTERNAL_NAME_REFUSED, "it is an ExternalName, and those are not mirrored"
        document = source.service.document()
        if why := refused_external_name(document, admission.addresses, reserved):
            return Code.ADDRESS_REFUSED, why
    if not admission.denied_ports:
        return Code.PORT_REFUSED, ""
    slices = [] if source.is_external else source_slices(source)
    why = refused_ports(source.service.document(), slices, admission.denied_ports)
    return Code.PORT_REFUSED, why


def judge(
    sources: Sequence[SourceState],
    host: HostState,
    policy: Policy = DEFAULT,
    *,
    namespace: str = "",
    contested: bool = False,
) -> Verdict:
    """Apply the rules.

    :param sources: in configured order, one state for each.
    :param namespace: of the name in the host.
    :param contested: whether the name was given away before all sources were listed.
    """
    refused: dict[str, Status] = {}
    exporting: list[SourceState] = []
    for source in sources:
        if not source.exports:
            continue
        if status := refusal(source, policy, namespace, host.reserved):
            refused[source.name] = status
        else:
            exporting.append(source)
    verdict = _judge(sources, exporting, host, policy, contested)
    verdict.statuses.update((n, s) for n, s in refused.items() if n not in verdict.statuses)
    return verdict


def _judge(
    sources: Sequence[SourceState],
    exporting: list[SourceState],
    host: HostState,
    policy: Policy,
    contested: bool,
) -> Verdict:
    for kind, record, code in (
        ("Service", host.service, Code.NAME_TAKEN),
        ("Endpoints", host.endpoints, Code.ENDPOINTS_TAKEN),
    ):
        if record is not None and record.source is None:
            reason = f"{kind} {record.key} exists and was not created by service-reflector"
            conflict = Status(State.CONFLICT, code, reason)
            return Verdict(Course.LEAVE, reason, statuses={s.name: conflict for s in exporting})
    if host.held is None:
        return _new(sources, exporting)
    former = host.held.source or ""
    if contested:
        keeper = _keeper(sources, exporting, former)
        complete = [s for s in exporting if s.complete or s is keeper]
        if keeper in complete and complete[0] is not keeper:
            return _given(sources, exporting, complete[0])
    return _held(sources, exporting, former, policy, host.backed)


def _new(sources: Sequence[SourceState], exporting: list[SourceState]) -> Verdict:
    owner = _first(source for source in exporting if source.complete)
    if owner is not None:
        return _given(sources, exporting, owner)
    pending = Status(State.PENDING, Code.NO_ENDPOINTS, "the source has no Endpoints for it yet")
    rule = "no source has something to mirror yet" if exporting else "no source exports it"
    return Verdict(Course.LEAVE, rule, statuses={source.name: pending for source in exporting})


def _given(
    sources: Sequence[SourceState], exporting: list[SourceState], owner: SourceState
) -> Verdict:
    """The name is, or was a moment ago, free."""
    rule = f"the name was free, and {owner.name!r} is the first that has something to mirror"
    before = sources[: sources.index(owner)]
    contested = any(source.awaited for source in before)
    return replace(_mirror(owner, exporting, rule), contested=contested, former="")


def _held(
    sources: Sequence[SourceState],
    exporting: list[SourceState],
    former: str,
    policy: Policy,
    backed: bool,
) -> Verdict:
    """The name has a mirror, of the source that is called ``former`` there."""
    keeper = _keeper(sources, exporting, former)
    if keeper is not None and (keeper in exporting or not keeper.told):
        if keeper.freshness is Freshness.REMOVED:
            usable = (s for s in exporting if s.complete and s.freshness is not Freshness.REMOVED)
            if (successor := _first(usable)) is not None:
                rule = f"{keeper.name!r} has fallen silent, and {successor.name!r} exports it too"
                return _mirror(successor, exporting, rule, former)
        if keeper in exporting and keeper.held and backed and not keeper.complete:
            rule = f"{keeper.name!r} has nothing behind it any more, but the deletion is held"
            statuses = {**_standby(exporting, keeper.name), keeper.name: _HELD}
            return Verdict(Course.LEAVE, rule, None, statuses, keeper.freshness)
        if keeper in exporting:
            return _mirror(keeper, exporting, f"it is the mirror of {keeper.name!r}", former)
        code, why = Code.NOT_LISTED, "has not been listed yet"
        if keeper.synced:
            code, why = Code.OBJECT_REJECTED, "tells of it what is rejected"
        rule = f"{keeper.name!r}, whose mirror it is, {why}"
        statuses = _standby(exporting, keeper.name)
        statuses[keeper.name] = _status(keeper.freshness, code, f"kept: {rule}")
        return Verdict(Course.LEAVE, rule, None, statuses, keeper.freshness)
    gone = f"{former!r}, whose mirror it was, no longer exports it"
    if keeper is None:
        gone = f"{former!r}, whose mirror it was, is not configured"
    complete = [source for source in exporting if source.complete]
    if (successor := _first(complete or exporting)) is not None:
        return _mirror(successor, exporting, f"{gone}, and {successor.name!r} exports it", former)
    if keeper is None and not policy.deletes_orphans_of(former):
        why = f"source {former!r} is not configured"
        orphaned = {former: Status(State.ORPHANED, Code.ORPHANED, why)}
        return Verdict(Course.LEAVE, gone, statuses=orphaned)
    if any(source.awaited for source in sources):
        kept = Status(State.MIRRORED, Code.NOT_LISTED, "kept until all sources have been listed")
        rule = f"{gone}, but not all sources have been listed"
        return Verdict(Course.LEAVE, rule, statuses={former: kept})
    if keeper is not None and keeper.held:
        statuses = {keeper.name: _HELD}
        return Verdict(Course.LEAVE, f"{gone}, but the deletion is held", statuses=statuses)
    return Verdict(Course.DELETE, gone)


def _keeper(
    sources: Sequence[SourceState], exporting: list[SourceState], former: str
) -> SourceState | None:
    """Whose mirror it is; of several with the URL that it names, the first that can tell."""
    named = [source for source in sources if source.name == former]
    named = named or [source for source in sources if source.answers_to(former)]
    able = [source for source in named if source in exporting]
    unsure = [source for source in named if not source.told]
    return next(iter([*able, *unsure, *named]), None)


def _first(sources: Iterable[SourceState]) -> SourceState | None:
    """The first in configured order, those that are silent after the others."""
    ranks = list(Freshness)
    return min(sources, key=lambda source: ranks.index(source.freshness), default=None)


def _mirror(
    owner: SourceState, exporting: Sequence[SourceState], rule: str, former: str = ""
) -> Verdict:
    statuses = _standby(exporting, owner.name)
    rivalry = _rivalry(owner)
    code = Code.NAME_SHARED if rivalry else Code.MIRRORED
    statuses[owner.name] = _status(owner.freshness, code, rivalry)
    taken = "" if owner.answers_to(former) else former
    return Verdict(Course.MIRROR, rule, owner, statuses, former=taken)


def _status(freshness: Freshness, code: Code, fresh: str) -> Status:
    """
    :param code: of the reason where the source is not silent.
    :param fresh: that reason.
    """
    match freshness:
        case Freshness.FRESH:
            return Status(State.MIRRORED, code, fresh)
        case Freshness.STALE:
            why = "its source is silent: its endpoints count as not ready"
            return Status(State.STALE, Code.STALE, why)
        case Freshness.REMOVED:
            why = "its source is silent: its endpoints are withdrawn"
            return Status(State.WITHDRAWN, Code.WITHDRAWN, why)


def _rivalry(owner: SourceState) -> str:
    if not owner.rivals:
        return ""
    return f"{', '.join(owner.rivals[:3])} of the same source would have the same name"


def _standby(exporting: Sequence[SourceState], owner: str) -> dict[str, Status]:
    standby = Status(State.STANDBY, Code.STANDBY, f"source {owner!r} owns the name")
    return {source.name: standby for source in exporting}
