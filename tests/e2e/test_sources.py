"""Several sources, dead sources, and what the Go program left behind."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from servicereflector.testing.processes import free_port

from .clusters import Cluster, RunningProgram, eventually, run_reflector, subsets

REFLECTED = "service-reflector.squat.ai/reflected"
SOURCE = "service-reflector.squat.ai/source"


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    """The URL of something that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(scope="module")
def program(
    east: Cluster,
    west: Cluster,
    emitter: tuple[RunningProgram, str],
    silent: str,
    directory: Path,
    programs: list[RunningProgram],
) -> RunningProgram:
    """Sources: one silent, one refusing, east's API server by kubeconfig, east's Emitter by URL."""
    for namespace in ("shop", "go"):
        east.namespace(namespace)
    west.namespace("go")
    program = run_reflector(
        directory,
        west,
        f"--source-api=silent={silent},refusing=http://127.0.0.1:{free_port()}",
        f"--source-api={emitter[1]}",
        f"--source-kubeconfig=direct={east.server.kubeconfig()}",
    )
    programs.append(program)
    program.wait_until_ready()
    return program


def source_of(cluster: Cluster, key: str) -> str | None:
    mirror = cluster.get("services", key)
    return None if mirror is None else mirror["metadata"]["annotations"][SOURCE]


def test_dead_sources_delay_nobody(east: Cluster, west: Cluster, program: RunningProgram) -> None:
    """One never answers, one refuses: the others are mirrored all the same."""
    east.export("shop/alive", "10.9.0.1")
    eventually(f"a mirror: {program.log()}", lambda: west.ips("shop/alive") == ["10.9.0.1"], 10)
    for name, connected in (("silent", 0.0), ("refusing", 0.0), ("direct", 1.0)):
        sample = f'service_reflector_connected{{resource="services",source="{name}"}}'
        assert program.metric(sample) == connected


def test_one_source_owns_a_name_and_the_other_stands_by(
    east: Cluster, west: Cluster, program: RunningProgram, emitter: tuple[RunningProgram, str]
) -> None:
    east.export("shop/both", "10.9.0.1")
    eventually("a mirror", lambda: west.ips("shop/both") == ["10.9.0.1"], 10)
    owner = source_of(west, "shop/both")
    assert owner in (emitter[1], "direct")
    other = "direct" if owner == emitter[1] else emitter[1]

    def standby() -> bool:
        sample = f'service_reflector_mirrored_services{{source="{other}",state="Standby"}}'
        return program.metric(sample) >= 1

    eventually("the other stands by", standby, 10)


def test_a_mirror_whose_source_is_gone_is_taken_over_in_place(
    east: Cluster, west: Cluster, program: RunningProgram
) -> None:
    """As the Go program wrote it, under a source that is no longer configured: the same Service,
    the same ClusterIP, but without its node port."""
    before = west.create(
        "services",
        "go/old",
        metadata={"annotations": {REFLECTED: "true", SOURCE: "http://old.example:8080"}},
        spec={"type": "NodePort", "ports": [{"port": 80}]},
    )
    west.create(
        "endpoints",
        "go/old",
        metadata={"annotations": {REFLECTED: "true", SOURCE: "http://old.example:8080"}},
        subsets=subsets("10.9.9.9"),
    )
    orphans = (
        'service_reflector_mirrored_services{source="http://old.example:8080",state="Orphaned"}'
    )
    eventually("an orphan", lambda: program.metric(orphans) == 1, 10)
    east.export("go/old", "10.9.0.1")
    eventually("new Endpoints", lambda: west.ips("go/old") == ["10.9.0.1"], 10)
    after = west.get("services", "go/old")
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"]["clusterIP"] == before["spec"]["clusterIP"]
    assert after["spec"]["type"] == "ClusterIP"
    assert "nodePort" not in after["spec"]["ports"][0]


def test_an_orphan_is_kept(west: Cluster, program: RunningProgram) -> None:
    """Nobody exports it, and its source is not configured: it may be another program's, or mended
    configuration away from being right."""
    assert program.is_ready()
    west.create(
        "services",
        "go/orphan",
        metadata={"annotations": {REFLECTED: "true", SOURCE: "elsewhere"}},
        spec={"ports": [{"port": 80}]},
    )
    sample = 'service_reflector_mirrored_services{source="elsewhere",state="Orphaned"}'
    eventually("it is seen as an orphan", lambda: program.metric(sample) == 1, 10)
    assert west.get("services", "go/orphan") is not None


def test_a_mirror_is_not_mirrored(
    east: Cluster, west: Cluster, program: RunningProgram, emitter: tuple[RunningProgram, str]
) -> None:
    """Neither through a kubeconfig nor through an Emitter, or meshes would never forget."""
    annotations = {REFLECTED: "true", SOURCE: "third"}
    for key, marks in (("shop/mirror", annotations), ("shop/marker", {})):
        east.create(
            "services", key, metadata={"annotations": marks}, spec={"ports": [{"port": 80}]}
        )
        east.create("endpoints", key, metadata={"annotations": marks}, subsets=subsets("10.9.0.1"))
    eventually("what came after it", lambda: west.ips("shop/marker") == ["10.9.0.1"], 10)
    assert west.get("services", "shop/mirror") is None
    assert program.is_ready()
    assert emitter[0].is_ready()
