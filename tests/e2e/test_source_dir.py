"""Sources that are files: they come, change and go while the program runs."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import pytest

from .clusters import Cluster, RunningProgram, ask, eventually, hurried, run_reflector

#: Seconds within which a changed file must have its effect; it is looked for every two.
PICKED_UP = 10.0

#: east takes both; the first is taken away in the end.
OLD, NEW = "the-old-token", "the-new-token"


class Mount:
    """A directory as the kubelet mounts a Secret or ConfigMap, and changes it: the files are links
    through ``..data``, which is replaced in one step (pkg/volume/util/atomic_writer.go)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.files: dict[str, str] = {}
        self._versions = itertools.count(1)
        directory.mkdir()
        self.write({})

    def put(self, **files: str) -> None:
        self.write({**self.files, **files})

    def remove(self, name: str) -> None:
        self.write({n: text for n, text in self.files.items() if n != name})

    def write(self, files: dict[str, str]) -> None:
        data = self.directory / "..data"
        before = data.resolve() if data.is_symlink() else None
        now = self.directory / f"..2026_11_23_{next(self._versions):06}"
        now.mkdir()
        for name, text in files.items():
            (now / name).write_text(text)
        replacing = self.directory / "..data_tmp"
        replacing.symlink_to(now.name)
        replacing.rename(data)
        for name in files.keys() - self.files.keys():
            (self.directory / name).symlink_to(f"..data/{name}")
        for name in self.files.keys() - files.keys():
            (self.directory / name).unlink()
        if before is not None:
            shutil.rmtree(before)
        self.files = files


@pytest.fixture(scope="module")
def tokens() -> tuple[str, ...]:
    return OLD, NEW


@pytest.fixture(scope="module", autouse=True)
def files(east: Cluster) -> None:
    east.namespace("files")


@pytest.fixture(scope="module")
def mount(directory: Path) -> Mount:
    return Mount(directory / "sources")


@pytest.fixture(scope="module")
def program(
    west: Cluster, mount: Mount, directory: Path, programs: list[RunningProgram]
) -> RunningProgram:
    """Each source is asked for what is labelled with its name: the file says so, or the flag. It
    looks for changes more often than usual, which another test's does not, and tells more."""
    program = run_reflector(
        directory,
        west,
        f"--reflector.source-dir={mount.directory}",
        "--reflector.namespaces=files",
        "--log-level=debug",
        *(f"--reflector.source-selector={n}=of={n}" for n in ("url", "kubeconfig", "rotated")),
        command=hurried(sourcedir__service__INTERVAL=0.4),
    )
    programs.append(program)
    program.wait_until_ready()
    return program


def kubeconfig(cluster: Cluster, token: str | None = None) -> str:
    path = cluster.server.kubeconfig(token=token)
    text = path.read_text()
    path.unlink()
    return text


def test_a_file_with_a_url(
    east: Cluster,
    west: Cluster,
    program: RunningProgram,
    mount: Mount,
    emitter: tuple[RunningProgram, str],
) -> None:
    """The source has the file's name, and is asked with the selector that a flag has for it."""
    east.export("files/url", "10.9.0.1", labels={"of": "url"})
    east.export("files/url-not", "10.9.0.1", labels={"of": "nobody"})
    mount.put(url=f"# the Emitter\n{emitter[1]}\n")
    eventually(program.log, lambda: west.ips("files/url") == ["10.9.0.1"], PICKED_UP)
    assert west.source("files/url") == "url"
    assert "url-not" not in west.names("files")


def test_a_file_that_is_a_kubeconfig(
    east: Cluster, west: Cluster, program: RunningProgram, mount: Mount
) -> None:
    east.export("files/kubeconfig", "10.9.0.2", labels={"of": "kubeconfig"})
    mount.put(**{"kubeconfig.yaml": kubeconfig(east)})
    eventually(program.log, lambda: west.ips("files/kubeconfig") == ["10.9.0.2"], PICKED_UP)
    assert west.source("files/kubeconfig") == "kubeconfig"


def test_a_mapping_whose_selector_changes(
    east: Cluster,
    west: Cluster,
    program: RunningProgram,
    mount: Mount,
    emitter: tuple[RunningProgram, str],
) -> None:
    """What is selected no longer goes, what is selected now comes, and what is both times stays as
    it was."""
    east.export("files/front", "10.9.0.3", labels={"of": "mapping", "tier": "front"})
    east.export("files/back", "10.9.0.3", labels={"of": "mapping", "tier": "back"})
    east.export("files/middle", "10.9.0.3", labels={"of": "mapping", "tier": "middle"})

    def mirrored() -> set[str]:
        return west.names("files") & {"front", "back", "middle"}

    def mapping(selector: str) -> str:
        return f"url: {emitter[1]}\nselector: of=mapping,tier in ({selector})\n"

    mount.put(mapping=mapping("front, middle"))
    eventually(program.log, lambda: mirrored() == {"front", "middle"}, PICKED_UP)
    middle = west.identity("files/middle")
    mount.put(mapping=mapping("middle, back"))
    eventually(program.log, lambda: mirrored() == {"middle", "back"}, PICKED_UP)
    assert west.identity("files/middle") == middle


def test_a_bad_file_disturbs_nobody(
    east: Cluster,
    west: Cluster,
    program: RunningProgram,
    mount: Mount,
    directory: Path,
    emitter: tuple[RunningProgram, str],
) -> None:
    """Its own source stays as it was, another bad file is no source, and neither is quoted."""
    mount.put(steady=f"url: {emitter[1]}\nselector: of=steady\n")
    east.export("files/steady", "10.9.0.1", labels={"of": "steady"})
    eventually(program.log, lambda: west.ips("files/steady") == ["10.9.0.1"], PICKED_UP)
    beside = f"url: {emitter[1]}\nselector: of=beside\n"
    mount.put(steady="{hunter2", newcomer="hunter2", beside=beside)
    east.export("files/beside", "10.9.0.1", labels={"of": "beside"})
    eventually("a good one comes", lambda: west.ips("files/beside") == ["10.9.0.1"], PICKED_UP)
    east.set_ips("files/steady", "10.9.0.2")
    eventually("still followed", lambda: west.ips("files/steady") == ["10.9.0.2"], PICKED_UP)
    status = ask(directory, "status", "-o", "json", program.admin_socket)
    assert status.returncode == 0, status.stderr
    logged = [message for _, message in program.logged()]
    for name, what in (("steady", "not YAML (line 1)"), ("newcomer", "neither a URL, nor a ")):
        (problem,) = (p for p in json.loads(status.stdout)["problems"] if f"/{name}: " in p)
        assert problem.startswith(f"{mount.directory / name}: {what}")
        assert [message for message in logged if message.startswith(problem)]
    assert "hunter2" not in status.stdout + "".join(logged)
    mount.put(steady=f"url: {emitter[1]}\nselector: of=steady,more=yes\n", newcomer=beside)
    eventually("good again", lambda: "steady" not in west.names("files"), PICKED_UP)


def test_a_source_that_is_removed_leaves_orphans_that_its_return_takes_up(
    east: Cluster,
    west: Cluster,
    program: RunningProgram,
    mount: Mount,
    emitter: tuple[RunningProgram, str],
) -> None:
    """While it is away nothing of it arrives, though another source's changes do."""
    for name in ("leaving", "staying"):
        east.export(f"files/{name}", "10.9.0.1", labels={"of": name})
    files = {n: f"url: {emitter[1]}\nselector: of={n}\n" for n in ("leaving", "staying")}
    mount.put(**files)
    for name in files:
        eventually(name, lambda name=name: west.ips(f"files/{name}"), PICKED_UP)  # type: ignore[misc]
    before = west.identity("files/leaving")
    mount.remove("leaving")
    eventually("an orphan", lambda: program.mirrored("leaving", "Orphaned") == 1, PICKED_UP)
    east.delete("services", "files/leaving")
    east.set_ips("files/staying", "10.9.0.2")
    eventually("what came after it", lambda: west.ips("files/staying") == ["10.9.0.2"], PICKED_UP)
    assert west.identity("files/leaving") == before
    east.export("files/leaving", "10.9.0.3", labels={"of": "leaving"})
    mount.put(leaving=files["leaving"])
    eventually("followed again", lambda: west.ips("files/leaving") == ["10.9.0.3"], PICKED_UP)
    assert west.identity("files/leaving") == before


def test_forget_deletes_the_mirrors_of_a_source_that_was_removed(
    east: Cluster,
    west: Cluster,
    program: RunningProgram,
    mount: Mount,
    directory: Path,
    emitter: tuple[RunningProgram, str],
) -> None:
    """Not those of one that is configured; and orphans of another source stay."""
    both = {"forgotten", "kept"}
    for name in both:
        east.export(f"files/{name}", "10.9.0.1", labels={"of": name})
    mount.put(**{name: f"url: {emitter[1]}\nselector: of={name}\n" for name in both})
    eventually(program.log, lambda: both <= west.names("files"), PICKED_UP)
    socket = program.admin_socket
    refused = ask(directory, "forget", "forgotten", socket)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert (
        refused.stderr == "service-reflector: source 'forgotten' is configured: remove it first\n"
    )
    mount.write({n: text for n, text in mount.files.items() if n not in both})
    for name in both:
        eventually(name, lambda name=name: program.mirrored(name, "Orphaned") == 1, PICKED_UP)  # type: ignore[misc]
    forgotten = ask(directory, "forget", "forgotten", socket)
    assert forgotten.returncode == 0, forgotten.stderr
    assert "'forgotten'" in forgotten.stdout
    assert forgotten.stdout.endswith(": 1\n")
    eventually("deleted", lambda: "forgotten" not in west.names("files"), 5)
    assert "kept" in west.names("files")
    assert program.mirrored("kept", "Orphaned") == 1


def test_prune_deletes_the_mirrors_of_a_source_that_is_removed(
    east: Cluster, west: Cluster, emitter: tuple[RunningProgram, str], tmp_path: Path
) -> None:
    """But not those of one whose file has become bad, not even after a restart; and what another
    source exports too stays, as that one's."""
    mount = Mount(tmp_path / "sources")
    east.namespace("prune")
    everything = {"a-gone", "bad", "good", "all"}
    for name in everything:
        east.export(f"prune/{name}", "10.9.0.1", labels={"of": name})
    files = {
        name: f"url: {emitter[1]}\nselector: of in ({name}, all)\n" for name in everything - {"all"}
    }
    mount.write(files)
    program = run_reflector(
        tmp_path,
        west,
        f"--reflector.source-dir={mount.directory}",
        "--namespace=prune",
        "--reflector.prune",
    )
    try:
        eventually(program.log, lambda: west.names("prune") == everything)
        eventually("the first has it", lambda: west.source("prune/all") == "a-gone")
        before = west.identity("prune/all")
        mount.write({"bad": "{", "good": files["good"]})
        eventually("pruned", lambda: "a-gone" not in west.names("prune"), PICKED_UP)
        assert west.names("prune") == everything - {"a-gone"}
        assert west.source("prune/all") in ("bad", "good")
        program.kill()
        east.set_ips("prune/good", "10.9.0.2")
        program.start()
        eventually("kept as an orphan", lambda: program.mirrored("bad", "Orphaned") == 1)
        eventually("the others go on", lambda: west.ips("prune/good") == ["10.9.0.2"])
        assert west.names("prune") == everything - {"a-gone"}
        mount.remove("bad")
        eventually("pruned in the end", lambda: west.names("prune") == {"good", "all"}, PICKED_UP)
        assert west.identity("prune/all") == before
    finally:
        program.kill()


def test_rotated_credentials_are_picked_up(
    east: Cluster, west: Cluster, program: RunningProgram, mount: Mount
) -> None:
    """The API server no longer takes a token; the file is replaced by one with another token."""
    east.export("files/rotated", "10.9.0.1", labels={"of": "rotated"})
    mount.put(rotated=kubeconfig(east, OLD))
    eventually(program.log, lambda: west.ips("files/rotated") == ["10.9.0.1"], PICKED_UP)
    before = west.identity("files/rotated")
    tokens = east.server.directory / "tokens.csv"
    rows = tokens.read_text().splitlines(keepends=True)
    tokens.write_text("".join(row for row in rows if not row.startswith(OLD)))
    east.server.restart_apiserver()
    east.set_ips("files/rotated", "10.9.0.2")

    def refused() -> bool:
        logged = (message for _, message in program.logged())
        return any(m.startswith("rotated: ") and ": 401 " in m for m in logged)

    eventually(program.log, refused)
    assert west.ips("files/rotated") == ["10.9.0.1"]
    mount.put(rotated=kubeconfig(east, NEW))
    eventually(program.log, lambda: west.ips("files/rotated") == ["10.9.0.2"], PICKED_UP)
    assert west.identity("files/rotated") == before
    log = "".join(message for _, message in program.logged())
    assert OLD not in log
    assert NEW not in log
