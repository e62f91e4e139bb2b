"""What the objects of the host and of the sources tell: names and addresses that two have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from ..kube.objects import Record
from ..kube.subsets import flatten
from ..mirror.plan import Plan
from ..mirror.states import State
from .findings import Finding, Found, count_of, ok, warn

#: How many of a kind are named; the others are counted.
MOST = 10

#: By address, the key of the Service behind which it is.
Addresses = Mapping[str, str]


def addresses_of(endpoints: Sequence[Record]) -> dict[str, str]:
    """All addresses of Endpoints."""
    return {
        address.ip: record.key
        for record in endpoints
        for address, _ in flatten(record.document().get("subsets"))
    }


def judge_names(plans: Mapping[str, Plan]) -> Iterator[Finding]:
    """
    :param plans: by name in the host.
    """
    conflicts, shared = [], []
    for key, plan in plans.items():
        states = {name: status.state for name, status in plan.statuses.items()}
        for name, status in plan.statuses.items():
            if status.state is State.CONFLICT:
                conflicts.append(f"{key} of {name}: {status.reason}")
            if status.state is State.STANDBY:
                owner = next((n for n, s in states.items() if s is State.MIRRORED), plan.owner)
                shared.append(f"{key} of {name} (mirrored of {owner})")
    if conflicts:
        yield warn(
            "host",
            Found.NAME_TAKEN,
            f"{count_of(len(conflicts), 'Service')} cannot be mirrored: {_some(conflicts)}",
            "rename one of the two, or choose with --reflector.selector, --reflector.namespaces"
            " or --reflector.name-template",
        )
    if shared:
        yield warn(
            "host",
            Found.NAME_SHARED,
            f"{count_of(len(shared), 'Service')} exported by two sources: {_some(shared)}",
            "the first that is mirrored keeps the name; --reflector.name-template and"
            " --reflector.source-selector tell them apart",
        )
    if not conflicts and not shared:
        yield ok(
            "host",
            Found.NO_CONFLICTS,
            f"{count_of(len(plans), 'name')}, each wanted by one Service",
        )


def judge_refused(source: str, plans: Mapping[str, Plan]) -> Iterator[Finding]:
    """Addresses of a source that may not be mirrored, such as those of the host itself."""
    refused = {
        key: status
        for key, plan in plans.items()
        if (status := plan.statuses.get(source)) is not None
        and (status.refused or status.state is State.REFUSED)
    }
    if refused:
        told = [f"{key}: {status.reason}" for key, status in refused.items()]
        yield warn(
            source,
            Found.ADDRESS_REFUSED,
            f"{count_of(len(refused), 'Service')} with addresses or ports that are not mirrored:"
            f" {_some(told)}",
            "where its networks overlap with the host's, translate them with --reflector.map-cidr;"
            " --reflector.allow-cidr and --reflector.deny-ports say what it may have",
        )


def judge_overlaps(clusters: Mapping[str, Addresses]) -> Iterator[Finding]:
    """Addresses that two clusters have for Pods of their own.

    :param clusters: by name, ``host`` among them; without what mirrors say.
    """
    found = False
    for (one, its), (other, others) in combinations(clusters.items(), 2):
        same = sorted(its.keys() & others.keys())
        if same:
            found = True
            told = [f"{ip} ({its[ip]} of {one}, {others[ip]} of {other})" for ip in same]
            yield warn(
                other,
                Found.ADDRESSES_OVERLAP,
                f"{count_of(len(same), 'address')} of {one}, too: {_some(told)}",
                "Pod networks must differ, or be translated between the clusters:"
                " --reflector.map-cidr",
            )
    if not found:
        yield ok("host", Found.ADDRESSES_APART, "no address is an endpoint in two clusters")


def judge_reached(source: str, tried: Mapping[str, str]) -> Iterator[Finding]:
    """
    :param tried: by ``address:port``, why there was no connection; ``""`` where there was one.
    """
    failed = [f"{where}: {why}" for where, why in tried.items() if why]
    if failed:
        yield warn(
            source,
            Found.PODS_NOT_REACHED,
            f"{len(failed)} of {len(tried)} endpoints cannot be reached from here: {_some(failed)}",
            "from a Pod it may be different; the Pod networks must be routed to each other",
        )
    elif tried:
        yield ok(
            source,
            Found.PODS_REACHED,
            f"{count_of(len(tried), 'endpoint')} that were tried can be reached",
        )


def _some(told: Sequence[str]) -> str:
    rest = f"; and {len(told) - MOST} more" if len(told) > MOST else ""
    return "; ".join(told[:MOST]) + rest
