"""What is behind a mirror whose source has fallen silent: nothing that traffic should go to.

The Service stays, and with it its ClusterIP. It works on what should be written and, where the
source has told nothing since the program began, on what an earlier process wrote.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..kube.objects import Json
from ..kube.subsets import flatten, list_of, pack
from .freshness import Freshness


def silenced_slices(slices: Mapping[str, Json], freshness: Freshness) -> dict[str, Json]:
    """The slices, by name: not ready where the source is stale, none once it counts as gone."""
    match freshness:
        case Freshness.FRESH:
            return dict(slices)
        case Freshness.STALE:
            return {name: _unready(document) for name, document in slices.items()}
        case Freshness.REMOVED:
            return {}


def _unready(document: Json) -> Json:
    endpoints = [
        {**endpoint, "conditions": _unready_conditions(endpoint.get("conditions"))}
        for endpoint in list_of(document.get("endpoints"))
        if isinstance(endpoint, dict)
    ]
    return {**document, "endpoints": endpoints}


def _unready_conditions(told: object) -> Json:
    conditions = dict(told) if isinstance(told, dict) else {}
    if "serving" in conditions:
        # Proxies send traffic to what is serving and terminating, where nothing is ready.
        conditions["serving"] = False
    return {**conditions, "ready": False}


def silenced_endpoints(endpoints: Json, freshness: Freshness) -> Json:
    """The Endpoints, in the same way."""
    if freshness is Freshness.FRESH:
        return endpoints
    silenced = {name: value for name, value in endpoints.items() if name != "subsets"}
    if freshness is Freshness.STALE:
        found = flatten(endpoints.get("subsets"))
        if packed := pack((address._replace(ready=False), port) for address, port in found):
            silenced["subsets"] = packed
    return silenced
