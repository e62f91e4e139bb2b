"""What an API server does to Leases: what leader election stands on."""

from __future__ import annotations

from typing import Any

from servicereflector.election.service import micro_time
from servicereflector.kube.resources import LEASES

from .api import Api, ensured, fields


def a_lease(api: Api, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "it", "namespace": api.namespace}, "spec": spec}


@ensured
async def test_a_lease_is_kept_as_it_is(api: Api) -> None:
    """Also its times, to the microsecond, and that nobody holds it."""
    spec = {
        "holderIdentity": "",
        "leaseDurationSeconds": 1,
        "acquireTime": micro_time(1790000000.25),
        "renewTime": micro_time(1790000001.000001),
        "leaseTransitions": 0,
    }
    created = await api.create(LEASES, a_lease(api, **spec))
    assert created["spec"] == spec
    assert (await api.client.get(LEASES, api.namespace, "it"))["spec"] == spec


@ensured
async def test_a_lease_is_updated_by_whoever_saw_it_last(api: Api) -> None:
    """Of two that take it one wins; the other's answer is a 409."""
    created = await api.create(LEASES, a_lease(api, holderIdentity="a"))
    mine = {**created, "spec": {"holderIdentity": "b"}}
    theirs = {**created, "spec": {"holderIdentity": "c"}}
    assert (await api.client.update(LEASES, mine))["spec"] == {"holderIdentity": "b"}
    refused = await api.refusal(api.client.update(LEASES, theirs))
    assert (refused.code, refused.reason) == (409, "Conflict")


@ensured
async def test_a_second_lease_of_the_name_is_refused(api: Api) -> None:
    """As it is where two replicas start together."""
    await api.create(LEASES, a_lease(api, holderIdentity="a"))
    refused = await api.refusal(api.create(LEASES, a_lease(api, holderIdentity="b")))
    assert (refused.code, refused.reason) == (409, "AlreadyExists")


@ensured
async def test_an_update_of_a_lease_wants_its_version(api: Api) -> None:
    """Unlike one of a Service."""
    await api.create(LEASES, a_lease(api, holderIdentity="a"))
    refused = await api.refusal(api.client.update(LEASES, a_lease(api, holderIdentity="b")))
    assert (refused.code, fields(refused)) == (422, {"metadata.resourceVersion"})


@ensured
async def test_a_lease_that_is_gone_is_not_made_anew_by_its_old_uid(api: Api) -> None:
    """Without the uid, an update creates it."""
    created = await api.create(LEASES, a_lease(api, holderIdentity="a"))
    await api.client.delete(LEASES, api.namespace, "it")
    refused = await api.refusal(api.client.update(LEASES, created))
    assert (refused.code, refused.reason) == (409, "Conflict")
    made = await api.client.update(LEASES, a_lease(api, holderIdentity="b"))
    assert made["spec"] == {"holderIdentity": "b"}


@ensured
async def test_figures_that_make_no_sense_are_refused(api: Api) -> None:
    """Each by its field."""
    refused = await api.refusal(
        api.create(LEASES, a_lease(api, leaseDurationSeconds=0, leaseTransitions=-1))
    )
    assert refused.code == 422
    assert fields(refused) == {"spec.leaseDurationSeconds", "spec.leaseTransitions"}
    assert refused.details is not None
    assert refused.details["group"] == "coordination.k8s.io"
