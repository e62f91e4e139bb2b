"""What an API server does to EndpointSlices: defaults, limits, what may not change."""

from __future__ import annotations

from typing import Any

import pytest
from versions import kinds_since

from servicereflector.kube.resources import ENDPOINTSLICES
from servicereflector.testing.envtest import ApiServer

from .api import Api, ensured, fields


@pytest.fixture(params=kinds_since(21))
def real(request: pytest.FixtureRequest) -> ApiServer | None:
    """discovery.k8s.io/v1 came with 1.21."""
    if request.param == "embedded":
        return None
    server: ApiServer = request.getfixturevalue("real_server")
    return server


def a_slice(api: Api, **members: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "a-1",
            "namespace": api.namespace,
            "labels": {"kubernetes.io/service-name": "a"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.1.2.3"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 8080}],
        **members,
    }


async def refused_fields(api: Api, **members: Any) -> set[str]:
    """The fields that the refusal of a new slice names; it must be a 422."""
    refused = await api.refusal(api.create(ENDPOINTSLICES, a_slice(api, **members)))
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert refused.details is not None
    assert refused.details["kind"] == "EndpointSlice"
    assert refused.details["group"] == "discovery.k8s.io"
    return fields(refused)


@ensured
async def test_a_slice_is_kept_as_it_is_but_for_its_ports(api: Api) -> None:
    """They are given a name and a protocol."""
    endpoint = {
        "addresses": ["10.1.2.3"],
        "conditions": {"ready": False, "serving": True, "terminating": True},
        "hostname": "pod-0",
        "zone": "z",
        "nodeName": "n",
        "hints": {"forZones": [{"name": "z"}]},
    }
    created = await api.create(
        ENDPOINTSLICES, a_slice(api, endpoints=[endpoint], ports=[{"port": 80}, {"name": "all"}])
    )
    assert created["addressType"] == "IPv4"
    assert created["endpoints"] == [endpoint]
    assert created["ports"] == [
        {"name": "", "port": 80, "protocol": "TCP"},
        {"name": "all", "protocol": "TCP"},
    ]
    assert (await api.get(ENDPOINTSLICES, "a-1"))["endpoints"] == [endpoint]


@ensured
async def test_a_slice_may_be_empty(api: Api) -> None:
    created = await api.create(ENDPOINTSLICES, a_slice(api, endpoints=[], ports=[]))
    assert not created["endpoints"]
    assert not created["ports"]


@pytest.mark.parametrize(
    ("address_type", "address"), [("IPv6", "2001:db8::1"), ("FQDN", "pod.example.org")]
)
@ensured
async def test_a_slice_is_of_one_type(api: Api, address_type: str, address: str) -> None:
    members = {"addressType": address_type, "endpoints": [{"addresses": [address]}]}
    created = await api.create(ENDPOINTSLICES, a_slice(api, **members))
    assert created["addressType"] == address_type


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"addressType": ""}, "addressType"),
        ({"addressType": "IPv5"}, "addressType"),
        ({"endpoints": [{"addresses": []}]}, "endpoints[0].addresses"),
        ({"endpoints": [{"addresses": ["2001:db8::1"]}]}, "endpoints[0].addresses[0]"),
        ({"endpoints": [{"addresses": ["127.0.0.1"]}]}, "endpoints[0].addresses[0]"),
        ({"endpoints": [{"addresses": ["x"]}]}, "endpoints[0].addresses[0]"),
        (
            {"endpoints": [{"addresses": ["10.0.0.1"], "hostname": "a.b"}]},
            "endpoints[0].hostname",
        ),
        ({"ports": [{"port": 1}, {"port": 2}]}, "ports[1].name"),
        ({"ports": [{"port": 1, "protocol": "ICMP"}]}, "ports[0].protocol"),
        ({"ports": [{"port": 1, "appProtocol": "no good"}]}, "ports[0].appProtocol"),
        ({"endpoints": [{"addresses": ["10.0.0.1"]}] * 1001}, "endpoints"),
    ],
)
@ensured
async def test_what_a_slice_may_not_hold_is_refused(
    api: Api, members: dict[str, Any], field: str
) -> None:
    assert field in await refused_fields(api, **members)


@ensured
async def test_the_type_of_a_slice_does_not_change(api: Api) -> None:
    created = await api.create(ENDPOINTSLICES, a_slice(api, endpoints=[]))
    refused = await api.refusal(api.update(ENDPOINTSLICES, {**created, "addressType": "IPv6"}))
    assert refused.code == 422
    assert "addressType" in fields(refused)


@ensured
async def test_a_slice_of_a_thousand_endpoints_is_taken(api: Api) -> None:
    endpoints = [{"addresses": [f"10.2.{n // 250}.{n % 250}"]} for n in range(1, 1001)]
    created = await api.create(ENDPOINTSLICES, a_slice(api, endpoints=endpoints))
    assert len(created["endpoints"]) == 1000
