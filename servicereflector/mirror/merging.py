"""The desired object laid over the actual one: ours is set, what others added stays."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from ..kube.annotations import COPIED, ORIGIN
from ..kube.objects import Json
from ..kube.slices import HEADLESS, OVER_CAPACITY, SKIP_MIRROR
from ..kube.subsets import flatten

#: Fields of a Service's spec that follow the source: absent there, they are removed here.
_FOLLOWED = (
    "externalName",
    "publishNotReadyAddresses",
    "trafficDistribution",
)

#: Fields that a mirror never has. A selector would make the host's controllers write the Endpoints;
#: the others belong to the types that a mirror never is, and the API refuses them without these.
_NEVER = (
    "allocateLoadBalancerNodePorts",
    "externalTrafficPolicy",
    "healthCheckNodePort",
    "loadBalancerClass",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "selector",
)

#: What an ExternalName has no use for; the API refuses some of it.
_ADDRESSED = ("clusterIP", "clusterIPs", "internalTrafficPolicy", "ipFamilies", "ipFamilyPolicy")


def merge_service(actual: Json, desired: Json) -> Json:
    """``actual`` with ``desired`` laid over it; equal to ``actual`` if there is nothing to do."""
    spec = {name: value for name, value in actual["spec"].items() if name not in _NEVER}
    wanted = desired["spec"]
    for name in _FOLLOWED:
        if name not in wanted:
            spec.pop(name, None)
    if wanted["type"] == "ExternalName":
        for name in _ADDRESSED:
            spec.pop(name, None)
    if "ports" not in wanted:
        spec.pop("ports", None)
    if wanted["sessionAffinity"] == "None":
        # Otherwise the API server completes it.
        spec.pop("sessionAffinityConfig", None)
    merged = {**spec, **wanted}
    if held := spec.get("ipFamilies"):
        single = wanted.get("ipFamilyPolicy") == "SingleStack"
        merged["ipFamilies"] = _merge_families(held, wanted.get("ipFamilies") or (), single)
        if len(spec.get("clusterIPs") or ()) > len(merged["ipFamilies"]):
            merged["clusterIPs"] = spec["clusterIPs"][:1]
    return {**actual, "metadata": _merge_metadata(actual, desired), "spec": merged}


def _merge_families(held: list[str], wanted: Sequence[str], single: bool) -> list[str]:
    """The first family of a Service never changes; the API server adds a second by itself."""
    if single:
        return held[:1]
    return [*held[:1], *(one for one in wanted if one != held[0])] if len(wanted) > 1 else held


def merge_endpoints(actual: Json, desired: Json) -> Json:
    """``actual`` with ``desired`` laid over it; equal to ``actual`` if there is nothing to do."""
    merged = {**actual, "metadata": _merge_metadata(actual, desired)}
    if flatten(actual.get("subsets")) != flatten(desired.get("subsets")):
        merged["subsets"] = desired.get("subsets", [])
    for member, key in (("annotations", OVER_CAPACITY), ("labels", SKIP_MIRROR)):
        if key not in desired["metadata"][member]:
            merged["metadata"][member].pop(key, None)
    return merged


def merge_slice(actual: Json, desired: Json) -> Json:
    """``actual`` with ``desired`` laid over it; equal to ``actual`` if there is nothing to do."""
    merged = {**actual, "metadata": _merge_metadata(actual, desired)}
    if HEADLESS not in desired["metadata"]["labels"]:
        merged["metadata"]["labels"].pop(HEADLESS, None)
    for member, default in (("endpoints", {}), ("ports", {"name": "", "protocol": "TCP"})):
        if not _same(actual.get(member), desired[member], default):
            merged[member] = desired[member]
    return merged


def _same(some: object, others: object, default: Json) -> bool:
    """Whether two lists hold the same, in any order, once the API server has completed them."""
    if some == others:
        return True
    return _canonical(some, default) == _canonical(others, default)


def _canonical(listed: object, default: Json) -> list[bytes]:
    found = listed if isinstance(listed, list) else []
    return sorted(
        orjson.dumps(default | _told(one), option=orjson.OPT_SORT_KEYS)
        for one in found
        if isinstance(one, dict)
    )


def _told(document: Json) -> Json:
    """Without what is null or empty, which says no more than what is absent."""
    told = {k: _told(v) if isinstance(v, dict) else v for k, v in document.items()}
    return {k: v for k, v in told.items() if v not in (None, {}, "")}


def _merge_metadata(actual: Json, desired: Json) -> Json:
    metadata = dict(actual["metadata"])
    former = _formerly_copied(metadata)
    for member in ("labels", "annotations"):
        kept = metadata.get(member) or {}
        metadata[member] = {
            **{key: text for key, text in kept.items() if key not in former.get(member, ())},
            **desired["metadata"][member],
        }
    return metadata


def _formerly_copied(metadata: Json) -> dict[str, list[str]]:
    """The keys that an earlier write copied; the mirrors of the Go program do not tell."""
    former = {"annotations": [COPIED, ORIGIN]}
    try:
        told = orjson.loads((metadata.get("annotations") or {}).get(COPIED, "{}"))
    except orjson.JSONDecodeError:
        return former
    if not isinstance(told, dict):
        return former
    for member in ("labels", "annotations"):
        keys = told.get(member)
        if isinstance(keys, list):
            former[member] = former.get(member, []) + [k for k in keys if isinstance(k, str)]
    return former
