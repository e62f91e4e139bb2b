"""Plans, carried out on a naive host: they come to an end, and spare what is not theirs."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from naivehost import NaiveHost, alone, converged, exporting, plan_of

from servicereflector.kube.annotations import COPIED, REFLECTED, SOURCE
from servicereflector.kube.objects import Json, record_of
from servicereflector.kube.resources import (
    ENDPOINTS,
    ENDPOINTSLICES,
    NAMESPACES,
    SERVICES,
)
from servicereflector.kube.slices import SKIP_MIRROR
from servicereflector.kube.subsets import flatten
from servicereflector.mirror.copying import is_ignored, mirror_endpoints, mirror_service
from servicereflector.mirror.features import Features
from servicereflector.mirror.ownership import Course, judge
from servicereflector.mirror.plan import Action, Create, Delete, Plan, Update
from servicereflector.mirror.policy import EndpointsApi
from servicereflector.mirror.slices import families_of, source_slices
from servicereflector.mirror.states import HostState, SourceState, State
from servicereflector.testing import strategies as kube
from servicereflector.testing.strategies import ADDED_ANNOTATION, Situation, completed


@given(kube.situations())
def test_plans_come_to_an_end(situation: Situation) -> None:
    """Carried out, they leave nothing to do within three rounds; nothing the API refuses."""
    converged(situation)


@given(kube.situations())
def test_the_host_becomes_what_is_desired(situation: Situation) -> None:
    """Where a source owns the name and nothing is in the way."""
    host = converged(situation)
    verdict = judge(situation.sources, host.state, situation.policy, namespace=situation.namespace)
    if verdict.course is not Course.MIRROR or is_terminating(situation.host):
        return
    owner = verdict.owner
    assert owner is not None
    assert owner.service is not None
    source = owner.service.document()
    behind = None if owner.endpoints is None else owner.endpoints.document()
    desired = mirror_service(source, owner.name, situation.features)
    service = host.objects[SERVICES]
    wanted, held = (spec.get("ipFamilies") or [] for spec in (desired["spec"], service["spec"]))
    if wanted[:1] != held[:1]:  # the first cannot change, which the status tells
        desired["spec"].pop("ipFamilies", None)
    assert desired["spec"].items() <= service["spec"].items()
    assert "selector" not in service["spec"]
    known = situation.features.endpoint_slices
    with_slices = known and situation.policy.endpoints_api is not EndpointsApi.ENDPOINTS
    alone = with_slices and situation.policy.endpoints_api is EndpointsApi.ENDPOINTSLICES
    # A headless Service need not tell its family: then the host's is what it will have.
    families = families_of(service, desired, situation.features)
    desired_endpoints = mirror_endpoints(
        source,
        behind,
        owner.name,
        source_slices(owner),
        family=families[0] if families else "",
        beside_slices=with_slices,
    )
    if desired_endpoints is None or alone:
        assert ENDPOINTS not in host.objects
    else:
        endpoints = host.objects[ENDPOINTS]
        assert flatten(endpoints.get("subsets")) == flatten(desired_endpoints.get("subsets"))
        assert_metadata(endpoints, desired_endpoints)
        assert (SKIP_MIRROR in endpoints["metadata"]["labels"]) == with_slices
    assert_metadata(service, desired)
    assert NAMESPACES in host.objects


def assert_metadata(actual: Json, desired: Json) -> None:
    for member in ("labels", "annotations"):
        assert desired["metadata"][member].items() <= actual["metadata"][member].items()


def is_terminating(host: HostState) -> bool:
    return (
        host.namespace is not None
        and "deletionTimestamp" in (host.namespace.document()["metadata"])
    )


@given(kube.situations())
def test_a_foreign_object_is_in_no_plan(situation: Situation) -> None:
    """Neither by itself, nor because the API server would delete it with another."""
    strangers = {
        resource: record
        for resource, record in (
            (SERVICES, situation.host.service),
            (ENDPOINTS, situation.host.endpoints),
        )
        if record is not None and record.source is None
    }
    host = converged(situation)
    for resource, record in strangers.items():
        assert host.record(resource) == record
    assert all(record.source is not None for record in host.deleted)
    own = {record.name for record in situation.host.own_slices}
    for record in situation.host.slices:
        assert record.name in own or host.slices[record.name] == record.document()
    if strangers:
        # Our slices would give their addresses to a stranger's Service.
        assert {a.resource for a in plan_of(situation).actions} <= {ENDPOINTSLICES}
        assert SERVICES not in strangers or not host.state.own_slices


@given(kube.situations())
def test_what_is_deleted_is_desired_no_longer_or_made_anew(situation: Situation) -> None:
    """Nothing is deleted as long as its own source has not been listed."""
    deletes = [a for a in plan_of(situation).actions if isinstance(a, Delete)]
    if not deletes:
        return
    held = situation.host.held
    if held is None or held.source is None:
        return
    keeper = {source.name: source for source in situation.sources}.get(held.source)
    external_too = situation.policy.external_names
    heard = [s for s in situation.sources if s.exports and (external_too or not s.is_external)]
    exported = bool(heard)
    assert keeper.synced if keeper else (situation.policy.prune or exported)
    there = SERVICES in converged(situation).objects
    # One that has to be made anew waits for its Endpoints like one that never was.
    if any(source.complete for source in heard) and not is_terminating(situation.host):
        assert there
    if not exported:
        assert not there


@given(kube.situations())
def test_the_namespace_comes_first(situation: Situation) -> None:
    """And is made only where it is missing."""
    actions = plan_of(situation).actions
    made = [action.resource for action in actions if isinstance(action, Create)]
    assert NAMESPACES not in made[1:]
    assert (NAMESPACES in made) <= (situation.host.namespace is None)


@given(kube.situations())
def test_nothing_is_made_in_a_namespace_that_is_being_deleted(situation: Situation) -> None:
    """The API would refuse it; the source's Service waits."""
    metadata = {"name": situation.namespace, "deletionTimestamp": "2020-01-01T00:00:00Z"}
    ending = record_of(NAMESPACES, {"metadata": metadata})
    host = replace(situation.host, namespace=ending)
    plan = plan_of(situation, host)
    assert not [action for action in plan.actions if not isinstance(action, Delete)]
    verdict = judge(situation.sources, host, situation.policy, namespace=situation.namespace)
    if verdict.owner is not None:
        assert plan.actions == ()
        assert plan.statuses[verdict.owner.name].state is State.PENDING


@given(kube.situations())
def test_what_others_added_survives_every_update(situation: Situation) -> None:
    """Annotations, and the address."""
    before, after = NaiveHost(situation.host).objects, converged(situation).objects
    for resource in (SERVICES, ENDPOINTS):
        old, new = before.get(resource), after.get(resource)
        if old is None or new is None or old["metadata"]["uid"] != new["metadata"]["uid"]:
            continue
        if ADDED_ANNOTATION in old["metadata"].get("annotations", {}):
            assert new["metadata"]["annotations"][ADDED_ANNOTATION] == "kept"
        if resource is SERVICES and "ExternalName" not in (
            old["spec"]["type"],
            new["spec"]["type"],
        ):
            assert new["spec"]["clusterIP"] == old["spec"]["clusterIP"]


@given(service=kube.services("a/x"), behind=kube.endpoints("a/x"), known=kube.features)
def test_ignored_keys_never_appear_in_a_mirror(
    service: Json, behind: Json, known: Features
) -> None:
    """On neither of its objects, labels or annotations."""
    host = converged(alone(exporting(service, behind), features=known))
    for resource in (SERVICES, ENDPOINTS):
        metadata = host.objects.get(resource, {}).get("metadata", {})
        for member in ("labels", "annotations"):
            found = {key for key in metadata.get(member, {}) if is_ignored(key)}
            assert found <= {REFLECTED, SOURCE, COPIED, SKIP_MIRROR}


@given(
    first=kube.services("a/x"),
    then=kube.services("a/x"),
    behind=st.tuples(kube.endpoints("a/x"), kube.endpoints("a/x")),
    sources=st.tuples(kube.source_names, kube.source_names),
)
def test_a_mirror_does_not_tell_what_the_source_was_before(
    first: Json, then: Json, behind: tuple[Json, Json], sources: tuple[str, str]
) -> None:
    """A key, a port, a type that the source drops disappears; also when another takes over."""
    for service in (first, then):
        # The first family stays what it was.
        service["spec"].pop("ipFamilies", None)
    host = converged(alone(exporting(first, behind[0], sources[0])))
    changed = alone(exporting(then, behind[1], sources[1]))
    fresh = converged(changed)
    converged(changed, host)
    assert essence(host) == essence(fresh)


def essence(host: NaiveHost) -> dict[str, Json]:
    """The mirror's objects without what the host gives them."""
    found = {}
    for resource in (SERVICES, ENDPOINTS):
        if resource in host.objects:
            document = host.objects[resource]
            metadata = {
                k: v for k, v in document["metadata"].items() if k not in ("uid", "resourceVersion")
            }
            # Every host that knows the policy fills it in by itself.
            left = ("ipFamilyPolicy", "ipFamilies")
            spec = {k: v for k, v in document.get("spec", {}).items() if k not in left}
            subsets = flatten(document.get("subsets"))
            found[resource.kind] = {"metadata": metadata, "spec": spec, "subsets": subsets}
    return found


@given(kube.services("a/x"), kube.endpoints("a/x"), st.booleans())
def test_a_mirror_of_the_go_program_is_taken_over_in_place(
    service: Json, behind: Json, added: bool
) -> None:
    """The same objects, the same clusterIP, without the node ports and with our label."""
    external = service["spec"]["type"] == "ExternalName"
    made = {
        SERVICES: kube.as_go_writes(service, "east"),
        ENDPOINTS: kube.as_go_writes(behind, "east"),
    }
    there = {r: completed(document, "uid", 9) for r, document in made.items()}
    if added:
        there[SERVICES]["metadata"]["labels"] = {"added": "by hand"}
    records = {r: record_of(r, dict(document)) for r, document in there.items()}
    namespace = record_of(NAMESPACES, {"metadata": {"name": "a"}})
    state = HostState(namespace, records[SERVICES], None if external else records[ENDPOINTS])
    host = converged(alone(exporting(service, behind), state))
    assert host.deleted == []
    mirror = host.objects[SERVICES]
    assert mirror["metadata"]["uid"] == "uid"
    assert mirror["metadata"]["labels"][REFLECTED] == "true"
    assert mirror["spec"].get("clusterIP") == there[SERVICES]["spec"].get("clusterIP")
    assert mirror["spec"]["type"] == ("ExternalName" if external else "ClusterIP")
    assert not added or mirror["metadata"]["labels"]["added"] == "by hand"


SERVICE: Json = {
    "metadata": {"name": "x", "namespace": "a", "labels": {"app": "a"}},
    "spec": {"type": "ClusterIP", "clusterIP": "172.20.0.9", "ports": [{"port": 80}]},
}
BEHIND: Json = {
    "metadata": {"name": "x", "namespace": "a"},
    "subsets": [{"addresses": [{"ip": "10.1.0.1"}], "ports": [{"port": 80}]}],
}


def kinds(plan: Plan) -> list[tuple[type[Action], str]]:
    return [(type(action), action.resource.kind) for action in plan.actions]


def test_a_first_plan_creates_namespace_service_and_endpoints() -> None:
    """In this order."""
    plan = plan_of(alone(exporting(SERVICE, BEHIND)))
    assert kinds(plan) == [
        (Create, "Namespace"),
        (Create, "Service"),
        (Create, "EndpointSlice"),
        (Create, "Endpoints"),
    ]


def test_a_label_that_the_source_drops_disappears() -> None:
    """And one that somebody added here stays."""
    host = converged(alone(exporting(SERVICE, BEHIND)))
    host.objects[SERVICES]["metadata"]["labels"]["added"] = "by hand"
    bare = {**SERVICE, "metadata": {"name": "x", "namespace": "a"}}
    converged(alone(exporting(bare, BEHIND)), host)
    assert host.objects[SERVICES]["metadata"]["labels"] == {REFLECTED: "true", "added": "by hand"}


def test_a_broken_memory_of_copied_keys_is_no_obstacle() -> None:
    """Somebody edited it: nothing is dropped, and it is written anew."""
    for broken in ("{", "[]", '{"labels":5,"annotations":[5]}'):
        host = converged(alone(exporting(SERVICE, BEHIND)))
        host.objects[SERVICES]["metadata"]["annotations"][COPIED] = broken
        converged(alone(exporting(SERVICE, BEHIND)), host)
        annotations = host.objects[SERVICES]["metadata"]["annotations"]
        assert annotations[COPIED] == '{"labels":["app"]}'


def test_drift_is_repaired() -> None:
    """A selector that somebody set would make the host's controllers write the Endpoints."""
    host = converged(alone(exporting(SERVICE, BEHIND)))
    host.objects[SERVICES]["spec"]["selector"] = {"app": "a"}
    host.objects[ENDPOINTS]["subsets"] = []
    plan = plan_of(alone(exporting(SERVICE, BEHIND)), host.state)
    assert kinds(plan) == [(Update, "Service"), (Update, "Endpoints")]
    converged(alone(exporting(SERVICE, BEHIND)), host)
    assert "selector" not in host.objects[SERVICES]["spec"]


def test_endpoints_that_are_only_packed_otherwise_are_left_alone() -> None:
    """The API server packs them anew on every write."""
    two = {**BEHIND, "subsets": [*BEHIND["subsets"], {"addresses": [{"ip": "10.1.0.2"}]}]}
    host = converged(alone(exporting(SERVICE, two)))
    host.objects[ENDPOINTS]["subsets"].reverse()
    assert plan_of(alone(exporting(SERVICE, two)), host.state).actions == ()


def test_a_service_that_becomes_headless_is_made_anew() -> None:
    """The API lets no clusterIP go; the Endpoints go with the Service and come back."""
    host = converged(alone(exporting(SERVICE, BEHIND)))
    headless = {**SERVICE, "spec": {**SERVICE["spec"], "clusterIP": "None"}}
    changed = alone(exporting(headless, BEHIND))
    assert kinds(plan_of(changed, host.state)) == [(Delete, "Service")]
    converged(changed, host)
    assert host.objects[SERVICES]["spec"]["clusterIP"] == "None"
    assert ENDPOINTS in host.objects


def test_a_service_that_becomes_external_loses_address_and_endpoints() -> None:
    """In place."""
    host = converged(alone(exporting(SERVICE, BEHIND)))
    uid = host.objects[SERVICES]["metadata"]["uid"]
    external = {**SERVICE, "spec": {"type": "ExternalName", "externalName": "db.example"}}
    changed = alone(exporting(external, None))
    assert kinds(plan_of(changed, host.state)) == [
        (Update, "Service"),
        (Delete, "Endpoints"),
        (Delete, "EndpointSlice"),
    ]
    converged(changed, host)
    assert host.objects[SERVICES]["metadata"]["uid"] == uid


def test_a_mirror_is_deleted_with_its_endpoints() -> None:
    """The API server takes the Endpoints along, which alone need their own delete; no slices."""
    host = converged(alone(exporting(SERVICE, BEHIND)))
    gone = replace(alone(exporting(SERVICE, BEHIND)), sources=(SourceState("east", True),))
    slices = [(Delete, "EndpointSlice")]
    assert kinds(plan_of(gone, host.state)) == [(Delete, "Service"), *slices]
    rest = replace(host.state, service=None)
    assert kinds(plan_of(gone, rest)) == [(Delete, "Endpoints"), *slices]
    assert kinds(plan_of(gone, replace(rest, endpoints=None))) == slices
    converged(gone, host)
    assert host.objects.keys() == {NAMESPACES}
    assert host.slices == {}
