"""What an operator asks: what would be done, what has been done, and why."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from servicereflector.testing.processes import free_port

from .clusters import Cluster, Json, RunningProgram, ask, eventually, run_reflector

Asked = subprocess.CompletedProcess[str]
Plan = Callable[..., Asked]

#: The exit status of a plan.
UNCHANGED, FAILED, CHANGES = 0, 1, 2


@pytest.fixture(scope="module")
def source(east: Cluster) -> str:
    """The flag of the one source, each of whose namespaces belongs to a test or two."""
    for namespace in ("planned", "done", "asked"):
        east.namespace(namespace)
    return f"--reflector.source-kubeconfig=east={east.server.kubeconfig()}"


@pytest.fixture
def plan(west: Cluster, tmp_path: Path, source: str) -> Plan:
    """Plans, and asserts that nothing was written."""

    def plan(*flags: str) -> Asked:
        before = versions(west)
        kubeconfig = f"--kubeconfig={west.server.kubeconfig()}"
        planned = ask(tmp_path, "plan", kubeconfig, source, *flags)
        assert versions(west) == before
        return planned

    return plan


def versions(cluster: Cluster) -> dict[str, str]:
    """Of all objects that the program may write: another one with every write."""
    return {
        item["metadata"]["uid"]: item["metadata"]["resourceVersion"]
        for kind in ("namespaces", "services", "endpoints", "events")
        for item in cluster.list(kind)
    }


# Before anything runs


@pytest.fixture(scope="module")
def planned(east: Cluster, west: Cluster, source: str) -> str:
    """The flag for a namespace that has two Services to mirror, and one whose name is taken."""
    for name in ("cart", "taken", "till"):
        east.export(f"planned/{name}", "10.9.0.1")
    west.namespace("planned")
    west.create("services", "planned/taken", spec={"ports": [{"port": 80}]})
    return "--namespace=planned"


def test_a_plan_tells_what_would_be_done_and_does_nothing(plan: Plan, planned: str) -> None:
    told = plan(planned)
    assert (told.returncode, told.stderr) == (CHANGES, "")
    lines = told.stdout.splitlines()
    for name in ("cart", "till"):
        assert [line for line in lines if line.startswith(f"+ create Service planned/{name}  (")]
        assert f"+ create Endpoints planned/{name}" in lines
    (conflict,) = (line for line in lines if line.startswith("!"))
    assert conflict.startswith("! Conflict of east: Service planned/taken exists")
    assert lines[-1].endswith(" to create, 0 to update, 0 to delete. Nothing was written.")


def test_a_plan_takes_the_programs_flags(plan: Plan, planned: str) -> None:
    """And is JSON where that is asked for."""
    told = plan(planned, "--reflector.name-template={name}-of-{source}", "-o", "json")
    assert (told.returncode, told.stderr) == (CHANGES, "")
    plans = {one["key"]: one for one in json.loads(told.stdout)["plans"]}
    assert len(plans) == 3
    for name in ("cart", "taken", "till"):
        one = plans[f"planned/{name}-of-east"]
        assert one["owner"] == "east"
        assert one["statuses"] == {"east": {"state": "Mirrored", "reason": ""}}
        actions = [action["action"] for action in one["actions"]]
        assert actions[0] == f"create Service planned/{name}-of-east"
        assert f"create Endpoints planned/{name}-of-east" in actions
        assert one["actions"][0]["document"]["metadata"]["name"] == f"{name}-of-east"


def test_a_plan_with_a_source_that_does_not_answer(plan: Plan, planned: str) -> None:
    """It is said, and the others' is told."""
    told = plan(planned, f"--source-api=dead=http://127.0.0.1:{free_port()}", "--timeout=2s")
    assert told.returncode == CHANGES
    said = "service-reflector: source 'dead' was not listed within 2 s: nothing of it\n"
    assert told.stderr == said
    assert "+ create Endpoints planned/cart" in told.stdout


def test_a_plan_for_a_host_that_does_not_answer(west: Cluster, tmp_path: Path) -> None:
    config: Json = json.loads(west.server.kubeconfig().read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    path = tmp_path / "nowhere"
    path.write_text(json.dumps(config))
    told = ask(tmp_path, "plan", f"--kubeconfig={path}", "--timeout=1s")
    assert (told.returncode, told.stdout) == (FAILED, "")
    (line,) = told.stderr.splitlines()
    assert line.startswith("service-reflector: within 1 s: the host's first lists are not in: ")


# When it has run


def test_a_plan_of_what_has_changed_since(
    east: Cluster, west: Cluster, plan: Plan, source: str, tmp_path: Path
) -> None:
    """Nothing is to be done until something has."""
    for name in ("cart", "till"):
        east.export(f"done/{name}", "10.9.0.1")
    program = run_reflector(tmp_path, west, source, "--namespace=done")
    try:
        eventually(program.log, lambda: program.mirrored("east", "Mirrored") == 2)
    finally:
        program.kill()
    told = plan("--namespace=done")
    assert told.returncode == UNCHANGED, told.stdout
    assert told.stdout == "Nothing to do: the host is as it should be.\n"

    east.change("services", "done/cart", lambda s: s["spec"].update(ports=[{"port": 8888}]))
    east.delete("services", "done/till")
    told = plan("--namespace=done")
    assert told.returncode == CHANGES
    lines = told.stdout.splitlines()
    assert [line for line in lines if line.startswith("- delete Service done/till  (")]
    begins = next(n for n, line in enumerate(lines) if "~ update Service done/cart" in line)
    added = [line.split() for line in lines[begins:] if line.startswith("    +")]
    assert added == [["+", "-", "port:", "8888"], ["+", "targetPort:", "8888"]]
    assert "    -  - port: 80" in lines[begins:]
    assert ", 1 to update, " in lines[-1]


# While it runs


@pytest.fixture(scope="module")
def program(
    east: Cluster, west: Cluster, source: str, directory: Path, programs: list[RunningProgram]
) -> RunningProgram:
    for name in ("cart", "taken", "till"):
        east.export(f"asked/{name}", "10.9.0.1")
    west.namespace("asked")
    west.create("services", "asked/taken", spec={"ports": [{"port": 80}]})
    program = run_reflector(directory, west, source, "--namespace=asked")
    programs.append(program)
    eventually(program.log, lambda: program.mirrored("east", "Mirrored") == 2)
    eventually(program.log, lambda: program.mirrored("east", "Conflict") == 1)
    return program


def test_the_status_is_that_of_the_sources_and_mirrors(
    east: Cluster, program: RunningProgram, tmp_path: Path
) -> None:
    told = ask(tmp_path, "status", "-o", "json", program.admin_socket)
    assert (told.returncode, told.stderr) == (0, "")
    status = json.loads(told.stdout)
    assert status["host"] == {"problem": ""}
    assert status["problems"] == []
    (source,) = status["sources"]
    assert (source["name"], source["location"]) == ("east", east.server.url)
    assert (source["state"], source["services"], source["held"]) == ("Synced", 3, 0)
    assert source["mirrors"] == {"Conflict": 1, "Mirrored": 2}
    assert {mirror["key"]: mirror["state"] for mirror in status["mirrors"]} == {
        "asked/cart": "Mirrored",
        "asked/taken": "Conflict",
        "asked/till": "Mirrored",
    }
    text = ask(tmp_path, "status", program.admin_socket).stdout
    (row,) = (line for line in text.splitlines() if line.startswith("asked  ") and "taken" in line)
    assert row.split()[:4] == ["asked", "taken", "east", "Conflict"]


def test_a_name_is_explained(
    east: Cluster, west: Cluster, program: RunningProgram, tmp_path: Path
) -> None:
    """Who has it, why, and what was done."""
    east.set_ips("asked/cart", "10.9.0.9")
    eventually("it has arrived", lambda: west.ips("asked/cart") == ["10.9.0.9"])
    told = ask(tmp_path, "explain", "asked/cart", program.admin_socket)
    assert (told.returncode, told.stderr) == (0, "")
    lines = told.stdout.splitlines()
    assert lines[0] == "asked/cart: mirrored from east"
    assert lines[1] == "  because it is the mirror of 'east'"
    cluster_ip = west.identity("asked/cart")[1]
    assert lines[2] == f"  in the host: a mirror of asked/cart from east, {cluster_ip}"
    done = [line.split(maxsplit=1)[1] for line in lines if line.startswith("  20")]
    assert done[0] == "create Service asked/cart"
    assert "update Endpoints asked/cart" in done[1:]
    assert any(line.startswith("From the source's event to the written mirror: ") for line in lines)


def test_a_name_that_is_taken_is_explained(program: RunningProgram, tmp_path: Path) -> None:
    taken = ask(tmp_path, "explain", "asked/taken", program.admin_socket).stdout.splitlines()
    assert taken[0] == "asked/taken: not mirrored"
    assert taken[2] == "  in the host: a Service that service-reflector did not create"


def test_questions_that_have_no_answer(program: RunningProgram, tmp_path: Path) -> None:
    """One line, and exit status 1."""
    unknown = ask(tmp_path, "explain", "asked/nothing", program.admin_socket)
    assert unknown.returncode == 1
    said = "Nobody exports asked/nothing, and the host does not have it.\n"
    assert unknown.stdout + unknown.stderr == said
    elsewhere = ask(tmp_path, "status", f"--admin-socket={tmp_path}/nothing.sock")
    assert (elsewhere.returncode, elsewhere.stdout) == (1, "")
    start = f"service-reflector: no service-reflector answers on {tmp_path}/nothing.sock ("
    assert elsewhere.stderr.startswith(start)
    assert len(elsewhere.stderr.splitlines()) == 1
