"""Discovery documents, plain and aggregated."""

from __future__ import annotations

import hashlib

from servicereflector.emitter import discovery
from servicereflector.kube.resources import ENDPOINTS, ENDPOINTSLICES, NAMESPACES, SERVICES
from servicereflector.kube.server import ServerInfo

SERVED = (SERVICES, ENDPOINTS, ENDPOINTSLICES)


def test_services_are_told_of_with_all_their_names() -> None:
    """kubectl reads short names and categories out of it: ``get svc``, ``get all``."""
    document = discovery.resources_of("v1", SERVED, discovery.READING, ServerInfo({}))
    assert document == {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {
                "name": "endpoints",
                "singularName": "endpoints",
                "namespaced": True,
                "kind": "Endpoints",
                "verbs": ["get", "list", "watch"],
                "shortNames": ["ep"],
            },
            {
                "name": "services",
                "singularName": "service",
                "namespaced": True,
                "kind": "Service",
                "verbs": ["get", "list", "watch"],
                "shortNames": ["svc"],
                "categories": ["all"],
            },
        ],
    }


def test_the_upstream_s_own_words_are_passed_on() -> None:
    """But for what can be done: the Emitter only reads."""
    entry = {"name": "services", "singularName": "", "verbs": ["create"], "storageVersionHash": "x"}
    server = ServerInfo({}, {("v1", "services"): entry})
    document = discovery.resources_of("v1", [SERVICES], discovery.READING, server)
    assert document["resources"] == [{**entry, "verbs": ["get", "list", "watch"]}]


def test_only_the_core_group_does_not_tell_its_own_version() -> None:
    document = discovery.resources_of(
        "discovery.k8s.io/v1", SERVED, discovery.READING, ServerInfo({})
    )
    assert document["apiVersion"] == "v1"


def test_the_groups_leave_the_core_out() -> None:
    entry = {"groupVersion": "discovery.k8s.io/v1", "version": "v1"}
    assert discovery.groups(SERVED)["groups"] == [
        {"name": "discovery.k8s.io", "versions": [entry], "preferredVersion": entry}
    ]
    assert discovery.groups([SERVICES])["groups"] == []


def test_the_core_group_aggregated() -> None:
    """The core group has no name; the kinds leave group and version to the document's."""
    document = discovery.aggregated(SERVED, discovery.READING, core=True)
    assert (document["kind"], document["apiVersion"]) == (
        "APIGroupDiscoveryList",
        "apidiscovery.k8s.io/v2",
    )
    (group,) = document["items"]
    assert group["metadata"] == {}
    (version,) = group["versions"]
    assert (version["version"], version["freshness"]) == ("v1", "Current")
    assert [entry["resource"] for entry in version["resources"]] == ["endpoints", "services"]
    assert version["resources"][1] == {
        "resource": "services",
        "responseKind": {"group": "", "version": "", "kind": "Service"},
        "scope": "Namespaced",
        "singularResource": "service",
        "verbs": ["get", "list", "watch"],
        "shortNames": ["svc"],
        "categories": ["all"],
    }


def test_the_other_groups_aggregated() -> None:
    (group,) = discovery.aggregated(SERVED, discovery.READING, core=False)["items"]
    assert group["metadata"] == {"name": "discovery.k8s.io"}
    assert [entry["resource"] for entry in group["versions"][0]["resources"]] == ["endpointslices"]


def test_without_other_groups_there_are_no_items() -> None:
    assert discovery.aggregated([SERVICES], discovery.READING, core=False)["items"] == []


def test_a_namespace_is_of_the_cluster() -> None:
    document = discovery.aggregated([NAMESPACES], discovery.WRITING, core=True)
    entry = document["items"][0]["versions"][0]["resources"][0]
    assert (entry["scope"], "create" in entry["verbs"]) == ("Cluster", True)


def test_an_etag_is_the_documents_hash_in_quotes() -> None:
    assert discovery.etag(b"x") == f'"{hashlib.sha512(b"x").hexdigest().upper()}"'
