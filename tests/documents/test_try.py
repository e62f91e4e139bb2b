"""Trying it: README's recording is what a run prints, and docs/try.md does what it tells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.clusters import eventually, fetch

from .blocks import block
from .recording import record, there, without_figures
from .shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path / "shell")


def test_the_recording_is_what_a_run_prints(shell: Shell) -> None:
    """All but how long things took. `make recording` after a change."""
    made = record(shell, block("README.md", "Try it"))
    assert without_figures(made) == without_figures(there())


def test_the_tour_ends_well(shell: Shell) -> None:
    assert "ms later" in shell.run(block("docs/try.md", "A tour"))


@dataclass(frozen=True)
class Demo:
    """One that runs, and its ports: where the usual ones are taken it says others."""

    shell: Shell
    ports: dict[str, str]

    def run(self, script: str) -> str:
        for name, port in (("east", 8001), ("west", 8002)):
            script = script.replace(f":{port}", f":{self.ports[name]}")
        return self.shell.run(script)

    def mirror(self, name: str) -> str:
        """West's Endpoints of that name, as they are served."""
        path = f"/api/v1/namespaces/default/endpoints/{name}"
        return fetch(f"http://127.0.0.1:{self.ports['west']}{path}")[1].decode()


@pytest.fixture
def demo(shell: Shell) -> Iterator[Demo]:
    with shell.running(block("docs/try.md", "Two clusters in one process")) as log:
        eventually("the greeting", lambda: "Ctrl-C" in log.read_text())
        yield Demo(
            shell, dict(re.findall(r"(east|west) +API +http://127.0.0.1:(\d+)", log.read_text()))
        )


def test_a_service_and_its_mirror(demo: Demo) -> None:
    """Each command by itself, as a person would."""
    script = block("docs/try.md", "Two clusters in one process", 2)
    apply, show, delete = re.split(r"^(?=kubectl)", script, flags=re.M)[1:]
    assert demo.run(apply).split() == ["service/cart", "created", "endpoints/cart", "created"]
    eventually("the mirror", lambda: "10.9.0.1" in demo.mirror("cart"))
    assert "service-reflector.squat.ai/source: east" in demo.run(show)
    demo.run(delete)
    eventually("the mirror is gone", lambda: "NotFound" in demo.mirror("cart"))


def test_a_conflict_is_told_and_ends(demo: Demo) -> None:
    """West's own Service stays until somebody deletes it."""
    script = block("docs/try.md", "A conflict")
    *make, look, delete = re.split(r"^(?=kubectl)", script, flags=re.M)[1:]
    demo.run("".join(make))
    eventually("the Event", lambda: "NameTaken" in demo.run(look))
    assert "10.9.0.2" not in demo.mirror("billing")
    demo.run(delete)
    eventually("the mirror", lambda: "10.9.0.2" in demo.mirror("billing"))
