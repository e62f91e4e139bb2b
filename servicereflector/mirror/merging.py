"""The desired object laid over the actual one: ours is set, what others added stays."""

from __future__ import annotations

import orjson

from ..kube.annotations import COPIED
from ..kube.objects import Json
from ..kube.subsets import flatten

#: Fields of a Service's spec that follow the source: absent there, they are removed here.
_FOLLOWED = (
    "externalName",
    "publishNotReadyAddresses",
    "sessionAffinityConfig",
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
    return {**actual, "metadata": _merge_metadata(actual, desired), "spec": {**spec, **wanted}}


def merge_endpoints(actual: Json, desired: Json) -> Json:
    """``actual`` with ``desired`` laid over it; equal to ``actual`` if there is nothing to do."""
    merged = {**actual, "metadata": _merge_metadata(actual, desired)}
    if flatten(actual.get("subsets")) != flatten(desired.get("subsets")):
        merged["subsets"] = desired.get("subsets", [])
    return merged


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
    former = {"annotations": [COPIED]}
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
