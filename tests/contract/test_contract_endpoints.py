"""What an API server does to Endpoints: checks, and the form in which they are kept."""

from __future__ import annotations

from typing import Any

import pytest

from servicereflector.kube.resources import ENDPOINTS
from servicereflector.kube.status import ApiError

from .api import Api, ensured, fields


async def refused_subset(api: Api, **subset: Any) -> ApiError:
    """The refusal of new Endpoints with this subset, which must be a 422."""
    document = api.endpoints("a")
    document["subsets"][0] |= subset
    refused = await api.refusal(api.create(ENDPOINTS, document))
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert refused.details is not None
    assert refused.details["name"] == "a"
    assert refused.details["kind"] == "Endpoints"
    return refused


@pytest.mark.parametrize(
    "address",
    ["", "no-address", "10.0.0.256", "127.0.0.1", "169.254.1.1", "224.0.0.1", "0.0.0.0", "::1"],
)
@ensured
async def test_an_address_that_no_pod_has_is_refused(api: Api, address: str) -> None:
    refused = await refused_subset(api, addresses=[{"ip": address}])
    assert fields(refused) == {"subsets[0].addresses[0].ip"}
    assert set(refused.causes) <= {"FieldValueInvalid", "FieldValueRequired"}


@ensured
async def test_addresses_that_are_not_ready_are_checked_too(api: Api) -> None:
    refused = await refused_subset(api, notReadyAddresses=[{"ip": "10.1.1.1"}, {"ip": "x"}])
    assert fields(refused) == {"subsets[0].notReadyAddresses[1].ip"}


@pytest.mark.parametrize("number", [0, 65536])
@ensured
async def test_a_port_out_of_range_is_refused(api: Api, number: int) -> None:
    refused = await refused_subset(api, ports=[{"port": number, "protocol": "TCP"}])
    assert fields(refused) == {"subsets[0].ports[0].port"}


@ensured
async def test_several_ports_need_names(api: Api) -> None:
    refused = await refused_subset(api, ports=[{"port": 80}, {"port": 81}])
    assert fields(refused) == {"subsets[0].ports[0].name", "subsets[0].ports[1].name"}
    assert set(refused.causes) == {"FieldValueRequired"}


@ensured
async def test_an_unknown_protocol_is_refused(api: Api) -> None:
    refused = await refused_subset(api, ports=[{"port": 80, "protocol": "XYZ"}])
    assert fields(refused) == {"subsets[0].ports[0].protocol"}


@ensured
async def test_a_subset_without_addresses_is_refused(api: Api) -> None:
    refused = await refused_subset(api, addresses=[])
    assert fields(refused) == {"subsets[0]"}
    assert refused.causes == ("FieldValueRequired",)


@ensured
async def test_endpoints_may_be_empty(api: Api) -> None:
    created = await api.create(ENDPOINTS, {**api.endpoints("a"), "subsets": []})
    assert not created.get("subsets")


@ensured
async def test_a_subset_needs_no_ports(api: Api) -> None:
    document = api.endpoints("a")
    del document["subsets"][0]["ports"]
    created = await api.create(ENDPOINTS, document)
    assert created["subsets"] == document["subsets"]


@ensured
async def test_a_port_is_given_its_protocol(api: Api) -> None:
    document = api.endpoints("a")
    document["subsets"][0]["ports"] = [{"port": 80}]
    created = await api.create(ENDPOINTS, document)
    assert created["subsets"][0]["ports"] == [{"port": 80, "protocol": "TCP"}]


@ensured
async def test_addresses_are_kept_in_their_order(api: Api) -> None:
    document = api.endpoints("a", "10.1.0.2", "10.1.0.1", "10.1.0.2")
    created = await api.create(ENDPOINTS, document)
    assert created["subsets"] == document["subsets"]


@ensured
async def test_subsets_are_kept_apart(api: Api) -> None:
    document = api.endpoints("a", "10.1.0.2")
    document["subsets"] += api.endpoints("a", "10.1.0.1")["subsets"]
    created = await api.create(ENDPOINTS, document)
    assert created["subsets"] == document["subsets"]
    document["metadata"]["labels"] = {"changed": "yes"}
    document["metadata"]["resourceVersion"] = created["metadata"]["resourceVersion"]
    updated = await api.update(ENDPOINTS, document)
    assert updated["subsets"] == document["subsets"]


@ensured
async def test_an_address_is_ready_in_one_subset_and_not_in_another(api: Api) -> None:
    document = api.endpoints("a", "10.1.0.1")
    document["subsets"].append(
        {
            "notReadyAddresses": [{"ip": "10.1.0.1"}],
            "ports": [{"name": "more", "port": 9, "protocol": "TCP"}],
        }
    )
    subsets = (await api.create(ENDPOINTS, document))["subsets"]
    assert len(subsets) == 2


@ensured
async def test_what_else_an_address_says_is_kept(api: Api) -> None:
    document = api.endpoints("a")
    target = {"kind": "Pod", "namespace": api.namespace, "name": "a-0", "uid": "1"}
    address = {"ip": "10.1.0.1", "hostname": "a-0", "nodeName": "n", "targetRef": target}
    document["subsets"][0]["addresses"] = [address]
    created = await api.create(ENDPOINTS, document)
    assert created["subsets"][0]["addresses"] == [address]
