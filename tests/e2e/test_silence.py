"""Sources that no longer answer, and sources that come back with next to nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .clusters import (
    Cluster,
    RunningProgram,
    ask,
    eventually,
    in_parallel,
    run_emitter,
    run_reflector,
)

# An Emitter comes back and lists two of twelve Services.

#: Seconds.
HOLD = 4.0

#: Seconds until a source that was away has been listed: a few refusals, and their backoff.
BACK = 45.0

FIRST = [f"s{number}" for number in range(12)]
GONE, LEFT = FIRST[:10], FIRST[10:]


class Emptied:
    """west's Reflectors, by what their one source is called; each mirrors into a namespace of that
    name. The source's list now lacks ten of the twelve."""

    def __init__(self, reflectors: dict[str, RunningProgram], west: Cluster) -> None:
        self.reflectors = reflectors
        self.west = west

    def held(self, source: str) -> float:
        sample = f'service_reflector_held_deletions{{source="{source}"}}'
        return self.reflectors[source].metric(sample)

    def names(self, source: str) -> set[str]:
        return self.west.names(source)


@pytest.fixture(scope="module")
def emptied(
    east: Cluster, west: Cluster, directory: Path, programs: list[RunningProgram]
) -> Emptied:
    east.namespace("mass")
    in_parallel(lambda name: east.export(f"mass/{name}", "10.9.0.1"), FIRST)
    emitter, url = run_emitter(directory / "emptied", east)
    programs.append(emitter)
    reflectors = {
        source: run_reflector(
            directory / source,
            west,
            f"--source-api={source}={url}",
            "--reflector.namespaces=mass",
            "--reflector.namespace-template={source}",
            *flags,
        )
        for source, flags in {
            "careful": [f"--reflector.delete-hold={HOLD}s"],
            "trusting": ["--reflector.max-delete-fraction=1", "--reflector.delete-hold=1h"],
            "asking": ["--reflector.delete-hold=1h"],
        }.items()
    }
    programs += reflectors.values()
    found = Emptied(reflectors, west)
    for source, reflector in reflectors.items():
        everything = mirrored(reflector, source, 12)
        eventually(reflector.log, everything)
    emitter.kill()
    in_parallel(lambda name: east.delete("services", f"mass/{name}"), GONE)
    east.export("mass/new", "10.9.0.1")
    east.set_ips(f"mass/{LEFT[0]}", "10.9.0.2")
    emitter.start()
    return found


def mirrored(reflector: RunningProgram, source: str, count: int) -> Callable[[], bool]:
    return lambda: reflector.mirrored(source, "Mirrored") == count


# Another is stopped as by a partition: its connections stay open, and bring nothing.

SILENT, PATIENT, QUIET, DIRECT, BOTH = (
    f"silence/{n}" for n in ("silent", "patient", "quiet", "direct", "both")
)


class Silence:
    """west's Reflector with four sources of one cluster: two are one Emitter that falls silent,
    the others, another Emitter and the API server, merely have nothing to tell."""

    def __init__(
        self, reflector: RunningProgram, emitter: RunningProgram, before: dict[str, tuple[str, str]]
    ) -> None:
        self.reflector = reflector
        self.emitter = emitter
        self.before = before

    def is_silent(self, source: str) -> bool:
        sample = f'service_reflector_source_silent{{source="{source}"}}'
        return self.reflector.metric(sample) == 1


@pytest.fixture(scope="module")
def silence(
    east: Cluster,
    west: Cluster,
    emitter: tuple[RunningProgram, str],
    directory: Path,
    programs: list[RunningProgram],
    emptied: Emptied,
) -> Silence:
    """Since now the Emitter is silent; while it is, those of `emptied` hold what they hold."""
    east.namespace("silence")
    keys = (SILENT, PATIENT, QUIET, DIRECT, BOTH)
    for key in keys:
        east.export(key, "10.9.0.1", labels={"of": "silent" if key == BOTH else key.split("/")[1]})
    paused, url = run_emitter(directory / "silent", east)
    programs.append(paused)
    reflector = run_reflector(
        directory,
        west,
        f"--source-api=silent={url},patient={url},quiet={emitter[1]}",
        f"--source-kubeconfig=direct={east.server.kubeconfig()}",
        "--reflector.source-selector=silent=of in (silent, both)",
        "--reflector.source-selector=patient=of=patient",
        "--reflector.source-selector=quiet=of=quiet",
        "--reflector.source-selector=direct=of in (direct, both)",
        "--reflector.stale-after=3s,patient=1h",
        "--reflector.remove-after=8s",
        "--reflector.remove-after=patient=0",
        "--reflector.namespaces=silence",
    )
    programs.append(reflector)
    for key in keys:
        eventually(reflector.log, lambda key=key: west.ips(key))  # type: ignore[misc]
    east.label(BOTH, of="both")
    eventually("another exports it, too", lambda: reflector.mirrored("direct", "Standby") == 1, 10)
    found = Silence(reflector, paused, {key: west.identity(key) for key in keys})
    paused.pause()
    return found


# Silence


def test_stale_after_marks_the_endpoints_not_ready(west: Cluster, silence: Silence) -> None:
    eventually("none is ready", lambda: west.ips(SILENT) == [], 8)
    assert west.ips(SILENT, "notReadyAddresses") == ["10.9.0.1"]
    assert west.source(BOTH) == "silent"
    assert silence.is_silent("silent")
    event = eventually("an Event", lambda: west.events("silence", "Stale"))[0]
    assert event["type"] == "Warning"
    assert event["message"].startswith("source 'silent': ")


def test_remove_after_withdraws_them_and_leaves_the_service(
    west: Cluster, silence: Silence
) -> None:
    eventually("none at all", lambda: west.ips(SILENT, "notReadyAddresses") == [], 15)
    assert west.ips(SILENT) == []
    assert west.identity(SILENT) == silence.before[SILENT]
    eventually("is told", lambda: silence.reflector.mirrored("silent", "Withdrawn") == 1)


def test_remove_after_lets_another_source_have_the_name(west: Cluster, silence: Silence) -> None:
    """In place, and it is told."""
    eventually("taken over", lambda: west.source(BOTH) == "direct", 15)
    eventually("ready again", lambda: west.ips(BOTH) == ["10.9.0.1"])
    assert west.identity(BOTH) == silence.before[BOTH]
    told = eventually("an Event", lambda: west.events("silence", "TakenOver"))
    assert [e["message"] for e in told] == ["taken over from source 'silent' by 'direct'"]


def test_a_source_with_more_patience_is_let_be(west: Cluster, silence: Silence) -> None:
    """It is as silent as the other, which has gone through all of it by now."""
    eventually("the other one", lambda: silence.reflector.mirrored("silent", "Withdrawn") == 1, 15)
    assert west.ips(PATIENT) == ["10.9.0.1"]
    assert not silence.is_silent("patient")


def test_a_source_that_has_nothing_to_tell_is_not_silent(west: Cluster, silence: Silence) -> None:
    """Neither an Emitter nor an API server, in a time in which another one was given up."""
    eventually("the other one", lambda: silence.reflector.mirrored("silent", "Withdrawn") == 1, 15)
    for source, key in (("quiet", QUIET), ("direct", DIRECT)):
        assert west.ips(key) == ["10.9.0.1"]
        assert not silence.is_silent(source)
    about = {event["involvedObject"]["name"] for event in west.events("silence", "Stale")}
    assert about == {"silent", "both"}


def test_a_source_that_is_heard_again_is_restored(west: Cluster, silence: Silence) -> None:
    """But not what another one has taken over."""
    eventually("withdrawn", lambda: silence.reflector.mirrored("silent", "Withdrawn") == 1, 15)
    silence.emitter.resume()
    restored = ["10.9.0.1"]
    eventually(silence.reflector.log, lambda: west.ips(SILENT) == restored, BACK)
    assert west.identity(SILENT) == silence.before[SILENT]
    eventually("it stands by", lambda: silence.reflector.mirrored("silent", "Standby") == 1)
    assert west.source(BOTH) == "direct"
    assert not silence.is_silent("silent")


# Mass deletion


def test_deletions_are_held_for_a_while(emptied: Emptied) -> None:
    eventually("they go", lambda: emptied.names("careful").isdisjoint(GONE), BACK)
    assert emptied.names("careful") >= set(LEFT)
    assert emptied.held("careful") == 0
    reflector = emptied.reflectors["careful"]

    def gone() -> dict[str, float]:
        return {
            key: at
            for at, message in reflector.logged()
            for key, _, state in [message.partition(" of careful: ")]
            if state == "no longer mirrored"
        }

    # It is logged when the answer to the deletion is in, which is later than the deletion.
    eventually("they are logged", lambda: gone().keys() == {f"careful/{name}" for name in GONE})
    (begin,) = (at for at, message in reflector.logged() if "is held for" in message)
    assert min(gone().values()) - begin > HOLD - 0.1


def test_a_fraction_of_1_holds_nothing(emptied: Emptied) -> None:
    """Its hold would be an hour."""
    eventually("they go", lambda: emptied.names("trusting").isdisjoint(GONE), BACK)
    assert emptied.names("trusting") >= set(LEFT)
    assert emptied.held("trusting") == 0
    assert emptied.west.events("trusting", "Held") == []


def test_everything_else_goes_on_while_deletions_are_held(west: Cluster, emptied: Emptied) -> None:
    """Here for an hour; another Reflector has carried them out meanwhile."""
    eventually("another's end", lambda: emptied.names("careful").isdisjoint(GONE), BACK)
    eventually("a new one", lambda: west.ips("asking/new") == ["10.9.0.1"], BACK)
    eventually("new addresses", lambda: west.ips(f"asking/{LEFT[0]}") == ["10.9.0.2"], BACK)
    assert emptied.names("asking") == {*FIRST, "new"}
    assert emptied.held("asking") == 10
    events = eventually("Events", lambda: west.events("asking", "Held"))
    assert {event["involvedObject"]["name"] for event in events} <= set(GONE)
    for event in events:
        key = f"asking/{event['involvedObject']['name']}"
        assert event["involvedObject"]["uid"] == west.identity(key)[0]
        assert event["type"] == "Warning"


def test_release_ends_the_hold(emptied: Emptied, tmp_path: Path) -> None:
    """It would be an hour long."""
    eventually("they are held", lambda: emptied.held("asking") == 10, BACK)
    socket = emptied.reflectors["asking"].admin_socket
    told = ask(tmp_path, "status", socket).stdout
    assert "the deletion of 10 mirrors is held: its last list lacks most of them" in told
    explained = ask(tmp_path, "explain", f"asking/{GONE[0]}", socket).stdout
    assert "the deletion is held" in explained
    nobody = ask(tmp_path, "release", "nobody", socket)
    assert nobody.returncode == 1
    assert nobody.stderr.startswith("service-reflector: no source 'nobody' is configured")
    released = ask(tmp_path, "release", "asking", socket)
    assert released.returncode == 0, released.stderr
    assert released.stdout.endswith(": 10\n")
    eventually("they go", lambda: emptied.names("asking").isdisjoint(GONE), 10)
    assert emptied.names("asking") >= set(LEFT)
    assert emptied.held("asking") == 0


def test_what_a_watch_tells_one_by_one_is_believed(
    east: Cluster, west: Cluster, emptied: Emptied
) -> None:
    """All of the Services go, none by way of a list; the hold would be an hour."""
    reflector = emptied.reflectors["asking"]
    in_parallel(lambda name: east.export(f"mass/{name}", "10.9.0.1"), GONE)
    eventually("they are back", mirrored(reflector, "asking", 13), BACK)
    in_parallel(lambda name: east.delete("services", f"mass/{name}"), [*FIRST, "new"])
    eventually("they go", lambda: emptied.names("asking") == set(), 10)
    assert emptied.held("asking") == 0
