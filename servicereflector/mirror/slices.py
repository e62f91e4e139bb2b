"""EndpointSlices of a mirror: one for each of the source's, and how to get there without a gap."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import count

from ..kube.annotations import SOURCE
from ..kube.names import label_value_errors
from ..kube.objects import Json
from ..kube.slices import (
    FAMILIES,
    HEADLESS,
    MANAGED_BY,
    MANAGER,
    SERVICE_NAME,
    digest,
    flatten_slices,
    slices_of_endpoints,
)
from ..kube.subsets import is_text, list_of, text_of
from .copying import is_external, is_headless, mirror_metadata
from .features import Features
from .merging import merge_slice
from .policy import Policy
from .states import SourceState

#: Longest name of a slice: what programs make of it may be a label's value.
_LONGEST = 63


def slice_name(service: str, source: str, own: str) -> str:
    """The name of the mirror of a slice: stable, and another for each source and slice.

    :param own: the slice's name in the source.
    """
    told = digest(service, source, own)
    return f"{service[: _LONGEST - len(told) - 1].rstrip('-.')}-{told}"


def source_label(source: str) -> str:
    """The name of the source as a label's value: as it is where it may be one."""
    if source and not label_value_errors(source):
        return source
    cleaned = re.sub(r"[^A-Za-z0-9]+", "-", source).strip("-")
    return f"{cleaned[:50].rstrip('-')}-{digest(source)}".lstrip("-")


def source_slices(owner: SourceState) -> list[Json]:
    """The source's slices; where it has none, what its Endpoints would be as slices."""
    if owner.slices:
        return [record.document() for record in sorted(owner.slices, key=lambda r: r.name)]
    return [] if owner.endpoints is None else slices_of_endpoints(owner.endpoints.document())


def families_of(actual: Json | None, desired: Json, features: Features) -> tuple[str, ...]:
    """The families that the mirror Service has or, before it exists, will have; () if unknown."""
    if actual is None:
        wanted = tuple(desired["spec"].get("ipFamilies") or ())
        return wanted or ((features.family,) if features.family else ())
    spec = actual.get("spec") or {}
    if spec.get("ipFamilies"):
        return tuple(spec["ipFamilies"])
    # Before 1.20 a Service did not tell its family.
    address = text_of(spec.get("clusterIP"))
    if address and not is_headless(spec):
        return ("IPv6",) if ":" in address else ("IPv4",)
    return (features.family,) if features.family else ()


def mirror_slices(
    service: Json,
    slices: Iterable[Json],
    source: str,
    families: Iterable[str],
    features: Features,
    policy: Policy,
) -> dict[str, Json]:
    """The slices that the mirror of ``service`` should have, by name.

    :param families: those of the mirror; none where they are not known. Slices of other families
        are left out; names of hosts are of no family.
    """
    if is_external(service.get("spec") or {}):
        return {}
    known = {*(tuple(families) or FAMILIES), "FQDN"}
    found = {}
    for one in slices:
        if one.get("addressType") in known:
            mirror = _mirror_slice(service, one, source, features, policy)
            found[mirror["metadata"]["name"]] = mirror
    return found


def _mirror_slice(
    service: Json, one: Json, source: str, features: Features, policy: Policy
) -> Json:
    name = service["metadata"]["name"]
    labels = {k: v for k, v in (one["metadata"].get("labels") or {}).items() if k != SERVICE_NAME}
    metadata = mirror_metadata({**one["metadata"], "labels": labels}, source, policy)
    metadata["namespace"] = service["metadata"]["namespace"]
    metadata["name"] = slice_name(name, source, one["metadata"]["name"])
    metadata["labels"] |= {SERVICE_NAME: name, MANAGED_BY: MANAGER, SOURCE: source_label(source)}
    if is_headless(service.get("spec") or {}):
        metadata["labels"][HEADLESS] = ""
    hints = policy.hints and features.hints
    endpoints = (_endpoint(e, features, hints) for e in list_of(one.get("endpoints")))
    return {
        "metadata": metadata,
        "addressType": one["addressType"],
        "endpoints": [endpoint for endpoint in endpoints if endpoint is not None],
        "ports": [_port(p) for p in list_of(one.get("ports")) if isinstance(p, dict)],
    }


def _endpoint(told: object, features: Features, hints: bool) -> Json | None:
    if not isinstance(told, dict):
        return None
    addresses = list(filter(is_text, list_of(told.get("addresses"))))
    if not addresses:
        return None
    endpoint: Json = {"addresses": addresses}
    names = ("ready", "serving", "terminating") if features.serving_conditions else ("ready",)
    if isinstance(conditions := told.get("conditions"), dict):
        kept = {name: v for name in names if isinstance(v := conditions.get(name), bool)}
        if kept:
            endpoint["conditions"] = kept
    for name in ("hostname", "zone"):
        if text_of(told.get(name)):
            endpoint[name] = told[name]
    if hints and isinstance(given := told.get("hints"), dict) and list_of(given.get("forZones")):
        # Never forNodes: the nodes are the source's.
        endpoint["hints"] = {"forZones": given["forZones"]}
    return endpoint


def _port(told: Json) -> Json:
    """As the API server completes it; a port without a number stands for all."""
    port: Json = {"name": text_of(told.get("name"))}
    port["protocol"] = text_of(told.get("protocol")) or "TCP"
    if told.get("port") is not None:
        port["port"] = told["port"]
    if told.get("appProtocol"):
        port["appProtocol"] = told["appProtocol"]
    return port


@dataclass(frozen=True, slots=True)
class Transition:
    """How to come from the host's slices to the desired ones so that no endpoint is missed.

    Creates come first, then updates, then deletes. A slice lets go of an endpoint only after the
    slice that is to hold it has it. Where slices wait for each other in a circle, a bridge holds
    what the first of them lets go; nothing desires it, so a later plan deletes it.

    :ivar deletes: names of slices of the host.
    """

    creates: tuple[Json, ...]
    updates: tuple[Json, ...]
    deletes: tuple[str, ...]


def transition(actual: Mapping[str, Json], desired: Mapping[str, Json]) -> Transition:
    """
    :param actual: the program's own slices in the host, by name.
    :param desired: those that it should have, by name.
    """
    both = sorted(actual.keys() & desired.keys())
    # The API lets no slice change its family: a bridge holds what the next plan creates.
    turned = [n for n in both if actual[n].get("addressType") != desired[n]["addressType"]]
    merged = {n: merge_slice(actual[n], desired[n]) for n in both if n not in turned}
    changed = {name: document for name, document in merged.items() if document != actual[name]}
    updates, kept = _ordered(actual, changed)
    taken = {*actual, *desired}
    bridges = []
    for held in (*(desired[name] for name in turned), *kept):
        bridges.append(_bridge(held, taken))
        taken.add(bridges[-1]["metadata"]["name"])
    creates = [desired[name] for name in sorted(desired.keys() - actual.keys())]
    deletes = sorted({*turned, *(actual.keys() - desired.keys())})
    return Transition((*creates, *bridges), tuple(updates), tuple(deletes))


def _ordered(
    actual: Mapping[str, Json], changed: Mapping[str, Json]
) -> tuple[list[Json], list[Json]]:
    """The updates in an order without a gap, and what bridges have to hold meanwhile."""
    if len(changed) < 2:
        return list(changed.values()), []
    before = {name: _held(actual[name]) for name in changed}
    after = {name: _held(document) for name, document in changed.items()}
    lost = {name: before[name] - after[name] for name in changed}
    coming = Counter(held for name in changed for held in after[name] - before[name])
    updates: list[Json] = []
    bridges: list[Json] = []
    waiting = dict(changed)
    while waiting:
        free = [name for name in waiting if not any(coming[held] for held in lost[name])]
        if not free:
            free = [next(iter(waiting))]
            kept = {held for held in lost[free[0]] if coming[held]}
            bridges.append(_part(actual[free[0]], kept))
        for name in free:
            updates.append(waiting.pop(name))
            coming.subtract(after[name] - before[name])
    return updates, bridges


def _held(document: Json) -> set[tuple[object, ...]]:
    """What others may miss: each endpoint; and its address and port, whatever else changes."""
    endpoints = flatten_slices([document])
    return {*endpoints, *(endpoint[:2] for endpoint in endpoints)}


def _part(document: Json, kept: set[tuple[object, ...]]) -> Json:
    """The slice with those of its endpoints that hold something of this."""
    endpoints = [
        endpoint
        for endpoint in list_of(document.get("endpoints"))
        if _held({**document, "endpoints": [endpoint]}) & kept
    ]
    return {**document, "endpoints": endpoints}


def _bridge(document: Json, taken: Collection[str]) -> Json:
    """A new slice with the content of this one."""
    members = ("namespace", "labels", "annotations")
    metadata = {member: document["metadata"][member] for member in members}
    names = (slice_name(document["metadata"]["name"], "", f"bridge-{n}") for n in count())
    metadata["name"] = next(name for name in names if name not in taken)
    return {**document, "metadata": metadata}
