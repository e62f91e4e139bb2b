"""Operating it: each command beside a running program, on real API servers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.clusters import Cluster, RunningProgram, eventually, run_emitter, run_reflector, started

from servicereflector.testing.binaries import Binaries
from servicereflector.testing.envtest import ApiServer

from .blocks import ROOT, block
from .shell import Shell


@dataclass(frozen=True)
class Operated:
    """A Reflector, and a shell that is where `kubectl exec` leads.

    :ivar url: of east's Emitter.
    """

    east: Cluster
    west: Cluster
    shell: Shell
    url: str
    reflector: RunningProgram

    def run(self, script: str, *statuses: int) -> str:
        """With east's Emitter in place of the one that documents name."""
        assert self.url not in script
        return self.shell.run(script.replace("http://10.1.2.3:8080", self.url), statuses or (0,))


@pytest.fixture(scope="module")
def operated(
    envtest_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operated]:
    """East's cart is mirrored; so was, of a source that is gone, till."""
    directory = tmp_path_factory.mktemp("operated")
    runtime = directory / "run"
    one, two = (
        ApiServer(service_cluster_ip_range=service_range, binaries=envtest_binaries)
        for service_range in ("10.1.0.0/16", "10.2.0.0/16")
    )
    with started(one, two):
        east, west = Cluster(one), Cluster(two)
        east.export("default/cart", "10.9.0.1")
        marks = {
            "annotations": {
                "service-reflector.squat.ai/reflected": "true",
                "service-reflector.squat.ai/source": "north",
            },
            "labels": {"service-reflector.squat.ai/reflected": "true"},
        }
        west.export("default/till", "10.9.0.9", **marks)
        emitter, url = run_emitter(directory, east)
        flags = (
            f"--source-api=east={url}",
            f"--admin-socket={runtime}/service-reflector/admin.sock",
        )
        reflector = run_reflector(directory, west, *flags)
        shell = Shell(
            directory / "shell", XDG_RUNTIME_DIR=str(runtime), KUBECONFIG=str(two.kubeconfig())
        )
        try:
            eventually(reflector.log, lambda: west.ips("default/cart") == ["10.9.0.1"])
            yield Operated(east, west, shell, url, reflector)
        finally:
            reflector.kill()
            emitter.kill()


def test_status_and_explain(operated: Operated) -> None:
    """They find the socket by themselves."""
    told = operated.run(block("docs/commands.md", "status and explain"))
    assert re.search(r"^east +Synced +1 +1 +0", told, re.M)
    assert "default/cart: mirrored from east" in told


def test_the_status_as_json(operated: Operated) -> None:
    """With the program's port in place of the usual one; nothing of east needs attention."""
    script = block("docs/status.md", "The status page, and /status.json", 2)
    assert "http://localhost:9090" in script
    told = json.loads(
        operated.shell.run(script.replace("http://localhost:9090", operated.reflector.health))
    )
    assert told["mirrors"] == []
    assert "east" in [source["name"] for source in told["sources"]]


def test_release_and_forget(operated: Operated) -> None:
    """Nothing is held, which is told; what was north's goes."""
    told = operated.run(block("docs/commands.md", "release and forget"))
    assert "no deletions of source 'east' are held" in told
    assert "mirrors of source 'north' that are deleted, or taken over: 1" in told
    eventually(
        operated.reflector.log, lambda: operated.west.get("services", "default/till") is None
    )
    assert operated.west.ips("default/cart") == ["10.9.0.1"]


def test_plan(operated: Operated) -> None:
    """The host is as it should be."""
    told = operated.run(block("docs/commands.md", "plan"))
    assert told == "Nothing to do: the host is as it should be.\n"


def test_a_plan_for_a_source_that_is_trusted_less(operated: Operated) -> None:
    """Its Service is in none of the namespaces that it may have mirrored."""
    told = operated.run(block("docs/policy.md", "What a source may have mirrored"), 2)
    assert re.search(r"^- delete Service default/cart ", told, re.M), told


def test_check(operated: Operated) -> None:
    """The host's kubeconfig is the one that the block names."""
    script = block("docs/check.md", "Before it is installed: check").strip()
    told = operated.run(script.replace("west.yaml", '"$KUBECONFIG"') + " --probe=false")
    assert re.search(r"^ok +host: all \d+ permissions are there$", told, re.M)
    assert "\nok    east: reachable" in told


def test_the_alerts_are_checked(tmp_path: Path) -> None:
    """By Prometheus' own tool."""
    told = Shell(tmp_path / "shell").run(block("docs/metrics.md", "Metrics"))
    assert told.count("SUCCESS") == 2


def test_make_help_tells_each_target(tmp_path: Path) -> None:
    told = Shell(tmp_path / "shell").run(block("docs/developing.md", "Working on it"))
    targets = re.findall(r"^\.PHONY: ([a-z]+)$", (ROOT / "Makefile").read_text(), re.M)
    assert re.findall(r"^make ([a-z]+) ", told, re.M) == targets
