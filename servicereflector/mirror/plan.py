"""What to do so that the host has what it should have under one name.

A plan is made from the difference between desired and actual state, never from an event; so a
second plan after a carried-out one is empty, and a lost or repeated event costs nothing. Every
write carries a precondition: whoever changed the object meanwhile wins, and we look again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..kube.objects import Json, Record
from ..kube.resources import ENDPOINTS, NAMESPACES, SERVICES, Resource
from .copying import is_external, is_headless, mirror_endpoints, mirror_namespace, mirror_service
from .features import Features
from .merging import merge_endpoints, merge_service
from .ownership import Course, HostState, SourceState, State, Status, judge


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
    """Delete the object if it is still this one, in this version."""

    resource: Resource
    namespace: str
    name: str
    uid: str
    version: int


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
    *,
    prune: bool = False,
) -> Plan:
    """The plan for one name.

    :param sources: in configured order.
    """
    verdict = judge(sources, host, prune=prune)
    if verdict.course is Course.DELETE:
        return Plan(_delete(host), verdict.statuses)
    owner = verdict.owner
    if verdict.course is Course.LEAVE or owner is None or owner.service is None:
        return Plan((), verdict.statuses)
    if host.namespace is not None and _is_terminating(host.namespace):
        waiting = Status(State.PENDING, f"namespace {namespace!r} is being deleted")
        return Plan((), {**verdict.statuses, owner.name: waiting})
    actions: list[Action] = []
    if host.namespace is None:
        actions.append(Create(NAMESPACES, mirror_namespace(namespace)))
    service = owner.service.document()
    endpoints = owner.endpoints.document() if owner.endpoints is not None else None
    actions += _service_actions(host, mirror_service(service, owner.name, features))
    if not any(isinstance(action, Delete) for action in actions):
        actions += _endpoints_actions(host, mirror_endpoints(service, endpoints, owner.name))
    return Plan(tuple(actions), verdict.statuses)


def _delete(host: HostState) -> tuple[Action, ...]:
    # The API server deletes a Service's Endpoints with it; ones without a Service go alone.
    if host.service is not None:
        return (_delete_of(SERVICES, host.service),)
    return (_delete_of(ENDPOINTS, host.endpoints),) if host.endpoints is not None else ()


def _delete_of(resource: Resource, record: Record) -> Delete:
    return Delete(resource, record.namespace, record.name, record.uid, record.version)


def _is_terminating(namespace: Record) -> bool:
    return "deletionTimestamp" in namespace.document()["metadata"]


def _service_actions(host: HostState, desired: Json) -> list[Action]:
    if host.service is None:
        return [Create(SERVICES, desired)]
    actual = host.service.document()
    before, after = actual["spec"], desired["spec"]
    if is_headless(before) != is_headless(after) and not (
        is_external(before) or is_external(after)
    ):
        # The API does not let a clusterIP come or go: the next plan creates the Service anew.
        return [_delete_of(SERVICES, host.service)]
    merged = merge_service(actual, desired)
    return [] if merged == actual else [Update(SERVICES, merged)]


def _endpoints_actions(host: HostState, desired: Json | None) -> list[Action]:
    if host.endpoints is None:
        return [] if desired is None else [Create(ENDPOINTS, desired)]
    if desired is None:
        return [_delete_of(ENDPOINTS, host.endpoints)]
    actual = host.endpoints.document()
    merged = merge_endpoints(actual, desired)
    return [] if merged == actual else [Update(ENDPOINTS, merged)]
