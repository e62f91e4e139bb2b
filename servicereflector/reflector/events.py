"""Kubernetes Events: telling of a conflict where people look for it."""

from __future__ import annotations

from ..kube.objects import Json, Record
from ..kube.resources import Resource

COMPONENT = "service-reflector"


def conflict_event(
    resource: Resource, involved: Record, source: str, reason: str, now: str, unique: str
) -> Json:
    """The Event that stands beside the object in the way.

    :param resource: of the object.
    :param now: the time as RFC 3339 writes it.
    :param unique: a suffix that no other Event of the object has.
    """
    return {
        "metadata": {"name": f"{involved.name}.{unique}", "namespace": involved.namespace},
        "involvedObject": {
            "kind": resource.kind,
            "apiVersion": resource.api_version,
            "namespace": involved.namespace,
            "name": involved.name,
            "uid": involved.uid,
        },
        "reason": "Conflict",
        "message": f"not mirrored from source {source!r}: {reason}",
        "type": "Warning",
        "source": {"component": COMPONENT},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
