"""What follows from the host's refusals: each leads somewhere else once, and never in a circle."""

from __future__ import annotations

import pytest

from servicereflector.kube.objects import Json
from servicereflector.kube.resources import ENDPOINTSLICES, SERVICES, Resource
from servicereflector.kube.status import ApiError, invalid
from servicereflector.mirror.features import Features
from servicereflector.mirror.plan import Action, Create, Delete, Update
from servicereflector.reflector.refusals import Course, Refusals

KEY = "shop/cart"


def service(**spec: object) -> Json:
    return {"metadata": {"namespace": "shop", "name": "cart"}, "spec": spec}


def refused(field: str, message: str = "no") -> ApiError:
    return invalid("Service", "cart", (field, "FieldValueInvalid", message))


def rbac(verb: str, plural: str = "endpointslices") -> ApiError:
    return ApiError(
        403,
        f'{plural}.discovery.k8s.io is forbidden: User "u" cannot {verb} resource "{plural}" in API'
        ' group "discovery.k8s.io" in the namespace "shop"',
    )


def test_an_optional_field_is_left_out_from_now_on() -> None:
    """For the whole host, by the value that it refused."""
    refusals = Refusals()
    action = Create(SERVICES, service(trafficDistribution="PreferClose"))
    assert (
        refusals.judge(KEY, action, refused("spec.trafficDistribution"), refusals.apply(Features()))
        is Course.AGAIN
    )
    (refusal,) = refusals.apply(Features()).refused.items()
    assert refusal[0] == ("spec.trafficDistribution", '"PreferClose"')


def test_a_field_that_is_left_out_and_still_refused_is_not_tried_again() -> None:
    """Nothing goes round in circles."""
    refusals = Refusals()
    action = Create(SERVICES, service(trafficDistribution="PreferClose"))
    refusals.judge(KEY, action, refused("spec.trafficDistribution"), Features())
    assert (
        refusals.judge(KEY, action, refused("spec.trafficDistribution"), refusals.apply(Features()))
        is Course.HOLD
    )


def test_what_was_planned_before_a_refusal_is_planned_again() -> None:
    """Sixteen Services are written at a time, and the host refuses the field of each."""
    refusals = Refusals()
    planned = refusals.apply(Features())
    create = Create(SERVICES, service(trafficDistribution="PreferClose"))
    for key in ("shop/a", "shop/b"):
        error = refused("spec.trafficDistribution")
        assert refusals.judge(key, create, error, planned) is Course.AGAIN
    slices = Create(ENDPOINTSLICES, service())
    assert refusals.judge("shop/a", slices, rbac("create"), planned) is Course.EVERYTHING
    assert refusals.judge("shop/b", slices, rbac("create"), planned) is Course.AGAIN


@pytest.mark.parametrize("field", ["spec.clusterIP", "spec.clusterIPs[0]", "spec.type"])
def test_a_change_that_is_not_allowed_in_place_recreates_once(field: str) -> None:
    """What the API allocates is no new change; another spec is."""
    refusals = Refusals()
    error = refused(field)
    update = Update(SERVICES, service(type="ClusterIP", clusterIP="10.0.0.1"))
    assert refusals.judge(KEY, update, error, refusals.apply(Features())) is Course.AGAIN
    assert refusals.recreate(KEY)
    assert not refusals.recreate("shop/other")
    refusals.done(KEY)
    assert not refusals.recreate(KEY)
    again = Update(SERVICES, service(type="ClusterIP", clusterIP="10.0.0.2"))
    assert refusals.judge(KEY, again, error, refusals.apply(Features())) is Course.HOLD
    other = Update(SERVICES, service(type="ExternalName", externalName="a.example"))
    assert refusals.judge(KEY, other, error, refusals.apply(Features())) is Course.AGAIN


def test_the_cluster_ip_of_what_is_made_anew_is_asked_for_once() -> None:
    """Whoever took it meanwhile keeps it."""
    refusals = Refusals()
    refusals.carried_out(KEY, Delete(SERVICES, "shop", "cart", "u", 1, cluster_ip="10.0.0.1"))
    assert (refusals.cluster_ip(KEY), refusals.cluster_ip("shop/other")) == ("10.0.0.1", "")
    create = Create(SERVICES, service(clusterIP="10.0.0.1"))
    assert refusals.judge(KEY, create, refused("spec.clusterIPs"), Features()) is Course.AGAIN
    assert refusals.cluster_ip(KEY) == ""
    assert refusals.judge(KEY, create, refused("spec.clusterIPs"), Features()) is Course.HOLD


def test_the_cluster_ip_is_forgotten_once_it_is_there_again() -> None:
    refusals = Refusals()
    refusals.carried_out(KEY, Delete(SERVICES, "shop", "cart", "u", 1, cluster_ip="10.0.0.1"))
    refusals.carried_out(KEY, Create(ENDPOINTSLICES, service()))
    assert refusals.cluster_ip(KEY) == "10.0.0.1"
    refusals.carried_out(KEY, Create(SERVICES, service()))
    assert refusals.cluster_ip(KEY) == ""


@pytest.mark.parametrize(
    ("action", "error"),
    [
        (Create(SERVICES, service(type="ClusterIP")), refused("spec.type")),
        (Update(SERVICES, service(ports=[])), refused("spec.ports")),
        (Update(SERVICES, service(ports=[])), refused("spec.typeOfSorts")),
        (Update(SERVICES, service(ports=[])), ApiError(422, "no", details={"causes": 7})),
        (Update(SERVICES, service(ports=[])), ApiError(422, "no")),
        (Create(ENDPOINTSLICES, service()), refused("endpoints[0].addresses[0]")),
        (Delete(SERVICES, "shop", "cart", "u", 1), refused("spec.type")),
    ],
)
def test_what_no_plan_can_avoid_waits_for_a_change(action: Action, error: ApiError) -> None:
    """A second try would end the same."""
    refusals = Refusals()
    assert refusals.judge(KEY, action, error, refusals.apply(Features())) is Course.HOLD
    assert not refusals.recreate(KEY)


@pytest.mark.parametrize(
    ("resource", "error"),
    [
        (SERVICES, ApiError(500, "etcd is away")),
        (SERVICES, ApiError(409, "changed")),
        (SERVICES, rbac("create", "services")),
        (
            ENDPOINTSLICES,
            ApiError(403, "endpointslices is forbidden: the namespace is terminating"),
        ),
        (ENDPOINTSLICES, ApiError(403, "endpoint address 10.0.0.1 is not allowed")),
    ],
)
def test_what_may_pass_is_tried_again(resource: Resource, error: ApiError) -> None:
    """Admission's 403 is of one object or one namespace: the others keep their slices."""
    refusals = Refusals()
    assert (
        refusals.judge(KEY, Create(resource, service()), error, refusals.apply(Features()))
        is Course.RETRY
    )
    assert refusals.slices


def test_a_role_without_slices_turns_them_off() -> None:
    """It is the authorizer who says so: every key would hear the same."""
    refusals = Refusals()
    create = Create(ENDPOINTSLICES, service())
    assert (
        refusals.judge(KEY, create, rbac("create"), refusals.apply(Features())) is Course.EVERYTHING
    )
    assert not refusals.apply(Features()).endpoint_slices
    assert not Refusals().apply(Features(endpoint_slices=False)).endpoint_slices
