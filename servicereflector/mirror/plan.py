"""What to do so that the host has what it should have under one name.

A plan is made from the difference between desired and actual state, never from an event; so a
second plan after a carried-out one is empty, and a lost or repeated event costs nothing. Every
write carries a precondition: whoever changed the object meanwhile wins, and we look again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..kube.objects import Json, Record
from ..kube.resources import ENDPOINTS, ENDPOINTSLICES, NAMESPACES, SERVICES, Resource
from .copying import (
    is_external,
    is_headless,
    left_out,
    mirror_endpoints,
    mirror_namespace,
    mirror_service,
)
from .features import Features
from .merging import merge_endpoints, merge_service
from .ownership import Course, HostState, SourceState, State, Status, judge
from .policy import DEFAULT, EndpointsApi, Policy
from .slices import families_of, mirror_slices, source_slices, transition


@dataclass(frozen=True, slots=True)
class Create:
    resource: Resource
    document: Json


@dataclass(frozen=True, slots=True)
class Update:
    """Replace the object; ``document`` carries the uid and resourceVersion that were looked at."""

    resource: Resource
    document: Json


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete the object if it is still this one, in this version.

    :ivar why: where it is not simply desired no longer.
    :ivar cluster_ip: what the Service that comes in its place is to ask for, ``""`` for nothing.
    """

    resource: Resource
    namespace: str
    name: str
    uid: str
    version: int
    why: str = ""
    cluster_ip: str = ""


Action = Create | Update | Delete


@dataclass(frozen=True, slots=True)
class Plan:
    """
    :ivar actions: to be carried out in order; the first that fails ends the plan.
    :ivar statuses: the status by the name of the source, once they are carried out.
    """

    actions: tuple[Action, ...]
    statuses: dict[str, Status]


def make_plan(
    namespace: str,
    sources: Sequence[SourceState],
    host: HostState,
    features: Features,
    policy: Policy = DEFAULT,
    *,
    recreate: bool = False,
    cluster_ip: str = "",
) -> Plan:
    """The plan for one name.

    :param sources: in configured order.
    :param recreate: whether the API has refused to change the Service in place.
    :param cluster_ip: what the Service had before it was deleted for that.
    """
    verdict = judge(sources, host, policy)
    if verdict.course is Course.DELETE:
        return Plan(_delete(host), verdict.statuses)
    owner = verdict.owner
    if verdict.course is Course.LEAVE or owner is None or owner.service is None:
        return Plan(_withdrawn(host), verdict.statuses)
    if host.namespace is not None and _is_terminating(host.namespace):
        waiting = Status(State.PENDING, f"namespace {namespace!r} is being deleted")
        return Plan((), {**verdict.statuses, owner.name: waiting})
    actions: list[Action] = []
    if host.namespace is None:
        actions.append(Create(NAMESPACES, mirror_namespace(namespace)))
    service = owner.service.document()
    desired = mirror_service(service, owner.name, features)
    if cluster_ip and host.service is None and _has_address(desired["spec"]):
        desired["spec"]["clusterIP"] = cluster_ip
    actions += _service_actions(host, desired, recreate=recreate)
    notes = left_out(service, features) if features.refused else []
    notes += _family_notes(host, desired)
    if not any(isinstance(action, Delete) for action in actions):
        behind, taken = _behind(owner, service, host, desired, features, policy)
        actions += behind
        notes += taken
    mirrored = Status(State.MIRRORED, "; ".join(notes))
    return Plan(tuple(actions), {**verdict.statuses, owner.name: mirrored})


def _delete(host: HostState) -> tuple[Action, ...]:
    # The API server deletes a Service's Endpoints with it; ones without a Service go alone.
    found = [_delete_of(ENDPOINTSLICES, record) for record in host.own_slices]
    if host.service is not None:
        return (_delete_of(SERVICES, host.service), *found)
    return (*([_delete_of(ENDPOINTS, host.endpoints)] if host.endpoints else ()), *found)


def _withdrawn(host: HostState) -> tuple[Action, ...]:
    """A Service that somebody put in the mirror's place would be given our slices' addresses."""
    if host.service is None or host.service.source is not None:
        return ()
    return tuple(_delete_of(ENDPOINTSLICES, record) for record in host.own_slices)


def _delete_of(resource: Resource, record: Record, why: str = "") -> Delete:
    return Delete(resource, record.namespace, record.name, record.uid, record.version, why)


def _is_terminating(namespace: Record) -> bool:
    return "deletionTimestamp" in namespace.document()["metadata"]


def _has_address(spec: Json) -> bool:
    return not is_headless(spec) and not is_external(spec)


def _service_actions(host: HostState, desired: Json, *, recreate: bool) -> list[Action]:
    if host.service is None:
        return [Create(SERVICES, desired)]
    actual = host.service.document()
    before, after = actual["spec"], desired["spec"]
    if is_headless(before) != is_headless(after) and not (
        is_external(before) or is_external(after)
    ):
        # The next plan creates the Service anew.
        becomes = "headless" if is_headless(after) else "one with a cluster IP"
        why = f"it becomes {becomes}, and the API lets no clusterIP come or go"
        return [_delete_of(SERVICES, host.service, why)]
    merged = merge_service(actual, desired)
    if merged == actual:
        return []
    if recreate:
        why = "the API refuses to change it in place"
        kept = before.get("clusterIP", "") if _has_address(before) and _has_address(after) else ""
        return [replace(_delete_of(SERVICES, host.service, why), cluster_ip=kept)]
    return [Update(SERVICES, merged)]


def _family_notes(host: HostState, desired: Json) -> list[str]:
    """Families that an existing mirror cannot follow."""
    held = host.service.document()["spec"].get("ipFamilies") if host.service is not None else None
    wanted = desired["spec"].get("ipFamilies")
    if not held or not wanted or held[0] == wanted[0]:
        return []
    return [f"spec.ipFamilies begins with {held[0]}, not {wanted[0]}: the first cannot change"]


def _behind(
    owner: SourceState,
    service: Json,
    host: HostState,
    desired: Json,
    features: Features,
    policy: Policy,
) -> tuple[list[Action], list[str]]:
    """What to do to the Endpoints and the slices; and what stands in the way."""
    actual = host.service.document() if host.service is not None else None
    families = families_of(actual, desired, features)
    slices = source_slices(owner)
    with_slices = features.endpoint_slices and policy.endpoints_api is not EndpointsApi.ENDPOINTS
    wanted: dict[str, Json] = {}
    if with_slices:
        wanted = mirror_slices(service, slices, owner.name, families, features, policy)
    own = {record.name: record for record in host.own_slices}
    foreign = sorted(wanted.keys() & {r.name for r in host.slices if r.name not in own})
    steps = transition(
        {name: record.document() for name, record in own.items()},
        {name: document for name, document in wanted.items() if name not in foreign},
    )
    endpoints = None
    if not with_slices or policy.endpoints_api is EndpointsApi.BOTH:
        endpoints = mirror_endpoints(
            service,
            owner.endpoints.document() if owner.endpoints is not None else None,
            owner.name,
            slices,
            family=families[0] if families else "",
            beside_slices=with_slices,
        )
    actions: list[Action] = [Create(ENDPOINTSLICES, document) for document in steps.creates]
    actions += [Update(ENDPOINTSLICES, document) for document in steps.updates]
    actions += _endpoints_actions(host, endpoints)
    actions += [_delete_of(ENDPOINTSLICES, own[name]) for name in steps.deletes]
    return actions, [
        f"EndpointSlice {name} exists and was not created by service-reflector" for name in foreign
    ]


def _endpoints_actions(host: HostState, desired: Json | None) -> list[Action]:
    if host.endpoints is None:
        return [] if desired is None else [Create(ENDPOINTS, desired)]
    if desired is None:
        return [_delete_of(ENDPOINTS, host.endpoints)]
    actual = host.endpoints.document()
    merged = merge_endpoints(actual, desired)
    return [] if merged == actual else [Update(ENDPOINTS, merged)]
