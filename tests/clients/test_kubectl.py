"""What kubectl prints of an Emitter is what it prints of the cluster."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from e2e.clusters import Cluster, eventually

from servicereflector.testing.processes import Process

from .conftest import Kubectl

_AGE = re.compile(r"(?<= )(\d+[smhd])+(?=\s|$)")

_COMMANDS = (
    "get services -n shop",
    "get services -n shop -o wide",
    "get services -n shop -o yaml",
    "get services -n shop -o json",
    "get services -n shop --show-labels",
    "get services -n shop -L app",
    "get services -n shop -l app=gate -o name",
    "get services -n shop --field-selector metadata.name=cart",
    "get services -n shop --chunk-size=2",
    "get services -n shop --sort-by=.metadata.name",
    "get services -n shop --sort-by=.spec.type",
    "get services -n nowhere",
    "get service cart -n shop",
    "get service cart -n shop -o yaml",
    "get service nobody -n shop",
    "get service cart nobody -n shop",
    "get endpoints -A",
    "get endpoints -A -o wide",
    "get endpoints -A -o yaml",
    "get endpoints -A --chunk-size=1",
    "get services,endpoints -n shop",
    "get service/cart endpoints/cart -n shop",
    "describe service cart -n shop",
    "describe endpoints cart -n shop",
)


def plain(text: str) -> str:
    """Without ages, and without the width of columns that they determine."""
    return re.sub(r" {2,}", "  ", _AGE.sub("AGE", text))


def without_kubernetes(text: str) -> str:
    """Without the line of the one Service that is never emitted."""
    return "".join(
        line for line in text.splitlines(keepends=True) if not line.startswith("default ")
    )


@pytest.mark.parametrize("command", _COMMANDS)
def test_output_is_the_clusters(kubectl: Kubectl, command: str) -> None:
    expected = plain(kubectl.run(kubectl.real, *command.split()))
    assert plain(kubectl.run(kubectl.emitter, *command.split())) == expected


@pytest.mark.parametrize(
    "wide", [(), ("-o", "wide"), ("--chunk-size=2",), ("--sort-by=.metadata.uid",)]
)
def test_services_of_all_namespaces_are_the_clusters(
    kubectl: Kubectl, wide: tuple[str, ...]
) -> None:
    command = ("get", "services", "-A", *wide)
    expected = plain(without_kubernetes(kubectl.run(kubectl.real, *command)))
    assert plain(kubectl.run(kubectl.emitter, *command)) == expected


def test_api_resources_are_told_as_the_cluster_tells_them(kubectl: Kubectl) -> None:
    def lines(server: str) -> dict[str, str]:
        printed = plain(kubectl.run(server, "api-resources"))
        return {line.split()[0]: line for line in printed.splitlines()}

    emitted, real = lines(kubectl.emitter), lines(kubectl.real)
    assert {"NAME", "services", "endpoints"} <= emitted.keys()
    for name in ("services", "endpoints"):
        assert emitted[name].split() == real[name].split()


def test_a_watch_prints_what_the_clusters_does(
    kubectl: Kubectl, cluster: Cluster, tmp_path: Path
) -> None:
    watches = {}
    for name, server in (("real", kubectl.real), ("emitter", kubectl.emitter)):
        arguments = kubectl.arguments(
            server, "get", "services", "-n", "shop", "-w", "--output-watch-events"
        )
        watches[name] = Process(arguments, tmp_path, f"{name}.log")
        watches[name].start()

    def both_told(text: str) -> None:
        eventually(text, lambda: all(text in plain(w.log_tail()) for w in watches.values()))

    try:
        both_told("out ")
        cluster.create("services", "shop/brief", spec={"clusterIP": "None"})
        both_told("ADDED  brief")
        cluster.change(
            "services", "shop/brief", lambda s: s["spec"].update(externalIPs=["192.0.2.1"])
        )
        both_told("MODIFIED  brief")
        cluster.delete("services", "shop/brief")
        both_told("DELETED  brief")
        assert plain(watches["emitter"].log_tail()) == plain(watches["real"].log_tail())
    finally:
        for watch in watches.values():
            watch.kill()


def test_wait_hears_of_a_deletion(kubectl: Kubectl, cluster: Cluster, tmp_path: Path) -> None:
    cluster.create("services", "shop/passing", spec={"clusterIP": "None"})
    seen = ("get", "service", "passing", "-n", "shop", "-o", "name")
    eventually("there", lambda: kubectl.run(kubectl.emitter, *seen) == "service/passing\n")
    arguments = ("wait", "--for=delete", "service/passing", "-n", "shop", "--timeout=30s", "-v=6")
    waiting = Process(kubectl.arguments(kubectl.emitter, *arguments), tmp_path, "wait.log")
    waiting.start()
    try:
        eventually("asked", lambda: "fieldSelector=metadata.name" in waiting.log_tail())
        cluster.delete("services", "shop/passing")
        eventually("told", lambda: "service/passing condition met" in waiting.log_tail())
    finally:
        waiting.kill()


def test_wait_for_a_value_hears_of_it(kubectl: Kubectl, cluster: Cluster, tmp_path: Path) -> None:
    """kubectl 1.20 knows no jsonpath: it tells that, of both servers."""
    command = ("wait", "--for=jsonpath={.spec.type}=ClusterIP", "service/cart", "-n", "shop")
    printed = kubectl.run(kubectl.emitter, *command)
    assert printed == kubectl.run(kubectl.real, *command)
    assert "condition met" in printed or "unrecognized condition" in printed
