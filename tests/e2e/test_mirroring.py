"""One Emitter, one Reflector, two real clusters: each change is seen within a second."""

from __future__ import annotations

import pytest

from .clusters import Cluster, Json, eventually, subsets

pytestmark = pytest.mark.usefixtures("reflector")

#: Seconds within which a change must be seen in the other cluster; it takes some hundredths.
SOON = 1.0


@pytest.fixture(scope="module", autouse=True)
def shop(east: Cluster) -> None:
    east.namespace("shop")


def service(cluster: Cluster, key: str) -> Json:
    return eventually(f"Service {key}", lambda: cluster.get("services", key), SOON)


def test_a_service_appears_with_an_address_of_the_host_and_the_pods_of_the_source(
    east: Cluster, west: Cluster
) -> None:
    """The namespace is created with it."""
    east.export("shop/create", "10.9.0.1")
    eventually("the Endpoints", lambda: west.ips("shop/create") == ["10.9.0.1"], SOON)
    mirror = service(west, "shop/create")
    assert mirror["spec"]["clusterIP"].startswith("10.2.")
    assert "selector" not in mirror["spec"]
    annotations = mirror["metadata"]["annotations"]
    assert annotations["service-reflector.squat.ai/reflected"] == "true"
    assert annotations["service-reflector.squat.ai/source"] == "east"
    namespace = west.must("GET", "/api/v1/namespaces/shop")
    assert namespace["metadata"]["annotations"] == {"service-reflector.squat.ai/reflected": "true"}


def test_a_change_of_ports_keeps_the_cluster_ip(east: Cluster, west: Cluster) -> None:
    east.export("shop/ports", "10.9.0.1")
    before = service(west, "shop/ports")["spec"]["clusterIP"]
    east.change("services", "shop/ports", lambda s: s["spec"].update(ports=[{"port": 81}]))
    eventually(
        "port 81",
        lambda: [p["port"] for p in service(west, "shop/ports")["spec"]["ports"]] == [81],
        SOON,
    )
    assert service(west, "shop/ports")["spec"]["clusterIP"] == before


def test_a_change_of_addresses_arrives(east: Cluster, west: Cluster) -> None:
    east.export("shop/addresses", "10.9.0.1")
    eventually("the first", lambda: west.ips("shop/addresses") == ["10.9.0.1"], SOON)
    east.set_ips("shop/addresses", "10.9.0.2", "10.9.0.3")
    both = ["10.9.0.2", "10.9.0.3"]
    eventually("the others", lambda: west.ips("shop/addresses") == both, SOON)
    east.set_ips("shop/addresses")
    eventually("none", lambda: west.ips("shop/addresses") == [], SOON)


def test_addresses_that_are_not_ready_are_left_out(east: Cluster, west: Cluster) -> None:
    not_ready = subsets("10.9.0.1")
    not_ready[0]["notReadyAddresses"] = [{"ip": "10.9.0.9"}]
    east.create("services", "shop/ready", spec={"ports": [{"port": 80}]})
    east.create("endpoints", "shop/ready", subsets=not_ready)
    eventually("the ready one", lambda: west.ips("shop/ready") == ["10.9.0.1"], SOON)
    mirror = west.get("endpoints", "shop/ready")
    assert mirror is not None
    assert "notReadyAddresses" not in mirror["subsets"][0]


def test_a_headless_service_stays_headless_with_its_hostnames(east: Cluster, west: Cluster) -> None:
    named = subsets("10.9.0.1")
    named[0]["addresses"][0] |= {"hostname": "db-0", "nodeName": "node-of-east"}
    east.create("services", "shop/headless", spec={"clusterIP": "None", "ports": [{"port": 80}]})
    east.create("endpoints", "shop/headless", subsets=named)
    assert service(west, "shop/headless")["spec"]["clusterIP"] == "None"
    eventually("the Endpoints", lambda: west.ips("shop/headless") == ["10.9.0.1"], SOON)
    mirror = west.get("endpoints", "shop/headless")
    assert mirror is not None
    assert mirror["subsets"][0]["addresses"] == [{"ip": "10.9.0.1", "hostname": "db-0"}]


def test_an_external_name_is_mirrored_without_endpoints(east: Cluster, west: Cluster) -> None:
    spec = {"type": "ExternalName", "externalName": "db.example.com"}
    east.create("services", "shop/external", spec=spec)
    mirror = service(west, "shop/external")["spec"]
    assert (mirror["type"], mirror["externalName"]) == ("ExternalName", "db.example.com")
    assert west.get("endpoints", "shop/external") is None


def test_a_load_balancer_becomes_a_cluster_ip(east: Cluster, west: Cluster) -> None:
    """A mirror must not buy a load balancer, nor open node ports."""
    spec = {"type": "LoadBalancer", "ports": [{"port": 80}]}
    east.create("services", "shop/balanced", spec=spec)
    east.create("endpoints", "shop/balanced", subsets=subsets("10.9.0.1"))
    mirror = service(west, "shop/balanced")["spec"]
    assert mirror["type"] == "ClusterIP"
    assert "nodePort" not in mirror["ports"][0]


def test_a_service_becomes_headless(east: Cluster, west: Cluster) -> None:
    """The API does not let a clusterIP go: both Services are made anew."""
    east.export("shop/reborn", "10.9.0.1")
    first = service(west, "shop/reborn")
    east.delete("services", "shop/reborn")
    east.create("services", "shop/reborn", spec={"clusterIP": "None", "ports": [{"port": 80}]})
    east.create("endpoints", "shop/reborn", subsets=subsets("10.9.0.2"))

    def headless() -> bool:
        now = west.get("services", "shop/reborn")
        return now is not None and now["spec"]["clusterIP"] == "None"

    eventually("headless", headless, SOON)
    eventually("its Endpoints", lambda: west.ips("shop/reborn") == ["10.9.0.2"], SOON)
    assert service(west, "shop/reborn")["metadata"]["uid"] != first["metadata"]["uid"]


def test_a_deleted_service_goes(east: Cluster, west: Cluster) -> None:
    east.export("shop/delete", "10.9.0.1")
    service(west, "shop/delete")
    east.delete("services", "shop/delete")
    eventually("the Service is gone", lambda: not west.get("services", "shop/delete"), SOON)
    eventually("the Endpoints are gone", lambda: west.ips("shop/delete") is None, SOON)


def test_drift_is_repaired_and_what_others_added_stays(east: Cluster, west: Cluster) -> None:
    east.export("shop/drift", "10.9.0.1")
    eventually("the mirror", lambda: west.ips("shop/drift") == ["10.9.0.1"], SOON)

    def meddle(mirror: Json) -> None:
        mirror["spec"]["ports"][0]["port"] = 99
        mirror["metadata"]["annotations"]["example.com/added"] = "here"

    west.change("services", "shop/drift", meddle)
    west.set_ips("shop/drift", "10.9.9.9")
    eventually(
        "port 80 again", lambda: service(west, "shop/drift")["spec"]["ports"][0]["port"] == 80, SOON
    )
    eventually("the Endpoints again", lambda: west.ips("shop/drift") == ["10.9.0.1"], SOON)
    added = service(west, "shop/drift")["metadata"]["annotations"]["example.com/added"]
    assert added == "here"


def test_a_deleted_mirror_comes_back(east: Cluster, west: Cluster) -> None:
    east.export("shop/back", "10.9.0.1")
    first = service(west, "shop/back")["metadata"]["uid"]
    west.delete("services", "shop/back")
    eventually(
        "a new one", lambda: service(west, "shop/back")["metadata"]["uid"] != first, 2 * SOON
    )
    eventually("its Endpoints", lambda: west.ips("shop/back") == ["10.9.0.1"], SOON)


def test_what_somebody_made_here_is_never_touched_and_the_conflict_is_told(
    east: Cluster, west: Cluster
) -> None:
    """By an Event beside the Service, and by a metric; and mirrored once the way is free."""
    west.namespace("own")
    mine = west.create("services", "own/taken", spec={"ports": [{"port": 1}]})
    east.namespace("own")
    east.export("own/taken", "10.9.0.1")

    def event() -> Json | None:
        found = west.must("GET", "/api/v1/namespaces/own/events")["items"]
        return next((e for e in found if e["reason"] == "NameTaken"), None)

    told = eventually("an Event", event, SOON)
    assert told["involvedObject"]["uid"] == mine["metadata"]["uid"]
    assert "east" in told["message"]
    now = west.get("services", "own/taken")
    assert now is not None
    assert now["metadata"]["resourceVersion"] == mine["metadata"]["resourceVersion"]
    assert west.get("endpoints", "own/taken") is None
    west.delete("services", "own/taken")
    eventually("the mirror", lambda: west.ips("own/taken") == ["10.9.0.1"], SOON)
