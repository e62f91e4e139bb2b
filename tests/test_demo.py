"""The demo: its tour sees everything, and says so when it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from servicereflector.demo import clusters, tour
from servicereflector.demo.clusters import DemoCluster
from servicereflector.demo.greeting import Place, greeting
from servicereflector.ops.sockets import bind


def test_the_tour_sees_every_step_and_ends_well(tmp_path: Path) -> None:
    """Create, change, a partition that is survived, delete, a conflict; each with its delay. Plain
    lines, for which nothing is imported that draws."""
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "servicereflector", "demo", "--once"],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    imported = [line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()]
    assert ran.stderr.count("import time:") == len(imported), "it is silent but for what it imports"
    # rich weighs: it is for who looks.
    assert not [name for name in imported if name.partition(".")[0] == "rich"]
    assert "servicereflector.reflector.controller" in imported
    seen = [line for line in ran.stdout.splitlines() if line.endswith("ms later")]
    assert [line.split(",")[0] for line in seen] == [
        "west: Endpoints 10.9.0.1",
        "west: Endpoints 10.9.0.2",
        "west: knows that it cannot hear east",
        "west: hears east",
        "west: Endpoints 10.9.0.4",
        "west: no Service and no Endpoints cart",
        "west: Event NameTaken",
        "west: Endpoints 10.9.0.5",
    ]
    assert len(ran.stdout.splitlines()) == tour.STEPS
    assert "west: keeps the Service and Endpoints 10.9.0.2, 10.9.0.3" in ran.stdout


@pytest_twisted.ensureDeferred
async def test_the_tour_fails_where_nothing_is_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clusters are cut from each other before it begins."""
    monkeypatch.setattr(tour, "PATIENCE", 0.1)
    east, west = DemoCluster(reactor, "east"), DemoCluster(reactor, "west")
    services = [east.connect(west), west.connect(east)]
    for service in services:
        service.startService()
    said: list[str] = []
    guided = tour.Tour(
        reactor,
        east_url=east.api_url,
        west_url=west.api_url,
        west_health_url=west.health_url,
        wire=east.wire,
        say=said.append,
    )
    try:
        await east.wire.cut()
        with pytest.raises(tour.TourFailed, match=r"west: Endpoints 10.9.0.1: not seen within"):
            await guided.run()
    finally:
        for service in services:
            await service.stopService()
    assert said == ["east: create namespace shop, Service cart, Endpoints 10.9.0.1"]


@pytest_twisted.ensureDeferred
async def test_a_port_that_is_taken_is_told_with_that_in_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The greeting has the line, and the other port is the one that is listened on."""
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setitem(clusters._PORTS["east"], "API", port)
        east, west = DemoCluster(reactor, "east"), DemoCluster(reactor, "west")
        services = [east.connect(west), west.connect(east)]
        for service in services:
            service.startService()
        for service in services:
            await service.stopService()
    other = east.api_url.rpartition(":")[2]
    assert int(other) != port
    told = f"port {port} is taken: east's API is at {other}"
    assert told in east.moved
    place = Place("east", east.api_url, east.emitter_url, east.health_url, moved=east.moved)
    assert f"         {told}" in greeting(place, place, "service-reflector", "west.sock")
