"""The Lease by which replicas agree on a leader, read and written as plain documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..kube.objects import Json


@dataclass(frozen=True, slots=True)
class LeaseSpec:
    """What a Lease says. Two that are equal are the same term, renewed at the same time.

    :ivar holder: the identity of the leader, ``""`` where nobody leads.
    :ivar duration: seconds for which others leave the Lease alone after each change of it.
    :ivar acquire_time: a MicroTime, as is ``renew_time``; for people, nothing goes by them.
    :ivar transitions: how often the Lease has passed to another holder.
    """

    holder: str = ""
    duration: int = 0
    acquire_time: str = ""
    renew_time: str = ""
    transitions: int = 0


def read_spec(lease: Json) -> LeaseSpec:
    """What the document says; what is missing or of another type is as if it were empty."""
    spec = lease.get("spec")
    told: Json = spec if isinstance(spec, dict) else {}
    return LeaseSpec(
        holder=_typed(told.get("holderIdentity"), str, ""),
        duration=_typed(told.get("leaseDurationSeconds"), int, 0),
        acquire_time=_typed(told.get("acquireTime"), str, ""),
        renew_time=_typed(told.get("renewTime"), str, ""),
        transitions=_typed(told.get("leaseTransitions"), int, 0),
    )


def new_lease(namespace: str, name: str, spec: LeaseSpec) -> Json:
    return {"metadata": {"namespace": namespace, "name": name}, "spec": _written(spec)}


def with_spec(lease: Json, spec: LeaseSpec) -> Json:
    """The document with another spec. Its uid and resourceVersion stay, as preconditions: without
    the uid, the update of a Lease that is gone would create one."""
    told = lease.get("spec")
    others = told if isinstance(told, dict) else {}
    return {**lease, "spec": {**others, **_written(spec)}}


def _written(spec: LeaseSpec) -> Json:
    return {
        "holderIdentity": spec.holder,
        "leaseDurationSeconds": spec.duration,
        "acquireTime": spec.acquire_time,
        "renewTime": spec.renew_time,
        "leaseTransitions": spec.transitions,
    }


def _typed(value: object, wanted: type, default: Any) -> Any:
    return value if type(value) is wanted else default
