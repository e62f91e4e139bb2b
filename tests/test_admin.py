"""The admin socket while it is served: whose it is, and what becomes of its file."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.logger import LogEvent, Logger

from servicereflector.commands import CommandError, ask
from servicereflector.ops.admin import AdminApi, AdminService, check_path, default_path
from servicereflector.ops.sockets import BindError


class Named:
    """Tells its name; refuses in two lines."""

    def __init__(self, name: str) -> None:
        self.name = name

    def status(self) -> dict[str, Any]:
        return {"version": self.name}

    def explain(self, key: str) -> dict[str, Any]:
        return {"key": key}

    def release(self, source: str) -> str:
        raise ValueError(f"{source}\nis refused")

    forget = release


Make = Callable[[str], AdminService]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "admin.sock"


@pytest.fixture
def make(path: Path) -> Iterator[Make]:
    """Programs with the same path, which are stopped at the end."""
    made: list[AdminService] = []

    def make(name: str) -> AdminService:
        resource = AdminApi(Named(name)).app.resource()
        made.append(AdminService(reactor, path, resource))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for service in made:
        if service.running:
            pytest_twisted.blockon(service.stopService())


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> list[LogEvent]:
    events: list[LogEvent] = []
    monkeypatch.setattr(AdminService, "log", Logger(observer=events.append))
    return events


def name_of(path: Path) -> str:
    """Of the program that answers. Blocks."""
    return str(ask(path, "GET", "/status")["version"])


def refused(path: Path, method: str, target: str) -> str:
    """Blocks."""
    with pytest.raises(CommandError) as raised:
        ask(path, method, target)
    return str(raised.value)


@pytest_twisted.inlineCallbacks
def test_a_program_that_starts_second_goes_on_without(
    make: Make, path: Path, logged: list[LogEvent]
) -> Any:
    """Both have found the path free, and only one is there when both have started."""
    first, second = make("first"), make("second")
    check_path(path)
    first.startService()
    second.startService()
    assert "is in use by another process" in str(logged[0]["error"])
    assert (yield deferToThread(name_of, path)) == "first"
    yield second.stopService()
    assert (yield deferToThread(name_of, path)) == "first"
    yield first.stopService()
    assert not path.exists()
    assert len(logged) == 1


@pytest_twisted.inlineCallbacks
def test_stopping_without_the_file_is_fine(make: Make, path: Path) -> Any:
    """Somebody tidied up."""
    service = make("it")
    service.startService()
    path.unlink()
    yield service.stopService()
    assert not path.exists()


@pytest_twisted.inlineCallbacks
def test_anothers_file_stays(make: Make, path: Path) -> Any:
    """The first's was removed, and the second has taken its place."""
    first, second = make("first"), make("second")
    first.startService()
    path.unlink()
    second.startService()
    yield first.stopService()
    assert (yield deferToThread(name_of, path)) == "second"


@pytest_twisted.inlineCallbacks
def test_the_socket_of_a_killed_process_is_replaced(make: Make, path: Path) -> Any:
    """Nobody answers there any more."""
    listen = "import os, socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]);"
    kill = f"{listen} s.listen(); os.kill(os.getpid(), 9)"
    yield deferToThread(subprocess.run, [sys.executable, "-c", kill, str(path)], check=False)
    assert path.is_socket()
    make("it").startService()
    assert (yield deferToThread(name_of, path)) == "it"


def test_a_process_too_busy_to_answer_is_there(path: Path) -> None:
    """As many wait as the kernel lets; to wait with them would be to wait for ever."""
    with socket.socket(socket.AF_UNIX) as busy:
        busy.bind(os.fspath(path))
        busy.listen(0)
        with socket.socket(socket.AF_UNIX) as waiting:
            waiting.connect(os.fspath(path))
            with pytest.raises(BindError, match=f"cannot listen on {path}: "):
                check_path(path)
    assert path.is_socket()


@pytest_twisted.inlineCallbacks
def test_errors_are_json_and_one_line(make: Make, path: Path) -> Any:
    """Of questions that there are not, too."""
    make("it").startService()
    for method, target, told in (
        ("GET", "/nothing", "Not Found: no such question"),
        ("GET", "/release?source=a", "Method Not Allowed: no such question"),
        ("POST", "/release?source=a", "a is refused"),
    ):
        assert (yield deferToThread(refused, path, method, target)) == told


def test_a_read_only_root_is_no_obstacle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There is a path; that nothing can be there is told by the check."""

    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    monkeypatch.setattr("servicereflector.ops.admin._RUN", tmp_path / "none")
    assert default_path({}) == Path(f"/tmp/service-reflector-{os.getuid()}/admin.sock")


def test_the_containers_directory_comes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where it is."""
    monkeypatch.setattr("servicereflector.ops.admin._RUN", tmp_path)
    assert default_path({"XDG_RUNTIME_DIR": "/run/user/1"}) == tmp_path / "admin.sock"


def test_a_pipe_that_is_closed_is_no_error(tmp_path: Path) -> None:
    """As ``status | head`` closes it."""
    writes = "import sys; from servicereflector.commands import _write; _write(sys.stdout, 'a' * 9)"
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-c", writes],
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
