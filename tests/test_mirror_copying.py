"""What a mirror looks like: the table of the design, row by row, and what holds in any case."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given

from servicereflector.kube.annotations import COPIED, REFLECTED, SOURCE
from servicereflector.kube.objects import Json
from servicereflector.kube.server import ServerInfo
from servicereflector.kube.subsets import flatten
from servicereflector.mirror.copying import (
    is_ignored,
    mirror_endpoints,
    mirror_namespace,
    mirror_service,
)
from servicereflector.mirror.features import Features, features_of
from servicereflector.testing import strategies as kube

NEW = Features()
OLD = features_of(ServerInfo({"major": "1", "minor": "20"}))


def service(spec: Json | None = None, **metadata: Any) -> Json:
    return {"metadata": {"name": "x", "namespace": "a", **metadata}, "spec": spec or {}}


def spec_of(spec: Json, features: Features = NEW) -> Json:
    mirrored: Json = mirror_service(service(spec), "east", features)["spec"]
    return mirrored


@given(kube.services())
def test_name_and_namespace_are_the_sources(document: Json) -> None:
    """Row: name, namespace; and nothing else of the metadata but labels and annotations."""
    metadata = mirror_service(document, "east", NEW)["metadata"]
    assert {k: metadata[k] for k in ("name", "namespace")} == {
        k: document["metadata"][k] for k in ("name", "namespace")
    }
    assert metadata.keys() == {"name", "namespace", "labels", "annotations"}


@given(kube.services())
def test_annotations_are_the_sources_and_our_marks(document: Json) -> None:
    """Row: annotations."""
    metadata = mirror_service(document, "east", NEW)["metadata"]
    told = document["metadata"].get("annotations", {})
    kept = {key: text for key, text in told.items() if not is_ignored(key)}
    copied = metadata["annotations"].pop(COPIED, "{}")
    assert metadata["annotations"] == {**kept, REFLECTED: "true", SOURCE: "east"}
    assert orjson.loads(copied).get("annotations", []) == sorted(kept)


@given(kube.services())
def test_labels_are_the_sources_and_our_mark(document: Json) -> None:
    """Row: labels."""
    metadata = mirror_service(document, "east", NEW)["metadata"]
    kept = {k: v for k, v in document["metadata"].get("labels", {}).items() if not is_ignored(k)}
    if kube.ARGOCD in document["metadata"].get("annotations", {}):
        kept.pop("app.kubernetes.io/instance", None)
    assert metadata["labels"] == {**kept, REFLECTED: "true"}
    copied = orjson.loads(metadata["annotations"].get(COPIED, "{}"))
    assert copied.get("labels", []) == sorted(kept)


@pytest.mark.parametrize(
    "key",
    [
        "app.kubernetes.io/managed-by",
        "argocd.argoproj.io/tracking-id",
        "cloud.google.com/neg",
        "control-plane.alpha.kubernetes.io/leader",
        "endpoints.kubernetes.io/last-change-trigger-time",
        "endpointslice.kubernetes.io/managed-by",
        "helm.toolkit.fluxcd.io/name",
        "kubectl.kubernetes.io/last-applied-configuration",
        "kustomize.toolkit.fluxcd.io/name",
        "meta.helm.sh/release-name",
        "service.beta.kubernetes.io/aws-load-balancer-type",
        "service.kubernetes.io/headless",
        "service-reflector.squat.ai/anything",
    ],
)
def test_keys_of_other_programs_are_ignored(key: str) -> None:
    """As label and as annotation: the owner of the original must not believe it owns the copy."""
    metadata = {"labels": {key: "v"}, "annotations": {key: "v"}}
    mirror = mirror_service(service(None, **metadata), "east", NEW)["metadata"]
    assert key not in mirror["labels"]
    assert key not in mirror["annotations"]


@pytest.mark.parametrize(
    "key",
    [
        "app.kubernetes.io/name",
        "app.kubernetes.io/managed-by-whom",
        "service.kubernetes.io/topology-mode",
        "kubectl.kubernetes.io",
        "note",
    ],
)
def test_other_keys_are_copied(key: str) -> None:
    """Also those that only begin alike."""
    mirror = mirror_service(service(None, annotations={key: "v"}), "east", NEW)
    assert mirror["metadata"]["annotations"][key] == "v"


def test_the_instance_label_is_copied_unless_argo_cd_tracks_the_object() -> None:
    """Argo CD finds its objects by it; for everybody else it is a label."""
    labels = {"app.kubernetes.io/instance": "shop"}
    plain = mirror_service(service(None, labels=labels), "east", NEW)
    assert plain["metadata"]["labels"]["app.kubernetes.io/instance"] == "shop"
    tracked = service(None, labels=labels, annotations={kube.ARGOCD: "shop"})
    assert mirror_service(tracked, "east", NEW)["metadata"]["labels"] == {REFLECTED: "true"}


@pytest.mark.parametrize("kind", ["ClusterIP", "NodePort", "LoadBalancer", None])
def test_every_other_type_becomes_cluster_ip(kind: str | None) -> None:
    """Row: spec.type: a mirrored LoadBalancer must not buy a load balancer."""
    assert spec_of({"type": kind})["type"] == "ClusterIP"


def test_an_external_name_stays_one() -> None:
    """Row: spec.type."""
    spec = spec_of({"type": "ExternalName", "externalName": "db.example"})
    assert spec == {
        "type": "ExternalName",
        "externalName": "db.example",
        "sessionAffinity": "None",
    }


def test_a_headless_service_stays_headless() -> None:
    """Row: spec.clusterIP."""
    assert spec_of({"clusterIP": "None"})["clusterIP"] == "None"


def test_the_host_allocates_the_cluster_ip() -> None:
    """Row: spec.clusterIP."""
    spec = spec_of({"clusterIP": "172.20.0.9", "clusterIPs": ["172.20.0.9"]})
    assert not {"clusterIP", "clusterIPs"} & spec.keys()


def test_ports_are_copied_without_node_ports() -> None:
    """Row: spec.ports; with the API server's own defaults."""
    ports = [
        {"name": "http", "port": 80, "targetPort": "web", "nodePort": 30080, "appProtocol": "http"},
        {"name": "dns", "port": 53, "protocol": "UDP"},
    ]
    assert spec_of({"ports": ports})["ports"] == [
        {"name": "http", "protocol": "TCP", "port": 80, "targetPort": "web", "appProtocol": "http"},
        {"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 53},
    ]


def test_session_affinity_is_copied_with_its_timeout() -> None:
    """Row: sessionAffinity(+Config)."""
    config = {"clientIP": {"timeoutSeconds": 600}}
    spec = spec_of({"sessionAffinity": "ClientIP", "sessionAffinityConfig": config})
    assert (spec["sessionAffinity"], spec["sessionAffinityConfig"]) == ("ClientIP", config)
    assert "sessionAffinityConfig" not in spec_of({"sessionAffinityConfig": config})


def test_what_a_new_host_knows_is_copied() -> None:
    """Row: publishNotReadyAddresses, trafficDistribution, ipFamilyPolicy."""
    spec = {"publishNotReadyAddresses": True, "trafficDistribution": "PreferClose"}
    spec["ipFamilyPolicy"] = "SingleStack"
    assert spec.items() <= spec_of(spec).items()


def test_what_an_old_host_does_not_know_is_not_sent() -> None:
    """It would drop it, and the mirror would never be equal."""
    spec = {"trafficDistribution": "PreferClose", "ipFamilyPolicy": "SingleStack"}
    unknown = {"trafficDistribution", "ipFamilyPolicy", "internalTrafficPolicy"}
    assert not unknown & spec_of(spec, OLD).keys()


@pytest.mark.parametrize("policy", ["PreferDualStack", "RequireDualStack"])
def test_a_host_with_one_family_is_not_refused(policy: str) -> None:
    """RequireDualStack would be."""
    assert spec_of({"ipFamilyPolicy": policy})["ipFamilyPolicy"] == "PreferDualStack"


def test_internal_traffic_policy_is_cluster() -> None:
    """Row: internalTrafficPolicy: no Pod behind a mirror is on the caller's node."""
    assert spec_of({"internalTrafficPolicy": "Local"})["internalTrafficPolicy"] == "Cluster"


NEVER_COPIED = {
    "selector",
    "externalIPs",
    "externalTrafficPolicy",
    "healthCheckNodePort",
    "loadBalancerIP",
    "loadBalancerSourceRanges",
    "loadBalancerClass",
    "allocateLoadBalancerNodePorts",
    "clusterIPs",
}


@given(kube.services(), kube.features)
def test_what_costs_money_or_opens_ports_is_never_copied(document: Json, known: Features) -> None:
    """Row: selector, loadBalancer*, externalIPs and the rest; status neither."""
    mirror = mirror_service({**document, "status": {"loadBalancer": {}}}, "east", known)
    assert mirror.keys() == {"metadata", "spec"}
    assert not NEVER_COPIED & mirror["spec"].keys()


@pytest.mark.parametrize(
    "member", ["finalizers", "ownerReferences", "managedFields", "uid", "resourceVersion"]
)
def test_what_belongs_to_the_original_is_never_copied(member: str) -> None:
    """Row: finalizers, ownerReferences, managedFields."""
    assert member not in mirror_service(service(None, **{member: ["x"]}), "east", NEW)["metadata"]


SUBSET = {
    "addresses": [
        {"ip": "10.1.0.1", "hostname": "x-0", "nodeName": "n", "targetRef": {"kind": "Pod"}}
    ],
    "notReadyAddresses": [{"ip": "10.1.0.2"}],
    "ports": [{"name": "http", "port": 8080, "protocol": "TCP", "appProtocol": "http"}],
}
BEHIND = {"metadata": {"name": "x", "namespace": "a"}, "subsets": [SUBSET]}


def test_ready_addresses_are_copied_with_hostname_without_node() -> None:
    """Row: Endpoints; ports as they are."""
    mirror = mirror_endpoints(service(), BEHIND, "east")
    assert mirror is not None
    assert mirror["subsets"] == [
        {"addresses": [{"ip": "10.1.0.1", "hostname": "x-0"}], "ports": SUBSET["ports"]}
    ]


def test_unready_addresses_are_copied_where_the_service_publishes_them() -> None:
    """As unready ones: what that means is the host's to decide."""
    mirror = mirror_endpoints(service({"publishNotReadyAddresses": True}), BEHIND, "east")
    assert mirror is not None
    assert mirror["subsets"][0]["notReadyAddresses"] == [{"ip": "10.1.0.2"}]


@given(kube.services(key="a/x"), kube.endpoints(key="a/x"))
def test_the_mirror_has_the_endpoints_that_the_service_publishes(
    document: Json, behind: Json
) -> None:
    """No more and no less, as a set."""
    mirror = mirror_endpoints(document, behind, "east")
    if document["spec"]["type"] == "ExternalName":
        assert mirror is None
        return
    assert mirror is not None
    published = document["spec"].get("publishNotReadyAddresses", False)
    expected = {one for one in flatten(behind.get("subsets")) if one[0].ready or published}
    assert flatten(mirror.get("subsets")) == expected


@given(kube.services(key="a/x"), kube.endpoints(key="a/x"))
def test_the_mirrored_endpoints_carry_their_own_labels(document: Json, behind: Json) -> None:
    """Not the Service's, and none that is ignored."""
    mirror = mirror_endpoints(document, behind, "east")
    if mirror is None:
        return
    own = {k: v for k, v in mirror["metadata"]["labels"].items() if k != REFLECTED}
    assert own.items() <= behind["metadata"].get("labels", {}).items()
    assert not any(is_ignored(key) for key in own)


def test_endpoints_that_are_gone_become_empty_ones() -> None:
    """The Service stays and answers nobody, as in its own cluster."""
    mirror = mirror_endpoints(service(), None, "east")
    assert mirror is not None
    assert "subsets" not in mirror
    assert mirror["metadata"]["name"] == "x"


def test_a_namespace_is_made_with_our_mark() -> None:
    """So that it can be told from those that people made."""
    made = mirror_namespace("a")
    assert made == {"metadata": {"name": "a", "annotations": {REFLECTED: "true"}}}


CLOSE = frozenset({"PreferClose"})
ALL = CLOSE | {"PreferSameZone", "PreferSameNode"}


@pytest.mark.parametrize(
    ("minor", "known"),
    [
        ("20", (False, False, frozenset(), False, "", {}, False, False)),
        ("21", (True, False, frozenset(), True, "", {}, False, False)),
        ("22", (True, True, frozenset(), True, "", {}, True, False)),
        ("24", (True, True, frozenset(), True, "", {}, True, True)),
        ("30+", (True, True, frozenset(), True)),
        ("31", (True, True, CLOSE, True)),
        ("34", (True, True, ALL, True)),
        ("", (True, True, ALL, True)),
        ("x", (True, True, ALL, True)),
    ],
)
def test_features_follow_the_version(minor: str, known: tuple[Any, ...]) -> None:
    """An unreadable one is the newest, as is a later major one."""
    later = ServerInfo({"major": "2", "minor": "0"})
    assert features_of(later) == Features()
    assert features_of(ServerInfo({"major": "1", "minor": minor})) == Features(*known)


@pytest.mark.parametrize(
    ("minor", "value", "sent"),
    [
        ("30", "PreferClose", None),
        ("31", "PreferClose", "PreferClose"),
        ("33", "PreferSameZone", "PreferClose"),
        ("33", "PreferSameNode", None),
        ("34", "PreferSameZone", "PreferSameZone"),
        ("34", "PreferSameNode", "PreferSameNode"),
        ("34", "PreferSameRack", None),
    ],
)
def test_a_distribution_is_sent_to_those_who_know_it(
    minor: str, value: str, sent: str | None
) -> None:
    """PreferSameZone was called PreferClose before 1.34."""
    features = features_of(ServerInfo({"major": "1", "minor": minor}))
    assert spec_of({"trafficDistribution": value}, features).get("trafficDistribution") == sent
