"""What is mirrored, under which name, from whom, and what people are told of it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .clusters import (
    SOURCE,
    Cluster,
    RunningProgram,
    eventually,
    hurried,
    in_parallel,
    run_emitter,
    run_reflector,
)

ORIGIN = "service-reflector.squat.ai/origin"

Run = Callable[..., RunningProgram]


@pytest.fixture
def run(west: Cluster, tmp_path: Path) -> Iterator[Run]:
    """Runs a Reflector of west until the end of the test; its source is east's API server."""
    running: list[RunningProgram] = []

    def run(*flags: str, **options: tuple[str, ...]) -> RunningProgram:
        program = run_reflector(tmp_path / str(len(running)), west, *flags, **options)
        running.append(program)
        return program

    yield run
    for program in running:
        program.kill()


@pytest.fixture(scope="module")
def direct(east: Cluster) -> str:
    """The path of a kubeconfig of east."""
    return str(east.server.kubeconfig())


# Which namespaces


@pytest.fixture(scope="module")
def picky(
    east: Cluster, west: Cluster, direct: str, directory: Path, programs: list[RunningProgram]
) -> RunningProgram:
    for name in ("pick-this", "picked", "pick-secret", "other"):
        east.namespace(name)
        west.namespace(name)
    east.namespace("pick-later")
    program = run_reflector(
        directory / "picky",
        west,
        f"--reflector.source-kubeconfig=picky={direct}",
        "--reflector.namespaces=pick-*,picked",
        "--reflector.deny-namespaces=*-secret",
        "--reflector.create-namespaces=false",
    )
    programs.append(program)
    return program


def test_allowed_and_denied_namespaces(east: Cluster, west: Cluster, picky: RunningProgram) -> None:
    """A denied one that is allowed as well is denied; what is neither is not mirrored."""
    for namespace in ("other", "pick-secret", "picked", "pick-this"):
        east.export(f"{namespace}/cart", "10.9.0.1")
    for namespace in ("picked", "pick-this"):
        key = f"{namespace}/cart"
        eventually(picky.log, lambda key=key: west.ips(key) == ["10.9.0.1"])  # type: ignore[misc]
    eventually("refused", lambda: picky.mirrored("picky", "Refused") >= 2)
    assert west.names("pick-secret") == west.names("other") == set()


def test_a_namespace_that_is_not_there_is_waited_for(
    east: Cluster, west: Cluster, picky: RunningProgram
) -> None:
    east.export("pick-later/cart", "10.9.0.1")
    eventually("it waits", lambda: picky.mirrored("picky", "Pending") >= 1)
    east.export("picked/marker", "10.9.0.1")
    eventually("what came after it", lambda: west.ips("picked/marker"))
    assert west.call("GET", "/api/v1/namespaces/pick-later")[0] == 404
    west.namespace("pick-later")
    eventually("mirrored", lambda: west.ips("pick-later/cart") == ["10.9.0.1"], 5)


def test_unused_namespaces_are_deleted_unless_somebody_uses_them(
    east: Cluster, west: Cluster, direct: str, run: Run
) -> None:
    """Looked at more often than a test could wait for. Nothing here ends what a deletion begins."""
    names = ["unused", "used-by-hand", "used-by-mirrors", "made-by-hand"]
    west.namespace("made-by-hand")
    for name in names:
        east.namespace(name)
        east.export(f"{name}/cart", "10.9.0.1")
    program = run(
        f"--reflector.source-kubeconfig=used={direct}",
        "--reflector.namespaces=*used*,made-by-hand",
        "--reflector.delete-namespaces",
        command=hurried(reflector__namespaces__LOOK_EVERY=0.2, reflector__namespaces__GRACE=1.0),
    )
    eventually(program.log, lambda: program.mirrored("used", "Mirrored") == len(names))
    west.create("configmaps", "used-by-hand/notes", data={"of": "a person"})
    for name in ("used-by-hand", "made-by-hand", "unused"):
        east.delete("services", f"{name}/cart")

    def ends(name: str) -> bool:
        found = west.must("GET", f"/api/v1/namespaces/{name}")
        return "deletionTimestamp" in found["metadata"]

    eventually(program.log, lambda: ends("unused"))
    eventually("why another stays", lambda: "namespace used-by-hand: kept" in program.log())
    assert "ConfigMap notes" in program.log()
    west.delete("configmaps", "used-by-hand/notes")
    eventually("now it ends, too", lambda: ends("used-by-hand"))
    assert not ends("used-by-mirrors")
    assert not ends("made-by-hand")


# Names, and what is copied


@pytest.fixture(scope="module")
def templated(
    east: Cluster, west: Cluster, direct: str, directory: Path, programs: list[RunningProgram]
) -> RunningProgram:
    east.namespace("named")
    east.namespace("named-denied")
    program = run_reflector(
        directory / "templated",
        west,
        f"--reflector.source-kubeconfig=north={direct}",
        "--reflector.name-template={name}-of-{source}",
        "--reflector.namespace-template={source}-{namespace}",
        "--reflector.namespaces=named*",
        "--reflector.deny-namespaces=north-*-denied",
        "--reflector.ignored-labels=team-*,secret",
        "--reflector.ignored-annotations=example.com/*",
    )
    programs.append(program)
    return program


def test_mirrors_are_named_by_the_templates(
    east: Cluster, west: Cluster, templated: RunningProgram
) -> None:
    """What changes and what goes is found under that name, too."""
    east.export("named/cart", "10.9.0.1")
    mirror = "north-named/cart-of-north"
    eventually(templated.log, lambda: west.ips(mirror) == ["10.9.0.1"])
    found = west.get("services", mirror)
    assert found is not None
    assert found["metadata"]["annotations"][ORIGIN] == "named/cart"
    assert found["metadata"]["annotations"][SOURCE] == "north"
    east.set_ips("named/cart", "10.9.0.2")
    eventually("changed", lambda: west.ips(mirror) == ["10.9.0.2"], 5)
    east.delete("services", "named/cart")
    eventually("gone", lambda: west.get("services", mirror) is None, 5)


def test_a_name_that_becomes_too_long_is_cut(
    east: Cluster, west: Cluster, templated: RunningProgram
) -> None:
    """So that two that differ at their ends only have names of their own."""
    names = [f"{'long-' * 11}{end}" for end in ("one", "two")]
    for name in names:
        east.export(f"named/{name}", "10.9.0.1")

    def found() -> dict[str, str]:
        path = "/api/v1/namespaces/north-named/services"
        services = west.call("GET", path)[1].get("items", [])
        marked = {s["metadata"]["annotations"][ORIGIN]: s["metadata"]["name"] for s in services}
        return {name: marked[f"named/{name}"] for name in names if f"named/{name}" in marked}

    cut = eventually(templated.log, lambda: found() if len(found()) == 2 else None)
    assert cut[names[0]] != cut[names[1]]
    for name in cut.values():
        assert re.fullmatch(r"(long-){9,}[a-z0-9]+", name)
        assert len(name) <= 63


def test_nothing_is_mirrored_into_a_denied_namespace(
    east: Cluster, west: Cluster, templated: RunningProgram
) -> None:
    """It is not called so where it comes from."""
    east.export("named-denied/cart", "10.9.0.1")
    east.export("named/marker", "10.9.0.1")
    eventually(templated.log, lambda: west.ips("north-named/marker-of-north"))
    eventually("refused", lambda: templated.mirrored("north", "Refused") >= 1)
    assert west.call("GET", "/api/v1/namespaces/north-named-denied")[0] == 404


def test_ignored_labels_and_annotations_are_not_copied(
    east: Cluster, west: Cluster, templated: RunningProgram
) -> None:
    marks = {"team-x": "a", "secret": "b", "secretary": "c", "example.com/d": "e"}
    east.export("named/marks", "10.9.0.1", labels=marks, annotations=marks)
    eventually(templated.log, lambda: west.ips("north-named/marks-of-north"))
    for kind in ("services", "endpoints"):
        mirror = west.get(kind, "north-named/marks-of-north")
        assert mirror is not None
        metadata = mirror["metadata"]
        assert metadata["labels"].keys() & marks.keys() == {"secretary", "example.com/d"}
    mirror = west.get("services", "north-named/marks-of-north")
    assert mirror is not None
    copied = mirror["metadata"]["annotations"].keys() & marks.keys()
    assert copied == {"team-x", "secret", "secretary"}


# Who has a name


@pytest.fixture(scope="module")
def ordered(
    east: Cluster, west: Cluster, direct: str, directory: Path, programs: list[RunningProgram]
) -> RunningProgram:
    """Of two sources that export the same the first has answered last, but still soon."""
    east.namespace("ordered")
    east.export("ordered/cart", "10.9.0.1")
    slow, url = run_emitter(directory / "slow", east)
    programs.append(slow)
    slow.wait_until_ready()
    slow.pause()
    program = run_reflector(
        directory / "ordered",
        west,
        f"--source-api=first={url}",
        f"--reflector.source-kubeconfig=second={direct}",
        "--reflector.source-selector=first=of!=second",
        "--reflector.source-selector=second=of!=first",
        "--reflector.namespaces=ordered",
    )
    programs.append(program)
    eventually(program.log, lambda: west.source("ordered/cart") == "second")
    before = west.identity("ordered/cart")
    slow.resume()
    eventually(program.log, lambda: west.source("ordered/cart") == "first")
    assert west.identity("ordered/cart") == before
    return program


def test_the_order_decides_between_sources_that_start_together(
    west: Cluster, ordered: RunningProgram
) -> None:
    """Nobody waited for the first, which was given the name in place; that is no news."""
    eventually("it stands by", lambda: ordered.mirrored("second", "Standby") == 1)
    assert west.source("ordered/cart") == "first"
    assert west.events("ordered", "TakenOver") == []


def test_what_a_sources_selector_no_longer_selects_is_taken_over(
    east: Cluster, west: Cluster, ordered: RunningProgram
) -> None:
    """In place, and told beside it."""
    east.export("ordered/till", "10.9.0.1", labels={"of": "first"})
    eventually(ordered.log, lambda: west.source("ordered/till") == "first")
    before = west.identity("ordered/till")
    standby = ordered.mirrored("second", "Standby")
    east.label("ordered/till", of="both")
    eventually("another, too", lambda: ordered.mirrored("second", "Standby") == standby + 1)
    east.label("ordered/till", of="second")
    eventually(ordered.log, lambda: west.source("ordered/till") == "second")
    assert west.identity("ordered/till") == before
    (event,) = eventually("an Event", lambda: west.events("ordered", "TakenOver"))
    assert event["message"] == "taken over from source 'first' by 'second'"
    assert event["type"] == "Normal"
    assert event["involvedObject"]["uid"] == before[0]
    assert event["source"]["component"] == "service-reflector"


def test_a_source_that_is_given_a_name_has_the_mirrors_made_under_its_url(
    east: Cluster, west: Cluster, emitter: tuple[RunningProgram, str], run: Run
) -> None:
    """And deletes those that it no longer exports."""
    east.namespace("renamed")
    for name in ("cart", "gone"):
        east.export(f"renamed/{name}", "10.9.0.1")
    nameless = run(f"--source-api={emitter[1]}", "--namespace=renamed")
    eventually(nameless.log, lambda: nameless.mirrored(emitter[1], "Mirrored") == 2)
    before = west.identity("renamed/cart")
    nameless.kill()
    east.delete("services", "renamed/gone")
    named = run(f"--source-api=east={emitter[1]}", "--namespace=renamed")
    eventually(named.log, lambda: west.source("renamed/cart") == "east")
    eventually("the other one goes", lambda: west.names("renamed") == {"cart"})
    assert west.identity("renamed/cart") == before
    assert west.events("renamed", "TakenOver") == []


# What people are told


def test_events_of_conflicts_are_counted(
    east: Cluster, west: Cluster, direct: str, run: Run
) -> None:
    """They are beside what is in the way. Of many at once a few are written; one that happens
    again is written again, and tells how many were not. With figures that a test can wait for."""
    names = [f"taken-{number}" for number in range(30)]
    for cluster in (east, west):
        cluster.namespace("conflict")
        in_parallel(lambda name, to=cluster: to.export(f"conflict/{name}", "10.9.0.1"), names)  # type: ignore[misc]
    program = run(
        f"--reflector.source-kubeconfig=east={direct}",
        "--reflector.namespaces=conflict",
        command=hurried(
            reflector__correlation__BURST=5,
            reflector__correlation__REFILL_EVERY=1.0,
            reflector__correlation__REPEAT_EVERY=0.5,
        ),
    )
    eventually(program.log, lambda: program.mirrored("east", "Conflict") == 30)
    event = eventually("an Event", lambda: west.events("conflict", "NameTaken"))[0]
    key = f"conflict/{event['involvedObject']['name']}"
    assert event["involvedObject"]["uid"] == west.identity(key)[0]
    assert event["type"] == "Warning"
    assert event["message"].partition(" (and ")[0] == (
        f"not mirrored from source 'east': Service {key} exists and was not created by"
        " service-reflector"
    )

    def told() -> int:
        """How often it happened, by what the Events say."""
        events = west.events("conflict", "NameTaken")
        others = (re.search(r"\(and (\d+) more\)$", event["message"]) for event in events)
        return sum(e["count"] for e in events) + sum(int(o[1]) for o in others if o)

    happened = 30
    at_last = time.monotonic()

    def all_is_told() -> bool:
        nonlocal happened, at_last
        if time.monotonic() - at_last > 1:
            east.delete("services", key)
            eventually("no conflict", lambda: program.mirrored("east", "Conflict") == 29)
            east.export(key, "10.9.0.1")
            eventually("again", lambda: program.mirrored("east", "Conflict") == 30)
            happened += 1
            at_last = time.monotonic()
        return told() == happened > 30

    eventually(program.log, all_is_told)
    events = west.events("conflict", "NameTaken")
    assert len(events) < 30
    (again,) = (e for e in events if e["metadata"]["uid"] == event["metadata"]["uid"])
    assert again["count"] == happened - 29
    assert again["firstTimestamp"] == event["firstTimestamp"]
    assert west.source(key) is None


def test_what_the_host_refuses_is_told(east: Cluster, west: Cluster, direct: str, run: Run) -> None:
    """The name of a Service begins with a letter: with other sources' nothing is wrong."""
    east.namespace("refused")
    east.export("refused/cart", "10.9.0.1")
    program = run(
        f"--reflector.source-kubeconfig=1={direct},one={direct}",
        "--reflector.name-template={source}-{name}",
        "--reflector.namespaces=refused",
    )
    eventually(program.log, lambda: west.ips("refused/one-cart") == ["10.9.0.1"])
    eventually(program.log, lambda: program.mirrored("1", "Rejected") == 1)
    (event,) = eventually("an Event", lambda: west.events("refused", "HostRefused"))
    assert event["involvedObject"]["name"] == "1-cart"
    assert event["message"].startswith("not mirrored from source '1': ")
    assert "a DNS-1035 label" in event["message"]
    assert program.mirrored("one", "Mirrored") == 1


# Which addresses


def test_a_source_leads_nobody_into_the_host_itself(
    east: Cluster, west: Cluster, direct: str, run: Run
) -> None:
    """West's Service range is asked of its API server, which is not asked to write anything."""
    east.namespace("range")
    west.namespace("range")
    before = west.must("GET", "/api/v1/services")["items"]
    east.export("range/cart", "10.9.0.1", "10.2.0.1", "10.2.255.9", "10.8.0.1", "10.7.0.1")
    program = run(
        f"--reflector.source-kubeconfig=ranged={direct}",
        "--reflector.namespaces=range",
        "--reflector.allow-cidr=10.9.0.0/16,ranged=100.64.0.0/10,10.2.0.0/16",
        "--reflector.map-cidr=ranged=10.8.0.0/16=100.64.0.0/16",
    )
    eventually(program.log, lambda: west.ips("range/cart") == ["10.9.0.1", "100.64.0.1"])
    assert program.metric('service_reflector_refused_addresses{source="ranged"}') == 3
    (event,) = eventually("an Event", lambda: west.events("range", "AddressRefused"))
    assert event["involvedObject"]["name"] == "cart"
    assert event["message"] == (
        "source 'ranged': 3 addresses are refused: '10.2.0.1' (a ClusterIP of the host),"
        " '10.2.255.9' (a ClusterIP of the host), '10.7.0.1' (not allowed)"
    )
    made = {item["metadata"]["name"] for item in west.must("GET", "/api/v1/services")["items"]}
    assert made - {item["metadata"]["name"] for item in before} == {"cart"} - {
        item["metadata"]["name"] for item in before
    }
    assert "--reflector.service-cidr" not in program.log()
