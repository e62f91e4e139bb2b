"""Slices of mirrors: the same endpoints as the source's, on the way there and in the end."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naivehost import NaiveHost, alone, converged, exporting, plan_of

from servicereflector.kube.annotations import REFLECTED, SOURCE
from servicereflector.kube.names import label_value_errors
from servicereflector.kube.objects import Json, record_of
from servicereflector.kube.resources import ENDPOINTS, ENDPOINTSLICES, NAMESPACES, SERVICES
from servicereflector.kube.server import ServerInfo
from servicereflector.kube.slices import (
    HEADLESS,
    MANAGED_BY,
    OVER_CAPACITY,
    SERVICE_NAME,
    SKIP_MIRROR,
    SliceEndpoint,
    flatten_slices,
)
from servicereflector.kube.subsets import Address, flatten
from servicereflector.mirror.features import Features, features_of
from servicereflector.mirror.plan import Create, Delete, Plan, Update
from servicereflector.mirror.policy import EndpointsApi, Policy
from servicereflector.mirror.slices import slice_name, source_label, source_slices
from servicereflector.mirror.states import HostState, SourceState, State
from servicereflector.testing import strategies as kube

NEW = Features()
SERVICE: Json = {
    "metadata": {"name": "x", "namespace": "a"},
    "spec": {"type": "ClusterIP", "clusterIP": "172.20.0.9", "ports": [{"port": 80}]},
}
HTTP = {"name": "", "port": 80, "protocol": "TCP"}
BOTH_FAMILIES = {"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv4", "IPv6"]}


def service_with(**spec: Any) -> Json:
    return {**SERVICE, "spec": {**SERVICE["spec"], **spec}}


def slice_of(number: int, *addresses: str, family: str = "IPv4", **rest: Any) -> Json:
    return {
        "metadata": {"name": f"x-{number}", "namespace": "a", "labels": {SERVICE_NAME: "x"}},
        "addressType": family,
        "endpoints": [{"addresses": [a], "conditions": {"ready": True}} for a in addresses],
        "ports": [HTTP],
        **rest,
    }


def behind(*addresses: str) -> Json:
    subsets = [{"addresses": [{"ip": a} for a in addresses], "ports": [{"port": 80}]}]
    return {"metadata": {"name": "x", "namespace": "a"}, "subsets": subsets}


def kinds(plan: Plan) -> list[str]:
    return [f"{type(action).__name__} {action.resource.kind}" for action in plan.actions]


def own(host: NaiveHost) -> frozenset[SliceEndpoint]:
    return flatten_slices(record.document() for record in host.state.own_slices)


def mirrored(source: SourceState, host: NaiveHost) -> frozenset[SliceEndpoint]:
    """What the host is to have of the source's endpoints."""
    spec = host.objects[SERVICES]["spec"]
    every = ["IPv4", "IPv6"] if spec["clusterIP"] == "None" else ["IPv4"]
    families = spec.get("ipFamilies") or every
    known = {*families, "FQDN"}
    return flatten_slices(s for s in source_slices(source) if s["addressType"] in known)


def shown(source: SourceState, host: NaiveHost, *, published: bool) -> set[Any]:
    """What its Endpoints are to have."""
    spec = host.objects[SERVICES]["spec"]
    slices = source_slices(source)
    there = [f for f in ("IPv4", "IPv6") if any(s["addressType"] == f for s in slices)]
    every = there if spec["clusterIP"] == "None" else ["IPv4"]
    first = (spec.get("ipFamilies") or every or ["IPv4"])[0]
    found = set()
    for address, port, conditions, hostname, _ in flatten_slices(
        s for s in slices if s["addressType"] == first
    ):
        if conditions.ready or published:
            behind_port = None if port is None or port.number is None else tuple(port)
            found.add((Address(address, hostname, conditions.ready), behind_port))
    return found


@st.composite
def sources(draw: st.DrawFn, service: Json) -> SourceState:
    """With slices, or Endpoints only."""
    if draw(st.integers(0, 2)):
        slices = draw(kube.endpoint_slices("a/x").filter(bool))
        return exporting(service, draw(st.none() | kube.endpoints("a/x")), slices=slices)
    return exporting(service, draw(kube.endpoints("a/x")))


def is_addressed(service: Json) -> bool:
    return service["spec"]["type"] != "ExternalName"


addressed = kube.services("a/x").filter(is_addressed)


@given(st.data(), addressed)
def test_the_mirror_has_the_endpoints_of_its_source(data: st.DataObject, service: Json) -> None:
    """Address, port, conditions, hostname and zone, of its families; Endpoints as defined."""
    source = data.draw(sources(service))
    host = converged(alone(source))
    assert own(host) == mirrored(source, host)
    published = service["spec"].get("publishNotReadyAddresses", False)
    found = flatten(host.objects[ENDPOINTS].get("subsets"))
    assert found == shown(source, host, published=published)


@given(st.data(), addressed)
def test_no_endpoint_is_missed_on_the_way(data: st.DataObject, service: Json) -> None:
    """What is in both states of the source is in the host after each action."""
    source = data.draw(sources(service))
    host = converged(alone(source))
    for _ in range(3):
        before = mirrored(source, host), flatten(host.objects[ENDPOINTS].get("subsets"))
        source = data.draw(sources(service))
        stays = before[0] & mirrored(source, host)
        for _ in carried_out(source, host):
            assert stays <= own(host)
            assert before[1] & shown(source, host, published=False) <= flatten(
                host.objects[ENDPOINTS].get("subsets")
            )


def carried_out(source: SourceState, host: NaiveHost) -> Iterator[None]:
    for _ in range(4):
        for action in plan_of(alone(source), host.state).actions:
            host.carry_out(action)
            yield
    assert plan_of(alone(source), host.state).actions == ()


placements = st.dictionaries(st.integers(1, 8), st.integers(0, 3), min_size=1).flatmap(
    lambda where: st.tuples(st.just(where), st.lists(st.booleans(), min_size=4, max_size=4))
)


@given(st.lists(placements, min_size=2, max_size=4))
def test_endpoints_that_move_between_slices_are_always_in_one(
    states: list[tuple[dict[int, int], list[bool]]],
) -> None:
    """Also in circles, and while the slices' ports change; its address and port are, too."""
    host, before = None, frozenset[SliceEndpoint]()
    for where, ports in states:
        slices = [
            slice_of(
                number,
                *(f"10.1.0.{n}" for n, there in where.items() if there == number),
                ports=[HTTP] if ports[number] else [{**HTTP, "port": 81}],
            )
            for number in sorted(set(where.values()))
        ]
        source = exporting(SERVICE, None, slices=slices)
        if host is None:
            host = converged(alone(source))
        for _ in carried_out(source, host):
            assert before & flatten_slices(slices) <= own(host)
        before = flatten_slices(slices)
        assert own(host) == before


def test_two_slices_that_change_places_take_a_bridge() -> None:
    """Each would have to wait for the other; afterwards the bridge is gone."""
    host = converged(alone(source_of(slice_of(1, "10.1.0.1"), slice_of(2, "10.1.0.2"))))
    changed = alone(source_of(slice_of(1, "10.1.0.2"), slice_of(2, "10.1.0.1")))
    plan = plan_of(changed, host.state)
    assert kinds(plan) == ["Create EndpointSlice", "Update EndpointSlice", "Update EndpointSlice"]
    for action in plan.actions:
        host.carry_out(action)
    assert kinds(plan_of(changed, host.state)) == ["Delete EndpointSlice"]


def source_of(*slices: Json, service: Json = SERVICE, name: str = "east") -> SourceState:
    return exporting(service, None, name, slices)


def test_a_slice_looks_like_the_sources() -> None:
    """With our labels, without what is of the source's nodes and owners."""
    endpoint = {
        "addresses": ["10.1.0.1"],
        "conditions": {"ready": False, "serving": True, "terminating": True},
        "hostname": "x-0",
        "zone": "zone-a",
        "nodeName": "node-1",
        "targetRef": {"kind": "Pod"},
        "deprecatedTopology": {"rack": "1"},
        "hints": {"forZones": [{"name": "zone-a"}]},
    }
    port = {"name": "http", "port": 8080, "protocol": "TCP", "appProtocol": "http"}
    one = slice_of(1, endpoints=[endpoint], ports=[port])
    one["metadata"] |= {"ownerReferences": [{}], "generateName": "x-", "generation": 3}
    one["metadata"]["labels"] |= {"app": "a", MANAGED_BY: "endpointslice-controller.k8s.io"}
    host = converged(alone(source_of(one, service=service_with(clusterIP="None"))))
    name = slice_name("x", "east", "x-1")
    metadata = host.slices[name]["metadata"]
    assert metadata["labels"] == {
        "app": "a",
        REFLECTED: "true",
        SERVICE_NAME: "x",
        MANAGED_BY: "service-reflector",
        SOURCE: "east",
        HEADLESS: "",
    }
    assert metadata["annotations"][SOURCE] == "east"
    assert not {"ownerReferences", "generateName", "generation"} & metadata.keys()
    assert host.slices[name]["ports"] == [port]
    kept = ("addresses", "conditions", "hostname", "zone")
    assert host.slices[name]["endpoints"] == [{key: endpoint[key] for key in kept}]


def test_hints_are_copied_where_asked_for() -> None:
    """Those for zones, to a host that keeps them; the source's nodes are not here."""
    hints = {"forZones": [{"name": "zone-a"}], "forNodes": [{"name": "node-1"}]}
    one = slice_of(1, endpoints=[{"addresses": ["10.1.0.1"], "hints": hints}])
    policy = Policy(hints=True)
    for features, expected in (
        (NEW, {"forZones": hints["forZones"]}),
        (Features(hints=False), None),
    ):
        host = converged(alone(source_of(one), policy=policy, features=features))
        (mirror,) = host.slices.values()
        assert mirror["endpoints"][0].get("hints") == expected


def test_an_old_host_is_not_sent_conditions_that_it_drops() -> None:
    """They would be missing again at the next look."""
    conditions = {"ready": True, "serving": True, "terminating": False}
    one = slice_of(1, endpoints=[{"addresses": ["10.1.0.1"], "conditions": conditions}])
    features = features_of(ServerInfo({"major": "1", "minor": "21"}))
    (mirror,) = converged(alone(source_of(one), features=features)).slices.values()
    assert mirror["endpoints"][0]["conditions"] == {"ready": True}


def test_what_the_api_server_completes_is_no_difference() -> None:
    """Names, protocols, conditions; nor is the order."""
    ports = [{"port": 80}, {"name": "b", "port": 81}]
    one = slice_of(
        1, endpoints=[{"addresses": ["10.1.0.1"]}, {"addresses": ["10.1.0.2"]}], ports=ports
    )
    host = converged(alone(source_of(one)))
    (mirror,) = host.slices.values()
    mirror["endpoints"] = [{**e, "conditions": {}} for e in reversed(mirror["endpoints"])]
    assert plan_of(alone(source_of(one)), host.state).actions == ()
    mirror["endpoints"][0]["nodeName"] = "node-1"
    assert kinds(plan_of(alone(source_of(one)), host.state)) == ["Update EndpointSlice"]


names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=63).map(
    lambda text: f"a{text}"[:62] + "z"
)


@given(st.lists(st.tuples(names, st.text(max_size=80), names), unique=True, max_size=8))
def test_names_of_slices_are_names_and_differ(told: list[tuple[str, str, str]]) -> None:
    """For each Service, source and slice."""
    found = [slice_name(*one) for one in told]
    assert len(set(found)) == len(told)
    for name in found:
        assert len(name) <= 63
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)


def test_a_name_is_the_same_for_ever() -> None:
    """Another version of the program must find what an earlier one wrote."""
    assert slice_name("x", "east", "x-abcde") == "x-remuzis7tbyt"


@given(st.text(max_size=90))
def test_a_sources_label_is_a_label(source: str) -> None:
    """A source is a URL, as often as not."""
    assert source_label(source)
    assert label_value_errors(source_label(source)) == []


def test_a_sources_label_can_be_read() -> None:
    """As it is where that may be."""
    assert source_label("east") == "east"
    label = source_label("https://east.example:8443/")
    assert label.startswith("https-east-example-8443-")
    assert label != source_label("https://east.example:8443")


def test_ten_thousand_addresses_of_both_families() -> None:
    """One slice each; Endpoints show a thousand of the first; one change is one write."""
    service = service_with(**BOTH_FAMILIES)

    def slices(changed: str = "10.0.5.9") -> list[Json]:
        found = []
        for n in range(10):
            last = [f"{n * 4 + i // 250}.{i % 250}" for i in range(1000)]
            four = [changed if one == "5.9" else f"10.0.{one}" for one in last]
            six = [f"fd00::{one.replace('.', ':')}" for one in last]
            found += [slice_of(n, *four), slice_of(10 + n, *six, family="IPv6")]
        return found

    source = source_of(*slices(), service=service)
    host = converged(alone(source))
    assert len(host.slices) == 20
    assert own(host) == flatten_slices(slices())
    endpoints = host.objects[ENDPOINTS]
    assert endpoints["metadata"]["annotations"][OVER_CAPACITY] == "truncated"
    (subset,) = endpoints["subsets"]
    assert len(subset["addresses"]) == 1000
    assert all("." in address["ip"] for address in subset["addresses"])
    hidden = alone(source_of(*slices("10.99.9.9"), service=service))
    plan = plan_of(hidden, host.state)
    shown_before = {address["ip"] for address in subset["addresses"]}
    endpoints_too = ["Update Endpoints"] if "10.0.5.9" in shown_before else []
    assert kinds(plan) == ["Update EndpointSlice", *endpoints_too]
    fewer = converged(alone(source_of(slice_of(1, "10.1.0.1"), service=service)), host)
    assert OVER_CAPACITY not in fewer.objects[ENDPOINTS]["metadata"]["annotations"]


def test_a_source_that_learns_slices_is_followed() -> None:
    """New slices before the old ones go."""
    host = converged(alone(exporting(SERVICE, behind("10.1.0.1", "10.1.0.2"))))
    assert len(host.slices) == 1
    learnt = exporting(SERVICE, behind("10.1.0.1", "10.1.0.2"), slices=[slice_of(1, "10.1.0.1")])
    assert kinds(plan_of(alone(learnt), host.state)) == [
        "Create EndpointSlice",
        "Update Endpoints",
        "Delete EndpointSlice",
    ]


def test_another_source_takes_over_without_a_gap() -> None:
    """Its slices come before the old ones go; each slice tells whose it is."""
    host = converged(alone(source_of(slice_of(1, "10.1.0.1"))))
    north = alone(source_of(slice_of(1, "10.2.0.1"), name="north"))
    assert kinds(plan_of(north, host.state)) == [
        "Update Service",
        "Create EndpointSlice",
        "Update Endpoints",
        "Delete EndpointSlice",
    ]
    converged(north, host)
    assert [one["metadata"]["labels"][SOURCE] for one in host.slices.values()] == ["north"]


@pytest.mark.parametrize(
    ("api", "slices", "endpoints"),
    [
        (EndpointsApi.BOTH, 1, True),
        (EndpointsApi.ENDPOINTS, 0, True),
        (EndpointsApi.ENDPOINTSLICES, 1, False),
    ],
)
def test_the_policy_says_which_api_is_written(
    api: EndpointsApi, slices: int, endpoints: bool
) -> None:
    """From whichever one was before; the host makes slices itself only where we do not."""
    source = source_of(slice_of(1, "10.1.0.1"))
    for former in EndpointsApi:
        host = converged(alone(source, policy=Policy(endpoints_api=former)))
        converged(alone(source, policy=Policy(endpoints_api=api)), host)
        assert len(host.slices) == slices
        assert (ENDPOINTS in host.objects) == endpoints
        labels = host.objects.get(ENDPOINTS, {"metadata": {"labels": {}}})["metadata"]["labels"]
        assert (SKIP_MIRROR in labels) == (slices == 1 and endpoints)


def test_endpoints_go_once_the_slices_are_there() -> None:
    """And slices go once the Endpoints are to be mirrored."""
    source = source_of(slice_of(1, "10.1.0.1"))
    only_slices = Policy(endpoints_api=EndpointsApi.ENDPOINTSLICES)
    only_endpoints = Policy(endpoints_api=EndpointsApi.ENDPOINTS)
    host = converged(alone(source, policy=only_endpoints))
    plan = plan_of(alone(source, policy=only_slices), host.state)
    assert kinds(plan) == ["Create EndpointSlice", "Delete Endpoints"]
    converged(alone(source, policy=only_slices), host)
    plan = plan_of(alone(source, policy=only_endpoints), host.state)
    assert kinds(plan) == ["Create Endpoints", "Delete EndpointSlice"]


@pytest.mark.parametrize("api", EndpointsApi)
def test_a_host_without_slices_gets_endpoints(api: EndpointsApi) -> None:
    """Of the source's slices, whatever the policy."""
    source = source_of(slice_of(1, "10.1.0.1"))
    old = Features(endpoint_slices=False)
    host = converged(alone(source, features=old, policy=Policy(endpoints_api=api)))
    assert host.slices == {}
    assert host.objects[ENDPOINTS]["subsets"][0]["addresses"] == [{"ip": "10.1.0.1"}]
    assert SKIP_MIRROR not in host.objects[ENDPOINTS]["metadata"]["labels"]


def test_slices_of_a_family_that_the_mirror_lacks_are_left_out() -> None:
    """Names of hosts are of no family."""
    slices = [
        slice_of(1, "10.1.0.1"),
        slice_of(2, "fd00::1", family="IPv6"),
        slice_of(3, "x.example", family="FQDN"),
    ]
    host = converged(alone(source_of(*slices)))
    assert {one["addressType"] for one in host.slices.values()} == {"IPv4", "FQDN"}
    host.objects[SERVICES]["spec"]["ipFamilies"] = ["IPv6", "IPv4"]
    converged(alone(source_of(*slices)), host)
    assert {one["addressType"] for one in host.slices.values()} == {"IPv4", "IPv6", "FQDN"}
    (subset,) = host.objects[ENDPOINTS]["subsets"]
    assert subset["addresses"] == [{"ip": "fd00::1"}]


def test_a_slice_that_changes_its_family_is_made_anew() -> None:
    """The API lets no addressType change."""
    service = service_with(**BOTH_FAMILIES)
    host = converged(alone(source_of(slice_of(1, "10.1.0.1"), service=service)))
    changed = alone(source_of(slice_of(1, "fd00::1", family="IPv6"), service=service))
    converged(changed, host)
    assert [one["addressType"] for one in host.slices.values()] == ["IPv6"]


def test_a_stranger_of_our_slices_name_is_left_alone() -> None:
    """And the status says why there is one slice less."""
    source = source_of(slice_of(1, "10.1.0.1"))
    stranger = slice_of(1, "192.0.2.1")
    stranger["metadata"] |= {"name": slice_name("x", "east", "x-1"), "uid": "u"}
    namespace = record_of(NAMESPACES, {"metadata": {"name": "a"}})
    host = HostState(namespace, slices=kube.slice_records([stranger]))
    plan = plan_of(alone(source, host))
    assert kinds(plan) == ["Create Service", "Create Endpoints"]
    assert plan.statuses["east"].state is State.MIRRORED
    assert "was not created by service-reflector" in plan.statuses["east"].reason


def test_slices_leave_a_service_that_somebody_else_made() -> None:
    """It was put in the mirror's place; it must not be given our addresses."""
    source = source_of(slice_of(1, "10.1.0.1"))
    host = converged(alone(source))
    del host.objects[ENDPOINTS]
    host.objects[SERVICES]["metadata"]["annotations"] = {}
    plan = plan_of(alone(source), host.state)
    assert kinds(plan) == ["Delete EndpointSlice"]
    assert plan.statuses["east"].state is State.CONFLICT


def test_an_external_name_may_be_withdrawn() -> None:
    """Refused, and its mirror deleted."""
    external = {**SERVICE, "spec": {"type": "ExternalName", "externalName": "db.example"}}
    host = converged(alone(exporting(external, None)))
    refusing = alone(exporting(external, None), policy=Policy(external_names=False))
    plan = plan_of(refusing, host.state)
    assert kinds(plan) == ["Delete Service"]
    assert plan.statuses["east"].state is State.REFUSED
    assert plan.statuses["east"].reason
    assert plan_of(refusing).actions == ()


def test_only_ours_are_deleted_with_the_mirror() -> None:
    """The host's controllers take care of theirs."""
    host = converged(alone(source_of(slice_of(1, "10.1.0.1"))))
    theirs = slice_of(9, "10.1.0.1")
    theirs["metadata"]["uid"] = "u"
    host.slices["x-9"] = theirs
    gone = alone(SourceState("east", True))
    assert kinds(plan_of(gone, host.state)) == ["Delete Service", "Delete EndpointSlice"]
    converged(gone, host)
    assert host.slices.keys() == {"x-9"}


def test_actions_name_the_slices_resource() -> None:
    """The controller writes them where they belong."""
    plan = plan_of(alone(source_of(slice_of(1, "10.1.0.1"))))
    (create,) = (a for a in plan.actions if a.resource is ENDPOINTSLICES)
    assert isinstance(create, Create)
    assert not isinstance(create, Update | Delete)
