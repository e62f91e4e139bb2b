"""What the README says is so: its flags are the program's, its commands do what it tells."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.clusters import Cluster, eventually, run_emitter, run_reflector

from servicereflector.flags import Flag
from servicereflector.flagtable import ALIASES, FLAGS
from servicereflector.sourcedir import read_source
from servicereflector.testing.binaries import Binaries
from servicereflector.testing.envtest import ApiServer
from servicereflector.testing.processes import Process

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks() -> dict[str, str]:
    """The README's shell blocks, by their first line."""
    found = re.findall(r"^```sh\n(.*?)^```$", README, re.M | re.S)
    return {block.splitlines()[0]: block for block in found}


def block(first_line: str) -> str:
    return next(text for line, text in blocks().items() if line.startswith(first_line))


def table_row(flag: Flag) -> str:
    names = [f"`--{flag.name}`", *(f"`--{a}`" for a, name in ALIASES.items() if name == flag.name)]
    default = f"`{flag.default}`" if flag.default else ""
    told = flag.help.replace("|", "\\|")
    return f"| {', '.join(names)} | {default} | {told} |"


def test_the_table_of_flags_is_the_programs() -> None:
    rows = ["| flag | default | meaning |", "|---|---|---|", *map(table_row, FLAGS)]
    expected = "\n".join(["<!-- flags -->", *rows, "<!-- /flags -->"])
    found = re.search(r"<!-- flags -->.*<!-- /flags -->", README, re.S)
    assert found is not None
    assert found[0] == expected


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("https://") or (ROOT / target).exists(), target


@pytest.mark.parametrize(
    "path",
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("manifests/*.yaml")],
    ids=lambda path: path.name,
)
def test_flags_that_documents_speak_of_are_flags(path: Path) -> None:
    known = {flag.name for flag in FLAGS}
    found = set(re.findall(r"--((?:reflector|emitter)\.[a-z0-9.-]*[a-z0-9])", path.read_text()))
    assert found <= known


def test_its_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make ([a-z]+)", README):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_asking_the_running_program(envtest_binaries: Binaries, tmp_path: Path) -> None:
    """The commands find its socket by themselves."""
    with (
        ApiServer(service_cluster_ip_range="10.1.0.0/16", binaries=envtest_binaries) as one,
        ApiServer(service_cluster_ip_range="10.2.0.0/16", binaries=envtest_binaries) as two,
    ):
        east, west = Cluster(one), Cluster(two)
        east.export("default/cart", "10.9.0.1")
        socket = f"--admin-socket={tmp_path}/emitter.sock"
        emitter, url = run_emitter(tmp_path, east, socket)
        runtime = tmp_path / "run"
        flags = (
            f"--source-api=east={url}",
            f"--admin-socket={runtime}/service-reflector/admin.sock",
        )
        reflector = run_reflector(tmp_path, west, *flags)
        try:
            eventually("the mirror", lambda: west.ips("default/cart") == ["10.9.0.1"])
            environ = {"XDG_RUNTIME_DIR": str(runtime), "KUBECONFIG": str(two.kubeconfig())}
            told = run(as_module(block("service-reflector status")), tmp_path, **environ)
            assert re.search(r"^east +Synced +1 +1 +0", told, re.M)
            assert "default/cart: mirrored from east" in told
            plan = block("service-reflector plan").replace("http://10.1.2.3:8080", url)
            told = run(as_module(plan), tmp_path, **environ)
            assert told == "Nothing to do: the host is as it should be.\n"
        finally:
            reflector.kill()
            emitter.kill()


def as_module(script: str) -> str:
    """Without the command's being on the path, and not from the checkout that it is run in."""
    command = f"{sys.executable} -I -m servicereflector"
    return re.sub("^service-reflector", command, script, flags=re.M)


def run(script: str, tmp_path: Path, **environ: str) -> str:
    """What a shell prints that runs the script in the checkout; kubectl is the one of PyPI."""
    scripts = str(Path(sys.executable).parent)
    environ |= {"PATH": f"{scripts}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Process]:
    process = Process([sys.executable, "-m", "servicereflector", "demo"], tmp_path, "demo.log")
    process.start()
    yield process
    process.kill()


def test_the_two_minutes_of_trying_it(demo: Process, tmp_path: Path) -> None:
    """Where the ports are taken the demo says others, which the commands are given then."""
    eventually("the greeting", lambda: "Ctrl-C" in demo.log_tail())
    ports = dict(re.findall(r"(east|west) +API +http://127.0.0.1:(\d+)", demo.log_tail()))
    script = block("kubectl --server").replace(":8001", f":{ports['east']}")
    script = script.replace(":8002", f":{ports['west']}")
    apply, show, delete = re.split(r"^(?=kubectl)", script, flags=re.M)[1:]
    assert run(apply, tmp_path).split() == ["service/cart", "created", "endpoints/cart", "created"]
    eventually("the mirror", lambda: "10.9.0.1" in try_to(show, tmp_path))
    assert "service-reflector.squat.ai/source: east" in run(show, tmp_path)
    run(delete, tmp_path)
    eventually("the mirror is gone", lambda: "10.9.0.1" not in try_to(show, tmp_path))


def try_to(script: str, tmp_path: Path) -> str:
    """What it prints; nothing if it fails, as kubectl does on what is not there."""
    return run(f"{{ {script.strip()}; }} || true", tmp_path)


def test_installing_on_two_clusters(envtest_binaries: Binaries, tmp_path: Path) -> None:
    """Both API servers accept everything, and the second is told of the first's Emitter."""
    with (
        ApiServer(service_cluster_ip_range="10.1.0.0/16", binaries=envtest_binaries) as one,
        ApiServer(service_cluster_ip_range="10.2.0.0/16", binaries=envtest_binaries) as two,
    ):
        kubeconfigs = {"KUBECONFIG1": str(one.kubeconfig()), "KUBECONFIG2": str(two.kubeconfig())}
        # Here are no Pods in which a command could run.
        secure = block("kubectl --kubeconfig")
        inside = "kubectl --kubeconfig $KUBECONFIG1 exec deployment/service-reflector -- "
        assert inside in secure
        status = f"echo The Emitter shows sha256:{'ab' * 32} by "
        run(secure.replace(inside, status), tmp_path, **kubeconfigs)
        query = "kubectl --kubeconfig {} get {} service-reflector -o jsonpath={}"
        ip = run(query.format(one.kubeconfig(), "service", "{.spec.clusterIP}"), tmp_path)
        told = run(query.format(two.kubeconfig(), "configmap", "{.data.one}"), tmp_path)
        (tmp_path / "one").write_text(told)
        source = read_source(tmp_path / "one")
        assert (source.url, source.options.fingerprint) == (
            f"https://{ip}:6443",
            f"sha256:{'ab' * 32}",
        )
        run(block("EMITTER="), tmp_path, **kubeconfigs)
        told = run(query.format(two.kubeconfig(), "configmap", "{.data.one}"), tmp_path)
        assert told == f"http://{ip}:8080"
