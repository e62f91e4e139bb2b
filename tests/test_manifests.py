"""The manifest: a real API server takes every field of it, and its parts fit together."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from servicereflector.flagtable import FLAGS
from servicereflector.testing.envtest import ApiServer, Binaries

MANIFEST = Path(__file__).parent.parent / "manifests" / "service-reflector.yaml"
DOCUMENTS: list[dict[str, Any]] = list(yaml.safe_load_all(MANIFEST.read_text()))
BY_KIND = {document["kind"]: document for document in DOCUMENTS}
DELETING: list[dict[str, Any]] = list(
    yaml.safe_load_all(MANIFEST.with_name("delete-namespaces.yaml").read_text())
)
POD = BY_KIND["Deployment"]["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]

COLLECTIONS = {
    "Namespace": "/api/v1/namespaces",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
}


@pytest.fixture(scope="module")
def api(envtest_binaries: Binaries) -> Iterator[ApiServer]:
    """A cluster with the RBAC authorizer."""
    with ApiServer(binaries=envtest_binaries, authorization_mode="RBAC") as server:
        yield server


def create(api: ApiServer, document: dict[str, Any]) -> Any:
    """Post it as the admin; what the server made of it."""
    namespace = document["metadata"].get("namespace")
    request = urllib.request.Request(
        api.url + COLLECTIONS[document["kind"]].format(namespace=namespace),
        data=json.dumps(document).encode(),
        headers={
            "Authorization": f"Bearer {api.admin_token}",
            "Content-Type": "application/json",
            "User-Agent": "test-manifests",
        },
    )
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=api.ca_file)),
    )
    with opener.open(request, timeout=30) as response:
        return json.load(response)


def lost(sent: Any, kept: Any, path: str = "") -> list[str]:
    """Where `kept` lacks or changes something of `sent`: a server drops fields it does not know."""
    if isinstance(sent, dict) and isinstance(kept, dict):
        return [
            found
            for key, value in sent.items()
            for found in lost(value, kept.get(key), f"{path}.{key}")
        ]
    if isinstance(sent, list) and isinstance(kept, list) and len(sent) == len(kept):
        return [
            found
            for index, pair in enumerate(zip(sent, kept, strict=True))
            for found in lost(*pair, f"{path}[{index}]")
        ]
    return [] if sent == kept else [path]


@pytest.mark.parametrize(
    "document", [*DOCUMENTS, *DELETING], ids=lambda d: f"{d['kind']}-{d['metadata']['name']}"
)
def test_a_real_api_server_takes_every_field(api: ApiServer, document: dict[str, Any]) -> None:
    assert lost(document, create(api, document)) == []


def test_selectors_find_the_pods() -> None:
    labels = POD["metadata"]["labels"].items()
    deployment, service = BY_KIND["Deployment"]["spec"], BY_KIND["Service"]["spec"]
    assert deployment["selector"]["matchLabels"].items() <= labels
    assert service["selector"].items() <= labels


def test_all_of_the_ports_are_those_that_the_program_is_told() -> None:
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    service = BY_KIND["Service"]["spec"]["ports"]
    assert {port["targetPort"]: port["port"] for port in service} == ports
    assert {
        f"--listen=:{ports['metrics']}",
        f"--emitter.insecure-port={ports['http']}",
        f"--emitter.secure-port={ports['https']}",
    } <= set(CONTAINER["args"])
    for probe in ("livenessProbe", "readinessProbe"):
        assert CONTAINER[probe]["httpGet"]["port"] in ports


def test_what_the_pod_refers_to_is_there() -> None:
    mounts = {mount["name"]: mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in POD["spec"]["volumes"]}
    assert f"--emitter.cert-dir={mounts['certificates']}" in CONTAINER["args"]
    assert f"--reflector.source-dir={mounts['sources']}" in CONTAINER["args"]
    assert mounts["run"] == "/run/service-reflector"
    volumes = {volume["name"]: volume for volume in POD["spec"]["volumes"]}
    for told in volumes["sources"]["projected"]["sources"]:
        for reference in told.values():
            assert reference["name"] == BY_KIND["ConfigMap"]["metadata"]["name"]


def test_the_role_is_bound_to_the_pods_account() -> None:
    account, binding = BY_KIND["ServiceAccount"]["metadata"], BY_KIND["ClusterRoleBinding"]
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    ]
    assert binding["roleRef"]["kind"] == "ClusterRole"
    assert binding["roleRef"]["name"] == BY_KIND["ClusterRole"]["metadata"]["name"]
    assert POD["spec"]["serviceAccountName"] == account["name"]
    assert BY_KIND["Deployment"]["metadata"]["namespace"] == account["namespace"]


def test_the_role_for_the_lease_is_the_same_accounts_in_its_own_namespace() -> None:
    """Where the program looks for it, and under the name that its flags have."""
    role, binding = BY_KIND["Role"], BY_KIND["RoleBinding"]
    assert binding["subjects"] == BY_KIND["ClusterRoleBinding"]["subjects"]
    assert binding["roleRef"]["kind"] == "Role"
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    namespace = BY_KIND["Deployment"]["metadata"]["namespace"]
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == namespace
    (default,) = [f.default for f in FLAGS if f.name == "reflector.leader-elect-resource-name"]
    assert [rule.get("resourceNames") for rule in role["rules"]] == [None, [default]]
    assert "--reflector.leader-elect" in CONTAINER["args"]


def test_the_role_names_all_that_it_allows() -> None:
    for rule in [*BY_KIND["ClusterRole"]["rules"], *BY_KIND["Role"]["rules"]]:
        for part in ("apiGroups", "resources", "verbs"):
            assert "*" not in rule[part]


def test_the_role_for_deleting_namespaces_is_the_same_accounts_and_deletes_nothing_else() -> None:
    role, binding = DELETING
    assert (role["kind"], binding["kind"]) == ("ClusterRole", "ClusterRoleBinding")
    assert binding["subjects"] == BY_KIND["ClusterRoleBinding"]["subjects"]
    assert binding["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": role["metadata"]["name"],
    }
    assert role["metadata"]["name"] != BY_KIND["ClusterRole"]["metadata"]["name"]
    assert role["rules"] == [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["delete"]},
    ]
