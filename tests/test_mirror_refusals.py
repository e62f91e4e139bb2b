"""What a host refuses of a Service: left out where it may be, made anew where that helps."""

from __future__ import annotations

from typing import Any

import pytest
from naivehost import NaiveHost, alone, converged, exporting, plan_of

from servicereflector.kube.objects import Json
from servicereflector.kube.resources import SERVICES
from servicereflector.kube.status import ApiError, Cause, invalid
from servicereflector.mirror.copying import mirror_service
from servicereflector.mirror.features import Features
from servicereflector.mirror.plan import Create, Delete, Update, make_plan
from servicereflector.mirror.refusals import refused_fields
from servicereflector.mirror.states import State

BEHIND: Json = {"metadata": {"name": "x", "namespace": "a"}}


def service_with(**spec: Any) -> Json:
    told = {"clusterIP": "172.20.0.9", "ports": [{"port": 80}], **spec}
    return {"metadata": {"name": "x", "namespace": "a"}, "spec": told}


def refusing(*causes: Cause) -> ApiError:
    return invalid("Service", "x", *causes)


DUAL = {"ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6", "IPv4"]}
WHY = 'Invalid value: "IPv6": not configured on this cluster'


@pytest.mark.parametrize(
    ("field", "key"),
    [
        ("spec.ipFamilies[0]", ("spec.ipFamilies", '["IPv6","IPv4"]')),
        ("spec.ipFamilies", ("spec.ipFamilies", '["IPv6","IPv4"]')),
        ("spec.ipFamilyPolicy", ("spec.ipFamilyPolicy", '"PreferDualStack"')),
        ("spec.trafficDistribution", ("spec.trafficDistribution", '"PreferClose"')),
        ("spec.ports[0].appProtocol", ("spec.ports.appProtocol", '"http"')),
        (
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds",
            ("spec.sessionAffinityConfig", '{"clientIP":{"timeoutSeconds":600}}'),
        ),
    ],
)
def test_an_optional_field_that_was_refused_is_left_out(field: str, key: tuple[str, str]) -> None:
    """It is known by what was sent; the mirror is made without, and the status says so."""
    service = service_with(
        **DUAL,
        trafficDistribution="PreferClose",
        sessionAffinity="ClientIP",
        sessionAffinityConfig={"clientIP": {"timeoutSeconds": 600}},
    )
    service["spec"]["ports"] = [{"name": "http", "port": 80, "appProtocol": "http"}]
    sent = mirror_service(service, "east", Features())
    refused = refused_fields(sent, refusing((field, "FieldValueInvalid", WHY)))
    assert refused == {key: WHY}
    features = Features(refused=refused)
    again = mirror_service(service, "east", features)
    assert refused_fields(again, refusing((field, "FieldValueInvalid", WHY))) == {}
    plan = plan_of(alone(exporting(service, BEHIND), features=features))
    assert plan.statuses["east"].state is State.MIRRORED
    assert plan.statuses["east"].reason == f"{key[0]} {key[1]} is left out: {WHY}"
    converged(alone(exporting(service, BEHIND), features=features))


def test_another_value_of_the_field_is_sent() -> None:
    """What was refused is the value."""
    features = Features(refused={("spec.ipFamilies", '["IPv6"]'): WHY})
    spec = mirror_service(service_with(ipFamilies=["IPv4"]), "east", features)["spec"]
    assert spec["ipFamilies"] == ["IPv4"]


@pytest.mark.parametrize(
    "error",
    [
        ApiError(409, "conflict", details={"causes": [{"field": "spec.ipFamilies"}]}),
        ApiError(422, "no details"),
        ApiError(422, "odd details", details={"causes": "spec.ipFamilies"}),
        ApiError(422, "odd causes", details={"causes": ["spec.ipFamilies"]}),
        refusing(("spec.ipFamilies", "", WHY), ("spec.ports[0].name", "", "Required value")),
        refusing(("spec.trafficDistribution", "", "was not sent")),
        refusing(("spec.ports[7].appProtocol", "", "was not sent")),
        refusing(("spec.ipFamiliesOfSomeKind", "", WHY)),
        refusing(("spec.clusterIP", "", "field is immutable")),
    ],
)
def test_where_something_else_is_wrong_nothing_is_left_out(error: ApiError) -> None:
    """It would be just as wrong without."""
    assert refused_fields(mirror_service(service_with(**DUAL), "east", Features()), error) == {}


def host_with(**spec: Any) -> NaiveHost:
    """A host with the mirror of a plain Service, to which it added this."""
    host = converged(alone(exporting(service_with(), BEHIND)))
    host.objects[SERVICES]["spec"] |= spec
    return host


def test_the_second_family_is_the_hosts_to_add() -> None:
    """It did so because the policy is PreferDualStack; there is nothing to take back."""
    host = host_with(ipFamilies=["IPv4", "IPv6"], ipFamilyPolicy="PreferDualStack")
    wanted = service_with(ipFamilies=["IPv4"], ipFamilyPolicy="PreferDualStack")
    assert plan_of(alone(exporting(wanted, BEHIND)), host.state).actions == ()


def test_the_first_family_of_a_mirror_stays() -> None:
    """The API lets it not change; the status says so."""
    host = host_with(ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    changed = alone(exporting(service_with(**DUAL), BEHIND))
    plan = plan_of(changed, host.state)
    update = plan.actions[0]
    assert isinstance(update, Update)
    assert update.document["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    assert "begins with IPv4, not IPv6" in plan.statuses["east"].reason
    converged(changed, host)


def test_a_mirror_of_one_family_gives_the_second_back() -> None:
    """With its address."""
    addresses = ["10.96.0.10", "fd00::a"]
    held = {"ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "PreferDualStack"}
    host = host_with(**held, clusterIPs=addresses)
    wanted = service_with(ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    update = plan_of(alone(exporting(wanted, BEHIND)), host.state).actions[0]
    assert isinstance(update, Update)
    assert update.document["spec"]["ipFamilies"] == ["IPv4"]
    assert update.document["spec"]["clusterIPs"] == addresses[:1]


def test_a_timeout_that_the_host_completes_is_no_difference() -> None:
    """Where the source's own was refused."""
    wanted = alone(exporting(service_with(sessionAffinity="ClientIP"), BEHIND))
    host = converged(wanted)
    config = {"clientIP": {"timeoutSeconds": 10800}}
    host.objects[SERVICES]["spec"]["sessionAffinityConfig"] = config
    assert plan_of(wanted, host.state).actions == ()
    converged(alone(exporting(service_with(), BEHIND)), host)
    assert "sessionAffinityConfig" not in host.objects[SERVICES]["spec"]


def test_what_cannot_change_in_place_is_made_anew() -> None:
    """Deleted with the reason, then created; only where there is something to change."""
    external = {"type": "ExternalName", "externalName": "db.example"}
    before = alone(exporting({**service_with(), "spec": external}, None))
    host = converged(before)
    after = alone(exporting(service_with(), BEHIND))
    plan = make_plan("a/x", after.sources, host.state, after.features, recreate=True)
    (delete,) = plan.actions
    assert isinstance(delete, Delete)
    assert delete.why == "the API refuses to change it in place"
    host.carry_out(delete)
    assert isinstance(plan_of(after, host.state).actions[0], Create)
    converged(after, host)
    assert make_plan("a/x", after.sources, host.state, after.features, recreate=True).actions == ()


def test_what_is_made_anew_keeps_its_cluster_ip() -> None:
    """Where it had one, and is to have one."""
    host = converged(alone(exporting(service_with(), BEHIND)))
    address = host.objects[SERVICES]["spec"]["clusterIP"]
    changed = alone(exporting(service_with(sessionAffinity="ClientIP"), BEHIND))
    (delete,) = make_plan(
        "a/x", changed.sources, host.state, changed.features, recreate=True
    ).actions
    assert isinstance(delete, Delete)
    assert delete.cluster_ip == address
    host.carry_out(delete)
    create, *_ = make_plan(
        "a/x", changed.sources, host.state, changed.features, cluster_ip=address
    ).actions
    assert isinstance(create, Create)
    assert create.document["spec"]["clusterIP"] == address
    for spec in ({"clusterIP": "None"}, {"type": "ExternalName", "externalName": "db.example"}):
        other = alone(exporting(service_with(**spec), BEHIND))
        create, *_ = make_plan(
            "a", other.sources, host.state, other.features, cluster_ip=address
        ).actions
        assert isinstance(create, Create)
        assert create.document["spec"].get("clusterIP") != address


@pytest.mark.parametrize(
    ("before", "after", "becomes"),
    [("172.20.0.9", "None", "headless"), ("None", "172.20.0.9", "one with a cluster IP")],
)
def test_headless_and_back_is_made_anew_with_the_reason(
    before: str, after: str, becomes: str
) -> None:
    """Its slices stay meanwhile."""
    host = converged(alone(exporting(service_with(clusterIP=before), BEHIND)))
    changed = alone(exporting(service_with(clusterIP=after), BEHIND))
    (delete,) = plan_of(changed, host.state).actions
    assert isinstance(delete, Delete)
    assert delete.why == f"it becomes {becomes}, and the API lets no clusterIP come or go"
