"""The manifests: a real API server takes every field of them, and their parts fit together."""

from __future__ import annotations

import copy
import json
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from podsecurity import violations
from rights import MANIFESTS, documents, of_kind
from versions import minor_version

from servicereflector import __version__
from servicereflector.flagtable import FLAGS
from servicereflector.options import ReflectorOptions
from servicereflector.testing.envtest import ApiServer, Binaries

FILES = ("service-reflector.yaml", "emitter.yaml", "reflector.yaml", "one-namespace.yaml")
#: Those that are not rendered as files; the others are compared with them.
OVERLAYS = ("overlays/secure", "overlays/ha", "overlays/monitoring")
INSTALLS = (*FILES, *OVERLAYS)
ALL = (*sorted(path.name for path in MANIFESTS.glob("*.yaml")), *OVERLAYS)

#: The Secrets that a Pod waits for.
SECRETS = {
    "emitter.yaml": {"service-reflector-emitter"},
    "overlays/secure": {"service-reflector-tls", "service-reflector-access"},
}

#: By the name of the Deployment and the Service: an existing Deployment takes no other selector.
SELECTORS = {
    "service-reflector": {"app.kubernetes.io/name": "service-reflector"},
    "service-reflector-emitter": {
        "app.kubernetes.io/name": "service-reflector",
        "app.kubernetes.io/component": "emitter",
    },
    "service-reflector-reflector": {
        "app.kubernetes.io/name": "service-reflector",
        "app.kubernetes.io/component": "reflector",
    },
}

#: policy/v1 came with 1.21. What of it is in the manifests is the same in policy/v1beta1: for older
#: servers the name of the version is rewritten, and nothing else.
POLICY = "policy/v1" if minor_version() >= 21 else "policy/v1beta1"

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
COLLECTIONS = {
    "Namespace": "/api/v1/namespaces",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "PodDisruptionBudget": f"/apis/{POLICY}/namespaces/{{namespace}}/poddisruptionbudgets",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies",
    "Role": f"{_RBAC}/namespaces/{{namespace}}/roles",
    "RoleBinding": f"{_RBAC}/namespaces/{{namespace}}/rolebindings",
    "ClusterRole": f"{_RBAC}/clusterroles",
    "ClusterRoleBinding": f"{_RBAC}/clusterrolebindings",
}


class Install:
    """The parts of a manifest that runs the program."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.documents = documents(name)
        (self.account,) = of_kind(self.documents, "ServiceAccount")
        (self.deployment,) = of_kind(self.documents, "Deployment")
        (self.service,) = of_kind(self.documents, "Service")
        self.pod = self.deployment["spec"]["template"]
        (self.container,) = self.pod["spec"]["containers"]
        self.flags = dict(argument.partition("=")[::2] for argument in self.container["args"])
        self.volumes = {volume["name"]: volume for volume in self.pod["spec"]["volumes"]}
        self.mounts = {m["name"]: m["mountPath"] for m in self.container["volumeMounts"]}

    def of(self, kind: str) -> list[dict[str, Any]]:
        return of_kind(self.documents, kind)


@pytest.fixture(params=INSTALLS)
def install(request: pytest.FixtureRequest) -> Install:
    return Install(request.param)


@pytest.fixture(scope="module")
def api(envtest_binaries: Binaries) -> Iterator[ApiServer]:
    """A cluster with the RBAC authorizer."""
    with ApiServer(binaries=envtest_binaries, authorization_mode="RBAC") as server:
        for manifest in ALL:
            name = f"of-{prefix(manifest)}"
            create(server, {"kind": "Namespace", "metadata": {"name": name}})
        yield server


def prefix(manifest: str) -> str:
    return manifest.removesuffix(".yaml").replace("/", "-")


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
    return [] if sent == kept or (sent == [] and kept is None) else [path]


@pytest.mark.parametrize("manifest", ALL)
def test_a_real_api_server_takes_every_field(api: ApiServer, manifest: str) -> None:
    """Each manifest in a namespace of its own, or under names of its own."""
    for document in documents(manifest):
        metadata = document["metadata"]
        if "namespace" in metadata:
            metadata["namespace"] = f"of-{prefix(manifest)}"
        else:
            metadata["name"] = f"{prefix(manifest)}-{metadata['name']}"
        if document["kind"] == "PodDisruptionBudget":
            assert document["apiVersion"] == "policy/v1"
            document["apiVersion"] = POLICY
        assert lost(document, create(api, document)) == [], document["kind"]


def test_the_readme_tells_of_each() -> None:
    """And links to nothing that is not there."""
    readme = (MANIFESTS / "README.md").read_text()
    overlays = {f"overlays/{path.name}" for path in (MANIFESTS / "overlays").iterdir()}
    rendered = {f"overlays/{name.removesuffix('.yaml')}" for name in FILES}
    assert overlays - rendered == {"overlays/quickstart", *OVERLAYS}
    for name in (*ALL, "overlays/quickstart"):
        assert name in readme
    for target in re.findall(r"\]\(([^)#]+)\)", readme):
        assert (MANIFESTS / target).exists(), target
    flags = set(re.findall(r"--((?:reflector|emitter)\.[a-z-]+)", readme))
    assert flags <= {flag.name for flag in FLAGS}


def test_selectors_find_the_pods(install: Install) -> None:
    labels = install.pod["metadata"]["labels"].items()
    assert install.deployment["spec"]["selector"]["matchLabels"].items() <= labels
    assert install.service["spec"]["selector"].items() <= labels


def test_an_existing_installation_can_be_updated_in_place(install: Install) -> None:
    """The Deployment keeps its name and selector, the Service its own."""
    for document in (install.deployment, install.service):
        selector = document["spec"]["selector"]
        assert selector.get("matchLabels", selector) == SELECTORS[document["metadata"]["name"]]


def test_labels_are_those_that_kubernetes_recommends(install: Install) -> None:
    """The version is the program's; selectors do not go by it, as it changes."""
    for metadata in (install.deployment["metadata"], install.pod["metadata"]):
        labels = metadata["labels"]
        assert labels["app.kubernetes.io/name"] == "service-reflector"
        assert labels["app.kubernetes.io/part-of"] == "service-reflector"
        assert labels["app.kubernetes.io/version"] == __version__
        assert labels["app.kubernetes.io/component"] in (
            "emitter",
            "reflector",
            "emitter-and-reflector",
        )
    for document in install.documents:
        assert document["metadata"]["labels"]["app.kubernetes.io/name"] == "service-reflector"


def test_all_of_the_ports_are_those_that_the_program_is_told(install: Install) -> None:
    ports = {port["name"]: port["containerPort"] for port in install.container["ports"]}
    service = install.service["spec"]["ports"]
    assert {port["targetPort"]: port["port"] for port in service} == ports
    told = {"metrics": install.flags["--listen"].removeprefix(":")}
    if "--emitter" not in install.flags:
        told["http"] = install.flags["--emitter.insecure-port"]
        told["https"] = install.flags["--emitter.secure-port"]
    assert {name: int(port) for name, port in told.items() if port != "0"} == ports
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert install.container[probe]["httpGet"]["port"] in ports


def test_what_the_pod_refers_to_is_there(install: Install) -> None:
    flags, mounts = install.flags, install.mounts
    assert set(mounts) == set(install.volumes)
    assert mounts["run"] == "/run/service-reflector"
    if "sources" in mounts:
        assert flags["--reflector.source-dir"] == mounts["sources"]
        assert "service-reflector" in {c["metadata"]["name"] for c in install.of("ConfigMap")}
        for told in install.volumes["sources"]["projected"]["sources"]:
            for reference in told.values():
                assert reference == {"name": "service-reflector", "optional": True}
    waited_for = {v["secret"]["secretName"] for v in install.volumes.values() if "secret" in v}
    assert waited_for == SECRETS.get(install.name, set())
    assert not any("configMap" in volume for volume in install.volumes.values())
    assert not {"env", "envFrom"} & install.container.keys()
    paths = {value for value in flags.values() if value.startswith("/")}
    assert all(any(path.startswith(mount) for mount in mounts.values()) for path in paths)


def test_the_program_takes_every_flag_of_the_pod(install: Install) -> None:
    """Each once, with the value that is there."""
    ReflectorOptions().parseOptions(install.container["args"])
    assert len(install.flags) == len(install.container["args"])


def test_an_overlay_allows_what_service_reflector_yaml_does() -> None:
    """What of that is enough, and used, tests/e2e/test_role.py shows."""
    kinds = ("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    proven = of_kind(documents("service-reflector.yaml"), *kinds)
    assert len(proven) > len(kinds)
    for overlay in OVERLAYS:
        assert of_kind(documents(overlay), *kinds) == proven


def test_the_roles_are_bound_to_the_pods_account(install: Install) -> None:
    """Each of them, in the namespace of the Pods; only the emptied one has no binding here."""
    account = install.account["metadata"]
    subject = {k: account[k] for k in ("name", "namespace")} | {"kind": "ServiceAccount"}
    bound = set()
    for binding in (*install.of("ClusterRoleBinding"), *install.of("RoleBinding")):
        assert binding["subjects"] == [subject]
        assert binding["metadata"].get("namespace") in (None, account["namespace"])
        bound.add((binding["roleRef"]["kind"], binding["roleRef"]["name"]))
    roles = (*install.of("ClusterRole"), *install.of("Role"))
    assert bound == {(role["kind"], role["metadata"]["name"]) for role in roles if role["rules"]}
    assert install.pod["spec"]["serviceAccountName"] == account["name"]
    assert install.deployment["metadata"]["namespace"] == account["namespace"]


def test_the_role_for_the_lease_has_the_name_that_the_flags_have(install: Install) -> None:
    (default,) = [f.default for f in FLAGS if f.name == "reflector.leader-elect-resource-name"]
    rules = [rule for role in install.of("Role") for rule in role["rules"]]
    leases = [rule.get("resourceNames") for rule in rules if rule["resources"] == ["leases"]]
    assert leases == ([None, [default]] if "--reflector.leader-elect" in install.flags else [])


def test_the_roles_name_all_that_they_allow(install: Install) -> None:
    for role in (*install.of("ClusterRole"), *install.of("Role")):
        for rule in role["rules"]:
            for part in ("apiGroups", "resources", "verbs"):
                assert "*" not in rule[part]


def test_roles_of_one_name_are_the_same_in_all_manifests() -> None:
    """Which file was applied last makes no difference."""
    known: dict[str, Any] = {}
    for name in ALL:
        for role in of_kind(documents(name), "ClusterRole"):
            assert known.setdefault(role["metadata"]["name"], role["rules"]) == role["rules"]
    assert {"service-reflector-emitter", "service-reflector-reflector"} <= known.keys()


def test_additions_are_for_the_accounts_of_installs() -> None:
    accounts = [Install(name).account["metadata"] for name in INSTALLS]
    known = [(account["name"], account["namespace"]) for account in accounts]
    for name in ("delete-namespaces.yaml", "webhook.yaml"):
        role, binding = documents(name)
        assert binding["roleRef"]["name"] == role["metadata"]["name"]
        for subject in binding["subjects"]:
            assert (subject["name"], subject["namespace"]) in known


def test_pods_are_of_the_level_restricted(install: Install) -> None:
    assert violations(install.pod) == []


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("hostNetwork", {"hostNetwork": True}),
        ("volume v", {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
        ("runAsUser", {"securityContext": {"runAsUser": 0}}),
        ("runAsNonRoot", {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}),
        ("seccompProfile", {"securityContext": {"runAsNonRoot": True}}),
    ],
)
def test_what_the_level_forbids_of_a_pod_is_found(field: str, change: dict[str, Any]) -> None:
    pod = copy.deepcopy(Install("service-reflector.yaml").pod)
    pod["spec"].update(change)
    assert field in violations(pod)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("privileged", {"privileged": True}),
        ("allowPrivilegeEscalation", {"allowPrivilegeEscalation": None}),
        ("capabilities.drop", {"capabilities": {}}),
        ("capabilities.add", {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}),
        ("procMount", {"procMount": "Unmasked"}),
        ("seLinuxOptions", {"seLinuxOptions": {"type": "spc_t"}}),
        ("appArmorProfile", {"appArmorProfile": {"type": "Unconfined"}}),
    ],
)
def test_what_the_level_forbids_of_a_container_is_found(field: str, change: dict[str, Any]) -> None:
    pod = copy.deepcopy(Install("service-reflector.yaml").pod)
    pod["spec"]["containers"][0]["securityContext"].update(change)
    assert field in violations(pod)


def test_more_than_the_level_asks_for(install: Install) -> None:
    """Nothing can be written but what is mounted for that; only the Pod has the account's token."""
    assert install.container["securityContext"]["readOnlyRootFilesystem"] is True
    assert install.pod["spec"]["securityContext"]["runAsUser"] == 65532
    assert install.account["automountServiceAccountToken"] is False
    assert install.pod["spec"]["automountServiceAccountToken"] is True
    resources = install.container["resources"]
    assert resources["requests"].keys() == {"cpu", "memory"}
    assert resources["limits"].keys() == {"memory"}


# They are for the namespace default.
@pytest.mark.parametrize("install", [n for n in INSTALLS if "namespace" not in n], indirect=True)
def test_network_policies_select_the_pods_and_name_their_ports(install: Install) -> None:
    """Nobody comes to a Reflector, an Emitter goes to no source; what they need is let through."""
    labels = install.pod["metadata"]["labels"]
    ports: set[str] = set()
    names = set()
    for policy in documents("network-policies.yaml"):
        selector = policy["spec"]["podSelector"]
        assert selector["matchLabels"].items() <= labels.items()
        if any(
            labels.get(term["key"]) in term["values"]
            for term in selector.get("matchExpressions", ())
        ):
            continue
        names.add(policy["metadata"]["name"].removeprefix("service-reflector-"))
        for rule in policy["spec"].get("ingress", ()):
            ports.update(port["port"] for port in rule["ports"])
    own = {port["name"] for port in install.container["ports"]}
    assert own <= ports
    reflects, emits = "--reflector" not in install.flags, "--emitter" not in install.flags
    assert ("sources" in names, "consumers" in names) == (reflects, emits)
