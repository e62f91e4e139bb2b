"""EndpointSlices from one real cluster to another. Only where they serve discovery.k8s.io/v1."""

from __future__ import annotations

from typing import Any

from servicereflector.kube.slices import MANAGED_BY, MANAGER, SERVICE_NAME

from .clusters import Cluster, Json, RunningProgram, eventually

_SLICES = "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices"


def put_slice(cluster: Cluster, key: str, name: str, *ips: str, **members: Any) -> Json:
    namespace, service = key.split("/")
    document = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {SERVICE_NAME: service}},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [ip], "conditions": {"ready": True}, "hostname": f"pod-{n}"}
            for n, ip in enumerate(ips)
        ],
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
        **members,
    }
    path = _SLICES.format(namespace)
    code, known = cluster.call("GET", f"{path}/{name}")
    if code == 404:
        return cluster.must("POST", path, document)
    document["metadata"]["resourceVersion"] = known["metadata"]["resourceVersion"]
    return cluster.must("PUT", f"{path}/{name}", document)


def mirrors(cluster: Cluster, key: str) -> list[Json]:
    """The slices that the program keeps for the Service."""
    namespace, service = key.split("/")
    found = cluster.must("GET", _SLICES.format(namespace))["items"]
    labels = {SERVICE_NAME: service, MANAGED_BY: MANAGER}
    return [one for one in found if labels.items() <= one["metadata"]["labels"].items()]


def addresses(cluster: Cluster, key: str) -> list[str]:
    slices = mirrors(cluster, key)
    return sorted(a for s in slices for e in s["endpoints"] or () for a in e["addresses"])


def test_slices_are_mirrored_one_to_one(
    east: Cluster, west: Cluster, reflector: RunningProgram
) -> None:
    """And the change of one address is the write of one slice."""
    east.namespace("shop")
    east.create("services", "shop/cart", spec={"ports": [{"port": 80}]})
    put_slice(east, "shop/cart", "cart-a", "10.9.0.1", "10.9.0.2")
    put_slice(east, "shop/cart", "cart-b", "10.9.1.1")
    everything = ["10.9.0.1", "10.9.0.2", "10.9.1.1"]
    eventually("the slices are there", lambda: addresses(west, "shop/cart") == everything)
    eventually("the Endpoints are there", lambda: west.ips("shop/cart") == everything)
    before = {s["metadata"]["name"]: s for s in mirrors(west, "shop/cart")}
    assert len(before) == 2
    put_slice(east, "shop/cart", "cart-b", "10.9.1.2")
    everything[2] = "10.9.1.2"
    eventually("the address has changed", lambda: addresses(west, "shop/cart") == everything)
    after = {s["metadata"]["name"]: s for s in mirrors(west, "shop/cart")}
    assert sum(after[name] != before[name] for name in before) == 1
    assert after.keys() == before.keys()


def test_nothing_is_left_of_a_service_that_is_gone(
    east: Cluster, west: Cluster, reflector: RunningProgram
) -> None:
    east.namespace("gone")
    east.create("services", "gone/cart", spec={"ports": [{"port": 80}]})
    put_slice(east, "gone/cart", "cart-a", "10.9.2.1")
    eventually("the mirror is there", lambda: mirrors(west, "gone/cart"))
    east.delete("services", "gone/cart")
    eventually("the Service is gone", lambda: west.get("services", "gone/cart") is None)
    eventually("its slices are gone", lambda: not mirrors(west, "gone/cart"))
    assert west.get("endpoints", "gone/cart") is None


def test_a_source_with_endpoints_alone_is_mirrored_as_slices_too(
    east: Cluster, west: Cluster, reflector: RunningProgram
) -> None:
    east.namespace("old")
    east.export("old/cart", "10.9.3.1", "10.9.3.2")
    eventually(
        "the slices are there", lambda: addresses(west, "old/cart") == ["10.9.3.1", "10.9.3.2"]
    )
    endpoints = west.get("endpoints", "old/cart")
    assert endpoints is not None
    assert endpoints["metadata"]["labels"]["endpointslice.kubernetes.io/skip-mirror"] == "true"
