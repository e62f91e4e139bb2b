"""The program under exactly the role that the manifest gives it, the RBAC authorizer on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from servicereflector.testing.binaries import Binaries
from servicereflector.testing.envtest import ApiServer
from servicereflector.testing.processes import free_port

from .clusters import Cluster, RunningProgram, eventually, hurried

MANIFESTS = Path(__file__).parents[2] / "manifests"
TOKEN = "the-service-accounts-token"
ACCOUNT = (
    "system:serviceaccount:default:service-reflector",
    "uid",
    ("system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"),
)


@pytest.fixture(scope="module")
def guarded(envtest_binaries: Binaries) -> Iterator[Cluster]:
    """A cluster with RBAC, and in it the manifest's role for a token."""
    server = ApiServer(
        service_cluster_ip_range="10.3.0.0/16",
        authorization_mode="RBAC",
        tokens={TOKEN: ACCOUNT},
        binaries=envtest_binaries,
    )
    with server:
        cluster = Cluster(server)
        apply_roles(cluster, "service-reflector.yaml")
        yield cluster


def apply_roles(cluster: Cluster, manifest: str) -> None:
    text = (MANIFESTS / manifest).read_text()
    documents: list[dict[str, Any]] = list(yaml.safe_load_all(text))
    for kind, path in (
        ("ClusterRole", "clusterroles"),
        ("ClusterRoleBinding", "clusterrolebindings"),
        ("Role", "namespaces/default/roles"),
        ("RoleBinding", "namespaces/default/rolebindings"),
    ):
        for document in documents:
            if document["kind"] == kind:
                cluster.must("POST", f"/apis/rbac.authorization.k8s.io/v1/{path}", document)


def test_the_role_is_enough_for_both_roles_of_the_program(
    guarded: Cluster,
    emitter: tuple[RunningProgram, str],
    east: Cluster,
    directory: Path,
    programs: list[RunningProgram],
) -> None:
    """Namespace, Service and Endpoints are created, updated and deleted, a conflict is told, told
    again when it happens again, the Lease is taken and renewed, and the Emitter serves; not one
    request is refused."""
    port = free_port()
    program = RunningProgram(
        directory,
        "guarded",
        f"--kubeconfig={guarded.server.kubeconfig(token=TOKEN)}",
        f"--source-api=east={emitter[1]}",
        "--emitter.secure-port=0",
        "--emitter.insecure-bind-address=127.0.0.1",
        f"--emitter.insecure-port={port}",
        "--reflector.leader-elect",
        "--reflector.leader-elect-retry-period=1s",
        command=hurried(reflector__correlation__REPEAT_EVERY=0.2),
    )
    programs.append(program)
    program.wait_until_ready()
    guarded.create("services", "default/taken", spec={"ports": [{"port": 1}]})
    east.export("default/taken", "10.9.0.1")
    east.namespace("shop")
    east.export("shop/cart", "10.9.0.1")
    eventually("created", lambda: guarded.ips("shop/cart") == ["10.9.0.1"])
    east.set_ips("shop/cart", "10.9.0.2")
    east.change("services", "shop/cart", lambda s: s["spec"].update(ports=[{"port": 81}]))
    eventually("Endpoints updated", lambda: guarded.ips("shop/cart") == ["10.9.0.2"])

    def port_81() -> bool:
        mirror = guarded.get("services", "shop/cart")
        return mirror is not None and mirror["spec"]["ports"][0]["port"] == 81

    eventually("Service updated", port_81)
    east.delete("services", "shop/cart")
    eventually("deleted", lambda: guarded.get("services", "shop/cart") is None)
    eventually("an Event", lambda: guarded.events("default", "Conflict"))

    def told_again() -> bool:
        east.delete("services", "default/taken")
        eventually("no conflict", lambda: program.mirrored("east", "Conflict") == 0)
        east.export("default/taken", "10.9.0.1")
        eventually("a conflict", lambda: program.mirrored("east", "Conflict") == 1)
        return guarded.events("default", "Conflict")[0]["count"] > 1

    eventually(program.log, told_again)
    assert len(guarded.events("default", "Conflict")) == 1
    assert program.metric("service_reflector_reconcile_errors_total") == 0
    renewed = renew_time(guarded)
    eventually("a renewal", lambda: renew_time(guarded) > renewed)
    assert "orbidden" not in program.log()


def renew_time(cluster: Cluster) -> str:
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/service-reflector"
    time: str = cluster.must("GET", path)["spec"]["renewTime"]
    return time


@pytest.mark.parametrize("verb", ["get", "list", "watch", "create", "update", "delete"])
def test_the_role_lets_the_program_keep_endpointslices(guarded: Cluster, verb: str) -> None:
    """The authorizer says so also where the server is too old to serve them."""
    name, _, groups = ACCOUNT
    attributes = {
        "group": "discovery.k8s.io",
        "resource": "endpointslices",
        "verb": verb,
        "namespace": "shop",
    }
    review = {"spec": {"user": name, "groups": groups, "resourceAttributes": attributes}}
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    assert guarded.must("POST", path, review)["status"]["allowed"]


def test_namespaces_are_deleted_with_a_role_of_its_own(
    guarded: Cluster, east: Cluster, emitter: tuple[RunningProgram, str], tmp_path: Path
) -> None:
    """Without it the log says what is missing. Looked at more often than a test could wait for."""
    east.namespace("unused")
    east.export("unused/cart", "10.9.0.1")
    program = RunningProgram(
        tmp_path,
        "deleting",
        f"--kubeconfig={guarded.server.kubeconfig(token=TOKEN)}",
        f"--source-api=unused={emitter[1]}",
        "--emitter=false",
        "--reflector.namespaces=unused",
        "--reflector.delete-namespaces",
        command=hurried(reflector__namespaces__LOOK_EVERY=0.2, reflector__namespaces__GRACE=1.0),
    )
    try:
        eventually(program.log, lambda: guarded.ips("unused/cart"))
        east.delete("services", "unused/cart")
        eventually(
            "what is missing",
            lambda: "see manifests/delete-namespaces.yaml" in program.log(),
        )
        path = "/api/v1/namespaces/unused"
        assert "deletionTimestamp" not in guarded.must("GET", path)["metadata"]
        apply_roles(guarded, "delete-namespaces.yaml")
        eventually(
            program.log,
            lambda: "deletionTimestamp" in guarded.must("GET", path)["metadata"],
        )
    finally:
        program.kill()
