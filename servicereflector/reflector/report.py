"""What an operator asks: how sources are, what has become of every name, and why. Plain JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..kube.objects import Json
from ..kube.subsets import flatten
from ..kube.text import shown
from ..listwatch.informer import Informer
from ..mirror.freshness import Freshness
from ..mirror.plan import describe
from ..mirror.states import HostState, SourceState, Status
from ..reasons import Code
from .controller import Controller
from .follower import SourceFollower

#: Addresses of one mirror that are told beside their number.
MOST_ADDRESSES = 10

_SILENT = {
    Freshness.STALE: (
        "Stale",
        Code.STALE,
        "silent for {:.0f} s: endpoints of its mirrors count as not ready",
    ),
    Freshness.REMOVED: (
        "Removed",
        Code.WITHDRAWN,
        "silent for {:.0f} s: endpoints of its mirrors are withdrawn",
    ),
}


#: In the place of what the operator alone should read.
CONFIDENTIAL = "what is configured for it cannot be used: service-reflector status tells why"


def report_sources(
    controller: Controller,
    followers: dict[str, SourceFollower],
    now: float,
    *,
    public: bool = False,
) -> list[Json]:
    """The sources in configured order, and then those that only mirrors name.

    :param followers: by the name of the source.
    :param now: the reactor's seconds.
    :param public: whether others than the operator read it.
    """
    counts: dict[str, dict[str, int]] = {name: {} for name in controller.sources}
    for (name, state), count in controller.statuses.states.items():
        counts.setdefault(name, {})[state.value] = count
    found = []
    for name, states in counts.items():
        told: Json = {"name": name, "location": "", "state": "Gone", "reason": "not configured"}
        told["code"] = Code.ORPHANED.value
        if (follower := followers.get(name)) is not None:
            told |= _report_source(controller, follower, now, public)
            waiting, lag = controller.waiting(name)
            told |= {"waiting": waiting, "lag_seconds": round(lag, 3)}
        found.append({**told, "mirrors": dict(sorted(states.items()))})
    return found


def _report_source(
    controller: Controller, follower: SourceFollower, now: float, public: bool
) -> Json:
    source, breaker = follower.source, controller.fleet.breaker
    failing = next((i for i in follower.informers if i.stats.trouble), None)
    reason = _trouble(failing, public) if failing else ""
    code = failing.stats.code.value if failing else "" if source.synced else Code.NOT_LISTED.value
    state = "Failing" if reason else "Synced" if source.synced else "Connecting"
    if source.freshness is not Freshness.FRESH:
        state, silent, told = _SILENT[source.freshness]
        code = silent.value
        reason = "; ".join(filter(None, [told.format(follower.silence.silent()), reason]))
    held = breaker.count(source.name)
    until = breaker.until(source.name)
    if held:
        held_told = f"the deletion of {held} mirrors is held: its last list lacks most of them"
        reason = "; ".join(filter(None, [held_told, reason]))
        code = Code.HELD.value
    rejected = sum(len(i.rejections) for i in follower.informers)
    if rejected:
        firsts = (f"{i.store.resource.plural}: {i.rejections.first}" for i in follower.informers)
        first = next((told for told in firsts if not told.endswith(": ")), "")
        reason = "; ".join(filter(None, [reason, f"{rejected} rejected, such as {shown(first)}"]))
        code = code or Code.OBJECT_REJECTED.value
    heard = [i.stats.heard_at for i in follower.informers if i.stats.heard_at is not None]
    return {
        "location": follower.settings.url,
        "state": state,
        "code": code,
        "reason": reason,
        "services": len(source.services),
        "objects": {i.store.resource.plural: len(i.store) for i in follower.informers},
        "rejected": rejected,
        "heard_seconds_ago": round(now - min(heard), 3) if heard else None,
        "held": held,
        "held_until_seconds": None if until is None else round(max(0.0, until - now), 1),
    }


def _trouble(informer: Informer, public: bool) -> str:
    stats = informer.stats
    told = CONFIDENTIAL if public and stats.confidential else stats.trouble
    return f"{informer.store.resource.plural}: {told}"


def report_mirrors(controller: Controller) -> list[Json]:
    """Every name that a source exports or that a mirror has."""
    return [
        report_mirror(controller, key, name, status)
        for key, statuses in sorted(controller.statuses.items())
        for name, status in sorted(statuses.items())
    ]


def report_mirror(controller: Controller, key: str, name: str, status: Status) -> Json:
    """What has become of a name of one source."""
    return {
        "key": key,
        "source": name,
        "source_key": _source_key(controller, name, key),
        "state": status.state.value,
        "code": status.code.value,
        "reason": status.reason,
        "refused_addresses": status.refused,
    }


def report_mirror_closely(
    controller: Controller, key: str, name: str, status: Status, now: float
) -> Json:
    """The same with what the host has: it is parsed for that.

    :param now: in seconds since 1970.
    """
    host = controller.host.state(key)
    owner = _owner(controller, host)
    addresses = _addresses(host) if owner == name else []
    changed = next((when for when, _ in reversed(controller.journal.changes(key))), None)
    return {
        **report_mirror(controller, key, name, status),
        "owner": owner,
        "addresses": addresses[:MOST_ADDRESSES],
        "address_count": len(addresses),
        "changed_seconds_ago": None if changed is None else round(max(0.0, now - changed), 3),
    }


def _owner(controller: Controller, host: HostState) -> str:
    """The source whose mirror the host has, ``""`` where it has none."""
    named = host.held.source if host.held is not None else None
    if not named:
        return ""
    owners = (source.name for source in controller.fleet.sources if source.answers_to(named))
    return next(owners, named)


def _addresses(host: HostState) -> list[str]:
    """Of all endpoints, those that are not ready included, each once."""
    found: dict[str, None] = {}
    if host.own_slices:
        for record in host.own_slices:
            for endpoint in record.document().get("endpoints") or ():
                found.update(dict.fromkeys(endpoint.get("addresses") or ()))
    elif host.endpoints is not None:
        flat = flatten(host.endpoints.document().get("subsets"))
        found.update(dict.fromkeys(sorted(address.ip for address, _ in flat)))
    return list(found)


def _source_key(controller: Controller, name: str, key: str) -> str:
    source = controller.fleet.named(name)
    claims = source.claims(key) if source is not None else []
    held = controller.host.held(key)
    if held is not None and held.origin in claims:
        return held.origin
    return claims[0] if claims else key


def explain(controller: Controller, key: str, time: Callable[[float], str]) -> dict[str, Any]:
    """All that is known of one name.

    :param key: what it is called in the host or, where that is not known, in a source.
    :param time: writes seconds since 1970.
    """
    states = controller.states(key)
    host = controller.host.state(key)
    if host.held is None and not any(state.service for state in states):
        key = _host_key(controller, key)
        states, host = controller.states(key), controller.host.state(key)
    features = controller.features()
    plan = controller.plan(key, features) if features is not None else None
    statuses = controller.statuses.get(key, {})
    return {
        "key": key,
        "verdict": plan.rule if plan is not None else "the host has not been listed yet",
        "owner": (plan.owner or None) if plan is not None else None,
        "host": _explain_host(host),
        "claims": [
            {
                "source": state.name,
                "source_key": claim,
                "synced": state.synced,
                "state": statuses[state.name].state.value if state.name in statuses else "",
                "code": statuses[state.name].code.value if state.name in statuses else "",
                "reason": statuses[state.name].reason if state.name in statuses else "",
            }
            for state in states
            for claim in _claims(state)
        ],
        "next": [describe(action) for action in plan.actions] if plan is not None else [],
        "changes": [
            {"time": time(when), "what": what} for when, what in controller.journal.changes(key)
        ],
        "delays": [round(delay, 6) for delay in controller.journal.delays(key)],
    }


def _claims(state: SourceState) -> list[str]:
    return [state.service.key, *state.rivals] if state.service is not None else []


def _host_key(controller: Controller, key: str) -> str:
    """What the first source that has a Service of this key has it called in the host."""
    named = (s.host_key(key) for s in controller.fleet.sources if s.services.get(key))
    return next(named, key)


def _explain_host(host: HostState) -> Json:
    told: Json = {"namespace": host.namespace is not None, "service": "absent"}
    if host.service is not None:
        told["service"] = "foreign" if host.service.source is None else "mirror"
        told["cluster_ip"] = (host.service.document().get("spec") or {}).get("clusterIP") or ""
    if (held := host.held) is not None and held.source is not None:
        told |= {"source": held.source, "source_key": held.origin or held.key}
    return told
