"""The demo: its tour sees everything, and says so when it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor

from servicereflector.demo import tour
from servicereflector.demo.service import DemoCluster


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
        "west: Event Conflict",
        "west: Endpoints 10.9.0.5",
    ]
    assert len(ran.stdout.splitlines()) == tour.STEPS
    assert "west: keeps the Service and Endpoints 10.9.0.2, 10.9.0.3" in ran.stdout


@pytest_twisted.ensureDeferred
async def test_the_tour_fails_where_nothing_is_mirrored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clusters are cut from each other before it begins."""
    monkeypatch.setattr(tour, "PATIENCE", 0.1)
    east, west = DemoCluster(reactor, "east"), DemoCluster(reactor, "west")
    clusters = [east.connect(west), west.connect(east)]
    for cluster in clusters:
        cluster.startService()
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
        for cluster in clusters:
            await cluster.stopService()
    assert said == ["east: create namespace shop, Service cart, Endpoints 10.9.0.1"]
