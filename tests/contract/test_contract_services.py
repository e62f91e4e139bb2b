"""What an API server does to Services: defaults, clusterIPs, types, ports."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from servicereflector.kube.resources import ENDPOINTS, SERVICES
from servicereflector.kube.status import ApiError

from .api import Api, ensured, fields

#: The minor version since which what an update leaves out of the allocated is kept. 1.20 measured;
#: the boundary is taken from the history of pkg/registry/core/service.
PATCHES_ALLOCATED = 23

INSIDE = ipaddress.ip_network("10.96.0.0/16")


async def refused_spec(api: Api, **spec: Any) -> ApiError:
    """The refusal of a new Service with this spec, which must be a 422."""
    refused = await api.refusal(api.create(SERVICES, api.service("a", **spec)))
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert refused.details is not None
    assert refused.details["name"] == "a"
    assert refused.details["kind"] == "Service"
    return refused


@ensured
async def test_a_service_is_given_defaults(api: Api) -> None:
    created = await api.create(SERVICES, api.service("a", ports=[{"port": 80}]))
    spec = created["spec"]
    assert spec["type"] == "ClusterIP"
    assert spec["sessionAffinity"] == "None"
    assert spec["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert created["status"] == {"loadBalancer": {}}
    if api.minor >= 26:  # ServiceInternalTrafficPolicy
        assert spec["internalTrafficPolicy"] == "Cluster"


@ensured
async def test_client_ip_affinity_is_given_its_timeout(api: Api) -> None:
    created = await api.create(SERVICES, api.service("a", sessionAffinity="ClientIP"))
    assert created["spec"]["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}


@ensured
async def test_cluster_ips_are_allocated_in_the_range_and_only_once(api: Api) -> None:
    allocated = set()
    for name in ("a", "b", "c"):
        spec = (await api.create(SERVICES, api.service(name)))["spec"]
        assert spec["clusterIPs"] == [spec["clusterIP"]]
        assert ipaddress.ip_address(spec["clusterIP"]) in INSIDE
        allocated.add(spec["clusterIP"])
    assert len(allocated) == 3


@ensured
async def test_a_cluster_ip_can_be_asked_for_once(api: Api, request: pytest.FixtureRequest) -> None:
    wanted = str(INSIDE[20000 + abs(hash(request.node.nodeid)) % 20000])
    created = await api.create(SERVICES, api.service("b", clusterIP=wanted))
    assert created["spec"]["clusterIP"] == wanted
    refused = await refused_spec(api, clusterIP=wanted)
    assert fields(refused) & {"spec.clusterIP", "spec.clusterIPs"}
    assert "already allocated" in refused.message


@ensured
async def test_the_cluster_ip_of_a_deleted_service_is_free_again(api: Api) -> None:
    wanted = (await api.create(SERVICES, api.service("a")))["spec"]["clusterIP"]
    await api.delete(SERVICES, "a")
    created = await api.create(SERVICES, api.service("b", clusterIP=wanted))
    assert created["spec"]["clusterIP"] == wanted


@pytest.mark.parametrize("address", ["192.0.2.1", "no-address"])
@ensured
async def test_a_cluster_ip_from_elsewhere_is_refused(api: Api, address: str) -> None:
    refused = await refused_spec(api, clusterIP=address)
    assert fields(refused) & {"spec.clusterIP", "spec.clusterIPs", "spec.clusterIPs[0]"}


@ensured
async def test_a_headless_service_has_no_address(api: Api) -> None:
    spec = (await api.create(SERVICES, api.service("a", clusterIP="None")))["spec"]
    assert spec["clusterIP"] == "None"
    assert spec["clusterIPs"] == ["None"]


@ensured
async def test_a_headless_service_needs_no_ports(api: Api) -> None:
    created = await api.create(SERVICES, api.service("a", clusterIP="None", ports=[]))
    assert not created["spec"].get("ports")


@ensured
async def test_an_update_may_leave_the_cluster_ip_out(api: Api) -> None:
    created = await api.create(SERVICES, api.service("a"))
    document = api.service("a", selector={"app": "a"})
    document["metadata"]["resourceVersion"] = created["metadata"]["resourceVersion"]
    if api.minor < PATCHES_ALLOCATED:
        refused = await api.refusal(api.update(SERVICES, document))
        assert (refused.code, refused.reason) == (422, "Invalid")
        return
    updated = await api.update(SERVICES, document)
    assert updated["spec"]["clusterIP"] == created["spec"]["clusterIP"]
    assert updated["spec"]["selector"] == {"app": "a"}


@pytest.mark.parametrize(("before", "after"), [("", "None"), ("None", "10.96.200.1")])
@ensured
async def test_a_cluster_ip_cannot_be_changed(api: Api, before: str, after: str) -> None:
    document = await api.create(SERVICES, api.service("a", clusterIP=before))
    document["spec"]["clusterIP"] = after
    document["spec"]["clusterIPs"] = [after]
    refused = await api.refusal(api.update(SERVICES, document))
    assert (refused.code, refused.reason) == (422, "Invalid")
    assert fields(refused) & {"spec.clusterIP", "spec.clusterIPs", "spec.clusterIPs[0]"}


@ensured
async def test_an_external_name_has_no_address(api: Api) -> None:
    document = api.service("a", type="ExternalName", externalName="example.org", ports=[])
    spec = (await api.create(SERVICES, document))["spec"]
    assert spec["externalName"] == "example.org"
    assert not spec.get("clusterIP")
    assert not spec.get("clusterIPs")


@ensured
async def test_an_external_name_needs_a_name(api: Api) -> None:
    refused = await refused_spec(api, type="ExternalName")
    assert "spec.externalName" in fields(refused)


@ensured
async def test_a_service_becomes_an_external_name_and_comes_back(api: Api) -> None:
    document = await api.create(SERVICES, api.service("a"))
    ports = document["spec"]["ports"]
    document["spec"] = {"type": "ExternalName", "externalName": "example.org", "ports": ports}
    external = await api.update(SERVICES, document)
    assert not external["spec"].get("clusterIP")
    document = external
    document["spec"] = {"type": "ClusterIP", "ports": ports}
    back = await api.update(SERVICES, document)
    assert ipaddress.ip_address(back["spec"]["clusterIP"]) in INSIDE


@ensured
async def test_a_service_needs_ports(api: Api) -> None:
    refused = await refused_spec(api, ports=[])
    assert fields(refused) == {"spec.ports"}
    assert refused.causes == ("FieldValueRequired",)


@pytest.mark.parametrize("number", [0, 65536, -1])
@ensured
async def test_a_port_out_of_range_is_refused(api: Api, number: int) -> None:
    refused = await refused_spec(api, ports=[{"port": number, "protocol": "TCP"}])
    assert "spec.ports[0].port" in fields(refused)


@ensured
async def test_several_ports_need_names(api: Api) -> None:
    refused = await refused_spec(api, ports=[{"port": 80}, {"port": 81}])
    assert fields(refused) == {"spec.ports[0].name", "spec.ports[1].name"}
    assert set(refused.causes) == {"FieldValueRequired"}


@ensured
async def test_port_names_are_unique(api: Api) -> None:
    refused = await refused_spec(api, ports=[{"name": "a", "port": 80}, {"name": "a", "port": 81}])
    assert fields(refused) == {"spec.ports[1].name"}
    assert refused.causes == ("FieldValueDuplicate",)


@ensured
async def test_a_port_stands_once_for_each_protocol(api: Api) -> None:
    ports = [
        {"name": "tcp", "port": 53, "protocol": "TCP"},
        {"name": "udp", "port": 53, "protocol": "UDP"},
    ]
    assert await api.create(SERVICES, api.service("b", ports=ports))
    ports.append({"name": "more", "port": 53, "protocol": "UDP"})
    refused = await refused_spec(api, ports=ports)
    assert fields(refused) == {"spec.ports[2]"}
    assert refused.causes == ("FieldValueDuplicate",)


@pytest.mark.parametrize("member", ["type", "sessionAffinity"])
@ensured
async def test_a_value_outside_its_set_is_refused(api: Api, member: str) -> None:
    refused = await refused_spec(api, **{member: "Strange"})
    assert f"spec.{member}" in fields(refused)
    assert "FieldValueNotSupported" in refused.causes


@ensured
async def test_an_unknown_protocol_is_refused(api: Api) -> None:
    refused = await refused_spec(api, ports=[{"port": 80, "protocol": "XYZ"}])
    assert fields(refused) == {"spec.ports[0].protocol"}
    assert refused.causes == ("FieldValueNotSupported",)


@ensured
async def test_a_node_port_is_allocated_and_kept(api: Api) -> None:
    document = await api.create(SERVICES, api.service("a", type="NodePort"))
    number = document["spec"]["ports"][0]["nodePort"]
    assert 30000 <= number < 32768
    del document["spec"]["ports"][0]["nodePort"]
    updated = await api.update(SERVICES, document)
    if api.minor >= PATCHES_ALLOCATED:
        assert updated["spec"]["ports"][0]["nodePort"] == number
    assert 30000 <= updated["spec"]["ports"][0]["nodePort"] < 32768


@ensured
async def test_a_deleted_service_takes_its_endpoints_along(api: Api) -> None:
    for name in ("a", "b"):
        await api.create(SERVICES, api.service(name))
        await api.create(ENDPOINTS, api.endpoints(name))
    await api.delete(SERVICES, "a")
    left = (await api.list(ENDPOINTS))["items"]
    assert [item["metadata"]["name"] for item in left] == ["b"]


@ensured
async def test_deleted_endpoints_leave_their_service(api: Api) -> None:
    await api.create(SERVICES, api.service("a"))
    await api.create(ENDPOINTS, api.endpoints("a"))
    await api.delete(ENDPOINTS, "a")
    assert await api.get(SERVICES, "a")


@ensured
async def test_the_kubernetes_service_is_there(api: Api) -> None:
    api.namespace = "default"
    spec = (await api.get(SERVICES, "kubernetes"))["spec"]
    assert spec["clusterIP"] == str(INSIDE[1])
    assert spec["ports"][0]["name"] == "https"
