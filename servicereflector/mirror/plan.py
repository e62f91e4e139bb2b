"""What to do so that the host has what it should have under one name.

A plan is made from the difference between desired and actual state, never from an event; so a
second plan after a carried-out one is empty, and a lost or repeated event costs nothing. Every
write carries a precondition: whoever changed the object meanwhile wins, and we look again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..kube.objects import Json, Record, key_of, split_key
from ..kube.resources import ENDPOINTS, ENDPOINTSLICES, NAMESPACES, SERVICES, Resource
from ..kube.subsets import flatten
from ..reasons import Code
from .admission import admitted
from .copying import (
    is_external,
    is_headless,
    left_out,
    mirror_endpoints,
    mirror_namespace,
    mirror_service,
    renamed,
)
from .features import Features
from .freshness import Freshness
from .merging import merge_endpoints, merge_service
from .ownership import Course, judge
from .policy import DEFAULT, EndpointsApi, Policy
from .silenced import silenced_endpoints, silenced_slices
from .slices import families_of, mirror_slices, source_slices, transition
from .states import HostState, SourceState, State, Status


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
    :ivar endpoints: the version of the Endpoints that go with a Service, 0 if there are none.
    """

    resource: Resource
    namespace: str
    name: str
    uid: str
    version: int
    why: str = ""
    cluster_ip: str = ""
    endpoints: int = 0


Action = Create | Update | Delete

#: What people should know of a mirror: in a word, and in a sentence.
_Note = tuple[Code, str]


def describe(action: Action) -> str:
    """An action in words: ``create Service shop/cart``."""
    if isinstance(action, Delete):
        key = key_of(action.namespace, action.name)
    else:
        metadata = action.document["metadata"]
        key = key_of(metadata.get("namespace", ""), metadata["name"])
    return f"{type(action).__name__.lower()} {action.resource.kind} {key}"


@dataclass(frozen=True, slots=True)
class Plan:
    """
    :ivar actions: to be carried out in order; the first that fails ends the plan.
    :ivar statuses: the status by the name of the source, once they are carried out.
    :ivar rule: why, a sentence for people.
    :ivar owner: the name of the source that is mirrored, ``""`` for none.
    :ivar former: the source from which the name is taken over, ``""`` where it is not.
    :ivar contested: whether a source that comes before the owner may still want the name.
    """

    actions: tuple[Action, ...]
    statuses: dict[str, Status]
    rule: str = ""
    owner: str = ""
    former: str = ""
    contested: bool = False


def make_plan(
    key: str,
    sources: Sequence[SourceState],
    host: HostState,
    features: Features,
    policy: Policy = DEFAULT,
    *,
    recreate: bool = False,
    cluster_ip: str = "",
    contested: bool = False,
) -> Plan:
    """The plan for one name.

    :param key: ``namespace/name`` in the host.
    :param sources: in configured order.
    :param recreate: whether the API has refused to change the Service in place.
    :param cluster_ip: what the Service had before it was deleted for that.
    :param contested: whether the name was given away before all sources were listed.
    """
    namespace, _ = split_key(key)
    verdict = judge(sources, host, policy, namespace=namespace, contested=contested)
    if verdict.course is Course.DELETE:
        return Plan(_delete(host), verdict.statuses, verdict.rule)
    owner = verdict.owner
    if verdict.course is Course.LEAVE or owner is None or owner.service is None:
        actions = _withdrawn(host) or _silenced(host, verdict.freshness)
        return Plan(actions, verdict.statuses, verdict.rule)
    if pending := _waits_for_namespace(namespace, host, policy):
        return Plan((), {**verdict.statuses, owner.name: pending}, verdict.rule, owner.name)
    actions, notes, refused = _mirror(key, owner, host, features, policy, recreate, cluster_ip)
    status = verdict.statuses[owner.name]
    reason = "; ".join(filter(None, [status.reason, *(words for _, words in notes)]))
    # Of several the first has the word; that the source is silent outdoes them.
    code = notes[0][0] if notes and status.state is State.MIRRORED else status.code
    told = Status(status.state, code, reason, noteworthy=refused > 0, refused=refused)
    statuses = {**verdict.statuses, owner.name: told}
    former, contested = verdict.former, verdict.contested
    return Plan(actions, statuses, verdict.rule, owner.name, former, contested)


def _waits_for_namespace(namespace: str, host: HostState, policy: Policy) -> Status | None:
    if host.namespace is None:
        why = f"namespace {namespace!r} does not exist, and none are created"
        missing = Status(State.PENDING, Code.NAMESPACE_MISSING, why)
        return None if policy.create_namespaces else missing
    if "deletionTimestamp" in host.namespace.document()["metadata"]:
        why = f"namespace {namespace!r} is being deleted"
        return Status(State.PENDING, Code.NAMESPACE_TERMINATING, why)
    return None


def _mirror(
    key: str,
    owner: SourceState,
    host: HostState,
    features: Features,
    policy: Policy,
    recreate: bool,
    cluster_ip: str,
) -> tuple[tuple[Action, ...], list[_Note], int]:
    """What makes the name the owner's mirror, what people should know of it, and how many addresses
    are refused."""
    assert owner.service is not None
    namespace, _ = split_key(key)
    actions: list[Action] = []
    if host.namespace is None:
        actions.append(Create(NAMESPACES, mirror_namespace(namespace)))
    service = renamed(owner.service.document(), key)
    origin = owner.service.key if owner.service.key != key else ""
    desired = mirror_service(service, owner.name, features, policy, origin)
    if cluster_ip and host.service is None and _has_address(desired["spec"]):
        desired["spec"]["clusterIP"] = cluster_ip
    actions += _service_actions(host, desired, recreate=recreate)
    slices, refused = admitted(source_slices(owner), owner.admission.addresses, host.reserved)
    notes = [(Code.ADDRESS_REFUSED, str(refused))] if refused else []
    if features.refused:
        notes += [(Code.FIELD_LEFT_OUT, words) for words in left_out(service, features)]
    notes += _family_notes(host, desired)
    if not any(isinstance(action, Delete) for action in actions):
        behind, taken = _behind(owner, service, slices, origin, host, desired, features, policy)
        actions += behind
        notes += taken
    return tuple(actions), notes, len(refused)


def _delete(host: HostState) -> tuple[Action, ...]:
    # The API server deletes a Service's Endpoints with it; ones without a Service go alone.
    found = [_delete_of(ENDPOINTSLICES, record) for record in host.own_slices]
    if host.service is not None:
        return (_delete_service(host, host.service), *found)
    return (*([_delete_of(ENDPOINTS, host.endpoints)] if host.endpoints else ()), *found)


def _withdrawn(host: HostState) -> tuple[Action, ...]:
    """A Service that somebody put in the mirror's place would be given our slices' addresses."""
    if host.service is None or host.service.source is not None:
        return ()
    return tuple(_delete_of(ENDPOINTSLICES, record) for record in host.own_slices)


def _silenced(host: HostState, freshness: Freshness) -> tuple[Action, ...]:
    """What an earlier process wrote of a source that has told nothing to this one."""
    if freshness is Freshness.FRESH or host.service is None or host.service.source is None:
        return ()
    slices = {record.name: record.document() for record in host.own_slices}
    actions = _slice_actions(host, silenced_slices(slices, freshness))
    if host.endpoints is not None:
        endpoints = host.endpoints.document()
        wanted = silenced_endpoints(endpoints, freshness).get("subsets", [])
        if flatten(endpoints.get("subsets")) != flatten(wanted):
            actions.append(Update(ENDPOINTS, {**endpoints, "subsets": wanted}))
    return tuple(actions)


def _delete_of(resource: Resource, record: Record, why: str = "") -> Delete:
    return Delete(resource, record.namespace, record.name, record.uid, record.version, why)


def _delete_service(host: HostState, service: Record, why: str = "") -> Delete:
    version = host.endpoints.version if host.endpoints is not None else 0
    return replace(_delete_of(SERVICES, service, why), endpoints=version)


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
        return [_delete_service(host, host.service, why)]
    merged = merge_service(actual, desired)
    if merged == actual:
        return []
    if recreate:
        why = "the API refuses to change it in place"
        kept = before.get("clusterIP", "") if _has_address(before) and _has_address(after) else ""
        return [replace(_delete_service(host, host.service, why), cluster_ip=kept)]
    return [Update(SERVICES, merged)]


def _family_notes(host: HostState, desired: Json) -> list[_Note]:
    """Families that an existing mirror cannot follow."""
    held = host.service.document()["spec"].get("ipFamilies") if host.service is not None else None
    wanted = desired["spec"].get("ipFamilies")
    if not held or not wanted or held[0] == wanted[0]:
        return []
    words = f"spec.ipFamilies begins with {held[0]}, not {wanted[0]}: the first cannot change"
    return [(Code.FAMILY_FIXED, words)]


def _behind(
    owner: SourceState,
    service: Json,
    slices: Sequence[Json],
    origin: str,
    host: HostState,
    desired: Json,
    features: Features,
    policy: Policy,
) -> tuple[list[Action], list[_Note]]:
    """What to do to the Endpoints and the slices; and what stands in the way.

    :param slices: what is to be behind the mirror, in the source's words.
    """
    actual = host.service.document() if host.service is not None else None
    families = families_of(actual, desired, features)
    with_slices = features.endpoint_slices and policy.endpoints_api is not EndpointsApi.ENDPOINTS
    wanted: dict[str, Json] = {}
    if with_slices:
        wanted = mirror_slices(service, slices, owner.name, families, features, policy)
        wanted = silenced_slices(wanted, owner.freshness)
    own = {record.name for record in host.own_slices}
    foreign = sorted(wanted.keys() & {r.name for r in host.slices if r.name not in own})
    steps = _slice_actions(host, {n: one for n, one in wanted.items() if n not in foreign})
    endpoints = None
    if not with_slices or policy.endpoints_api is EndpointsApi.BOTH:
        endpoints = mirror_endpoints(
            service,
            owner.endpoints.document() if owner.endpoints is not None else None,
            owner.name,
            slices,
            family=families[0] if families else "",
            beside_slices=with_slices,
            policy=policy,
            origin=origin,
        )
    if endpoints is not None:
        endpoints = silenced_endpoints(endpoints, owner.freshness)
    deletes = [action for action in steps if isinstance(action, Delete)]
    writes = [action for action in steps if not isinstance(action, Delete)]
    told = "EndpointSlice {} exists and was not created by service-reflector"
    notes = [(Code.SLICE_TAKEN, told.format(name)) for name in foreign]
    return [*writes, *_endpoints_actions(host, endpoints), *deletes], notes


def _slice_actions(host: HostState, wanted: dict[str, Json]) -> list[Action]:
    own = {record.name: record for record in host.own_slices}
    steps = transition({name: record.document() for name, record in own.items()}, wanted)
    return [
        *(Create(ENDPOINTSLICES, document) for document in steps.creates),
        *(Update(ENDPOINTSLICES, document) for document in steps.updates),
        *(_delete_of(ENDPOINTSLICES, own[name]) for name in steps.deletes),
    ]


def _endpoints_actions(host: HostState, desired: Json | None) -> list[Action]:
    if host.endpoints is None:
        return [] if desired is None else [Create(ENDPOINTS, desired)]
    if desired is None:
        return [_delete_of(ENDPOINTS, host.endpoints)]
    actual = host.endpoints.document()
    merged = merge_endpoints(actual, desired)
    return [] if merged == actual else [Update(ENDPOINTS, merged)]
