"""docs/migrating.md: from an installation of the Go program and the mirrors that it wrote, to this
one, and back. Its commands are run on a cluster with RBAC; the program is what the Deployment says
after them, under the account of its Pods."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from documents.blocks import block
from rights import KUBECTL, MANIFESTS

from servicereflector.flagtable import FLAGS
from servicereflector.kube.annotations import REFLECTED
from servicereflector.options import ReflectorOptions
from servicereflector.testing.binaries import Binaries
from servicereflector.testing.envtest import ApiServer
from servicereflector.testing.processes import free_port

from .clusters import SOURCE, Cluster, Json, RunningProgram, eventually, started, subsets
from .installs import groups

DOCUMENT = (MANIFESTS.parent / "docs" / "migrating.md").read_text()
GO = Path(__file__).with_name("go-service-reflector.yaml")
ACCOUNT = "system:serviceaccount:default:service-reflector"
#: The installed one, not the checkout's that it is run in.
COMMAND = f"{sys.executable} -I -m servicereflector"
DEPLOYMENT = "/apis/apps/v1/namespaces/default/deployments/service-reflector"

#: Every flag of the Go program, with a value that it takes.
GO_FLAGS = {
    "kubeconfig": "/etc/kubeconfig",
    "listen": "0.0.0.0:9090",
    "log-level": "all",
    "namespace": "shop",
    "version": "false",
    "emitter": "true",
    "reflector": "false",
    "emitter.selector": "app.kubernetes.io/name=foo",
    "emitter.bind-address": "127.0.0.1",
    "emitter.secure-port": "0",
    "emitter.insecure-bind-address": "127.0.0.1",
    "emitter.insecure-port": "8080",
    "emitter.cert-dir": "/certificates",
    "emitter.tls-cert-file": "tls.crt",
    "emitter.tls-private-key-file": "tls.key",
    "emitter.tls-min-version": "VersionTLS10",
    "emitter.tls-cipher-suites": "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "emitter.tls-sni-cert-key": "foo.crt,foo.key:*.foo.com,foo.com",
    "emitter.http2-max-streams-per-connection": "250",
    "reflector.selector": "app.kubernetes.io/name=foo",
    "reflector.source-api": "http://10.1.2.3:8080, http://10.1.2.4:8080",
    "reflector.source-kubeconfig": "/etc/east",
}


def test_the_table_has_every_flag_of_the_go_program() -> None:
    """With its default, which is this program's."""
    rows = re.findall(r"^\| `--(\S+)` \| (?:`(\S+)`)? ?\|", DOCUMENT, re.M)
    assert [name for name, _ in rows] == list(GO_FLAGS)
    defaults = {flag.name: flag.default for flag in FLAGS}
    assert dict(rows) == {name: defaults[name] for name in GO_FLAGS}


def test_the_values_of_its_flags_are_taken() -> None:
    ReflectorOptions().parseOptions([f"--{name}={value}" for name, value in GO_FLAGS.items()])


def as_go_wrote(document: Json, url: str) -> Json:
    """The mirror that the Go program made of a source's object, which it knew by its URL."""
    told = document["metadata"]
    metadata = {
        "name": told["name"],
        "annotations": {**told.get("annotations", {}), REFLECTED: "true", SOURCE: url},
        **({"labels": told["labels"]} if "labels" in told else {}),
    }
    if "spec" not in document:
        behind = [
            {"addresses": [{"ip": a["ip"]} for a in s["addresses"]], "ports": s["ports"]}
            for s in document["subsets"]
        ]
        return {"metadata": metadata, "subsets": behind}
    copied = ("type", "ports", "externalName")
    spec = {member: document["spec"][member] for member in copied if member in document["spec"]}
    if document["spec"].get("clusterIP") == "None":
        spec["clusterIP"] = "None"
    return {"metadata": metadata, "spec": spec}


#: What east exports, by the type of its Service.
SPECS: dict[str, Json] = {
    "cart": {"ports": [{"port": 80}]},
    "ported": {"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]},
    "balanced": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    "headless": {"clusterIP": "None", "ports": [{"port": 80}]},
    "outside": {"type": "ExternalName", "externalName": "db.example.com"},
}


class Site:
    """A cluster where the Go program is installed, with mirrors of all types that it wrote.

    :ivar url: the source's, by which it knew it.
    """

    def __init__(self, cluster: Cluster, east: Cluster, url: str, directory: Path) -> None:
        self.cluster, self.east, self.url, self.directory = cluster, east, url, directory
        self._running: RunningProgram | None = None
        east.namespace("shop")
        made_by_go = {"name": "shop", "annotations": {REFLECTED: "true"}}
        cluster.must("POST", "/api/v1/namespaces", {"metadata": made_by_go})
        for name, spec in SPECS.items():
            self._mirrored_by_go(f"shop/{name}", spec)
        self._mirrored_by_go("shop/forgotten", SPECS["cart"])
        east.delete("services", "shop/forgotten")  # which nobody noticed
        self._mirrored_by_go("kube-system/tool", SPECS["cart"])
        east.export("shop/taken", "10.9.0.1")
        cluster.export("shop/taken", "10.2.0.9")

    def _mirrored_by_go(self, key: str, spec: Json) -> None:
        """In both clusters. The Endpoints have changed since, and nobody followed."""
        metadata = {"labels": {"app": "shop"}, "annotations": {"team": "a"}}
        service = self.east.create("services", key, metadata=metadata, spec=spec)
        self.cluster.create("services", key, **as_go_wrote(service, self.url))
        if spec.get("type") != "ExternalName":
            behind = subsets("10.9.9.9")
            former = self.east.create("endpoints", key, metadata=metadata, subsets=behind)
            self.cluster.create("endpoints", key, **as_go_wrote(former, self.url))
            self.east.set_ips(key, "10.9.0.1")

    def uids(self) -> dict[str, tuple[str, str]]:
        """What Services lose that are made anew; an ExternalName has no ClusterIP."""
        found = {name: self.cluster.get("services", f"shop/{name}") for name in SPECS}
        return {
            name: (service["metadata"]["uid"], service["spec"].get("clusterIP", ""))
            for name, service in found.items()
            if service is not None
        }

    def taken(self) -> list[str]:
        """The versions of what somebody else has made."""
        found = [self.cluster.get(kind, "shop/taken") for kind in ("services", "endpoints")]
        return [one["metadata"]["resourceVersion"] for one in found if one is not None]

    def sources(self) -> set[str | None]:
        """Those that the mirrors name, Endpoints included."""
        return {
            (self.cluster.get(kind, f"shop/{name}") or {})["metadata"]["annotations"].get(SOURCE)
            for name in SPECS
            for kind in ("services", "endpoints")
            if (kind, name) != ("endpoints", "outside")
        }

    def run(self, script: str, instead: tuple[str, str] = ("", "")) -> str:
        """A block of the document.

        :param instead: what is there, and what can be done here in its place.
        """
        assert instead[0] in script
        return self.shell(script.replace(*instead).strip())

    def shell(self, script: str) -> str:
        binaries = self.directory / "bin"
        binaries.mkdir(exist_ok=True)
        if not (binaries / "kubectl").exists():
            (binaries / "kubectl").symlink_to(KUBECTL)
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script.replace("http://10.1.2.3:8080", self.url)],
            cwd=MANIFESTS.parent,
            env={
                "PATH": f"{binaries}:{os.environ['PATH']}",
                "HOME": str(self.directory),
                "KUBECONFIG": str(self.cluster.server.kubeconfig()),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        # As the document tells of plan.
        assert ran.returncode == (2 if " plan " in script else 0), ran.stderr
        return ran.stdout

    def container(self) -> Json:
        spec = self.cluster.must("GET", DEPLOYMENT)["spec"]
        assert spec["replicas"] == 1
        found: Json = spec["template"]["spec"]["containers"][0]
        return found

    def start(self) -> RunningProgram:
        """What the Deployment says; ports and paths must be others here."""
        self.stop()
        entries = self.cluster.must(
            "GET", "/api/v1/namespaces/default/configmaps/service-reflector"
        )
        data = entries.get("data", {})
        folder = self.directory / "sources"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for name, text in data.items():
            (folder / name).write_text(text)
        others = {
            "--emitter.secure-port": str(free_port()),
            "--emitter.insecure-port": str(free_port()),
            "--emitter.cert-dir": str(self.directory / "certificates"),
            "--reflector.source-dir": str(folder),
        }
        told = []
        for argument in self.container()["args"]:
            flag, _, value = argument.partition("=")
            if flag != "--listen":
                value = others.get(flag, value.replace("$(SOURCE_API)", data.get("source-api", "")))
                told.append(f"{flag}={value}" if value else flag)
        kubeconfig = self.cluster.server.kubeconfig(token="of-the-pods")
        self._running = RunningProgram(
            self.directory,
            "migrated",
            f"--kubeconfig={kubeconfig}",
            *told,
        )
        return self._running

    def stop(self) -> None:
        if self._running is not None:
            self._running.kill()

    def follow(self, program: RunningProgram) -> None:
        """A change, a creation and a deletion arrive."""
        self.east.set_ips("shop/cart", "10.9.0.2")
        self.east.export("shop/new", "10.9.0.3")
        eventually(program.log, lambda: self.cluster.ips("shop/cart") == ["10.9.0.2"])
        eventually(program.log, lambda: self.cluster.ips("shop/new") == ["10.9.0.3"])
        self.east.delete("services", "shop/new")
        eventually(program.log, lambda: self.cluster.get("services", "shop/new") is None)
        self.east.set_ips("shop/cart", "10.9.0.1")
        eventually(program.log, lambda: self.cluster.ips("shop/cart") == ["10.9.0.1"])


@pytest.fixture(scope="module")
def both(envtest_binaries: Binaries) -> Iterator[tuple[ApiServer, ApiServer]]:
    """In west the account of the Pods may do what its roles allow."""
    east = ApiServer(service_cluster_ip_range="10.1.0.0/16", binaries=envtest_binaries)
    west = ApiServer(
        service_cluster_ip_range="10.2.0.0/16",
        authorization_mode="RBAC",
        tokens={"of-the-pods": (ACCOUNT, "1", groups(ACCOUNT))},
        binaries=envtest_binaries,
    )
    with started(east, west):
        yield east, west


@pytest.fixture
def site(
    west: Cluster, east: Cluster, emitter: tuple[RunningProgram, str], tmp_path: Path
) -> Iterator[Site]:
    site = Site(west, east, emitter[1], tmp_path)
    yield site
    site.stop()


def test_there_and_back(site: Site) -> None:
    """What the Services are, and what somebody else has made, is the same all the way."""
    site.shell(f"kubectl apply -f {GO}")
    patch = f'{{"data": {{"source-api": "{site.url}"}}}}'
    site.shell(f"kubectl patch configmap service-reflector -p '{patch}'")
    uids, taken, command_line = site.uids(), site.taken(), site.container()["args"]
    assert uids.keys() == SPECS.keys()

    plan = block("docs/migrating.md", "What to know before")
    told = site.run(plan, ("service-reflector plan", f"{COMMAND} plan"))
    deleted = set(re.findall(r"^- delete (\S+ \S+)", told, re.M))
    assert deleted == {"Service shop/forgotten", "Service kube-system/tool"}
    assert re.search(r"^0 to create, \d+ to update, 2 to delete. Nothing was written.$", told, re.M)
    assert site.cluster.ips("shop/cart") == ["10.9.9.9"]

    site.run(block("docs/migrating.md", "Step 1: the image"))
    assert site.container()["image"] == "registry.example/service-reflector:1.0.0"
    assert site.container()["args"] == command_line
    program = site.start()
    for name in set(SPECS) - {"outside"}:
        key = f"shop/{name}"
        eventually(program.log, lambda k=key: site.cluster.ips(k) == ["10.9.0.1"])  # type: ignore[misc]
    for key in ("shop/forgotten", "kube-system/tool"):
        eventually(program.log, lambda k=key: site.cluster.get("services", k) is None)  # type: ignore[misc]
    inside = "kubectl exec deployment/service-reflector -- service-reflector status"
    status = block("docs/migrating.md", "Step 1: the image", 2)
    told = site.run(status, (inside, f"{COMMAND} status {program.admin_socket}"))
    assert re.search(rf"^{site.url} +Synced +", told, re.M)
    assert site.sources() == {site.url}
    for name in ("ported", "balanced"):
        spec = (site.cluster.get("services", f"shop/{name}") or {})["spec"]
        assert spec["type"] == "ClusterIP"
        assert "nodePort" not in spec["ports"][0]
    site.follow(program)
    for metric in ("attempts", "errors"):
        assert program.metric(f"service_reflector_reconcile_{metric}_total") >= 0
    assert program.metric("service_reflector_reconcile_attempts_total") > 0
    assert program.mirrored(site.url, "Conflict") == 1
    assert (site.uids(), site.taken()) == (uids, taken)

    site.run(block("docs/migrating.md", "Step 2: the manifest"))
    assert "--reflector.source-dir=/sources" in site.container()["args"]
    assert "env" not in site.container()
    program = site.start()
    eventually(program.log, lambda: site.sources() == {"one"})
    site.follow(program)
    assert program.mirrored("one", "Conflict") == 1
    assert (site.uids(), site.taken()) == (uids, taken)

    site.stop()
    site.run(block("docs/migrating.md", "Back from step 2"))
    site.shell(f"kubectl apply -f {GO}")
    assert site.sources() == {site.url}
    assert site.container()["args"] == command_line
    assert (site.uids(), site.taken()) == (uids, taken)
