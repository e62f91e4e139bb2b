"""The commands that ask the running program, and the socket through which they do."""

from __future__ import annotations

import io
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_twisted
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from servicereflector.commands import COMMANDS, run
from servicereflector.ops.admin import AdminApi, AdminService, check_path, default_path
from servicereflector.ops.sockets import BindError
from servicereflector.options import ReflectorOptions
from servicereflector.printouts import explain_text, status_text, table

STATUS: dict[str, Any] = {
    "version": "1.0",
    "host": {"problem": ""},
    "sources": [
        {
            "name": "east",
            "location": "http://east.example",
            "state": "Synced",
            "reason": "",
            "services": 12,
            "heard_seconds_ago": 0.8,
            "mirrors": {"Mirrored": 1, "Held": 2},
            "held": 2,
            "held_until_seconds": 200.0,
        },
        {
            "name": "gone",
            "location": "",
            "state": "Gone",
            "reason": "not configured",
            "mirrors": {},
        },
    ],
    "problems": ["east.yaml: empty"],
    "mirrors": [
        {
            "key": "shop/cart",
            "source": "east",
            "source_key": "shop/cart",
            "state": "Mirrored",
            "code": "Mirrored",
            "reason": "",
        },
        {
            "key": "shop/books",
            "source": "east",
            "source_key": "shop/books",
            "state": "Conflict",
            "code": "NameTaken",
            "reason": "why",
        },
    ],
}

EXPLAINED: dict[str, Any] = {
    "key": "shop/cart",
    "verdict": "it is the mirror of 'east'",
    "owner": "east",
    "host": {
        "namespace": True,
        "service": "mirror",
        "source": "east",
        "source_key": "shop/cart",
        "cluster_ip": "10.2.0.7",
    },
    "claims": [
        {
            "source": "east",
            "source_key": "shop/cart",
            "synced": True,
            "state": "Mirrored",
            "reason": "",
        }
    ],
    "next": [],
    "changes": [{"time": "2026-01-01T00:00:00Z", "what": "create Service shop/cart"}],
    "delays": [0.5, 0.1, 0.2],
}


class Program:
    """What the commands are answered by."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def status(self) -> dict[str, Any]:
        return STATUS

    def explain(self, key: str) -> dict[str, Any]:
        self.asked.append(key)
        if key == "shop/broken":
            raise KeyError("a fault of ours")
        unknown = {"key": key, "claims": [], "host": {"service": "absent"}}
        return EXPLAINED if key == "shop/cart" else unknown

    def release(self, source: str) -> str:
        self.asked.append(f"release {source}")
        return "2 go"

    def forget(self, source: str) -> str:
        raise ValueError(f"source {source!r} is configured")


def carry_out(*arguments: str) -> tuple[int, str, str]:
    """The status of the process, and what it prints to both streams."""
    options = ReflectorOptions()
    options.parseOptions(list(arguments))
    out, err = io.StringIO(), io.StringIO()
    status = run(options.subOptions, out, err)
    return status, out.getvalue(), err.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "admin.sock"


@pytest.fixture
def program(path: Path) -> Iterator[Program]:
    """It answers on the path."""
    program = Program()
    check_path(path)
    service = AdminService(reactor, path, AdminApi(program).app.resource())  # type: ignore[arg-type]
    service.startService()
    yield program
    pytest_twisted.blockon(service.stopService())
    assert not path.exists()


@pytest_twisted.inlineCallbacks
def test_what_the_commands_print(program: Program, path: Path) -> Any:
    flag = f"--admin-socket={path}"
    for arguments, expected in (
        (("status", flag), (0, "\n".join(status_text(STATUS)) + "\n", "")),
        (("explain", "shop/cart", flag), (0, "\n".join(explain_text(EXPLAINED)) + "\n", "")),
        (
            ("explain", flag, "shop/nothing"),
            (1, "Nobody exports shop/nothing, and the host does not have it.\n", ""),
        ),
        (("release", "http://a.example:80/b?c&d", flag), (0, "2 go\n", "")),
        (("forget", flag, "east"), (1, "", "service-reflector: source 'east' is configured\n")),
        # The program has the flag as well: it may stand before the command.
        ((flag, "release", "--", "-a"), (0, "2 go\n", "")),
        (("release", flag, "no\udcffutf-8"), (0, "2 go\n", "")),
    ):
        answer = yield deferToThread(carry_out, *arguments)
        assert answer == expected
    assert program.asked == [
        "shop/cart",
        "shop/nothing",
        "release http://a.example:80/b?c&d",
        "release -a",
        "release no?utf-8",
    ]


@pytest.mark.parametrize(
    "short",
    [["-o", "json"], ["-ojson"], ["-o=json"], ["--output=json"], ["--output", "json"]],
)
@pytest_twisted.inlineCallbacks
def test_json(program: Program, path: Path, short: list[str]) -> Any:
    status, out, _ = yield deferToThread(carry_out, "status", *short, f"--admin-socket={path}")
    assert status == 0
    assert orjson.loads(out) == program.status()


@pytest_twisted.inlineCallbacks
def test_a_fault_of_ours_is_no_trace_for_the_operator(
    program: Program, path: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    logged: list[Any] = []
    monkeypatch.setattr(AdminApi, "log", Logger(observer=logged.append))
    assert program.asked == []
    answer = yield deferToThread(carry_out, "explain", "shop/broken", f"--admin-socket={path}")
    assert answer == (1, "", "service-reflector: internal error, see the log\n")
    assert logged[0]["log_failure"].check(KeyError)


def test_nobody_there(path: Path) -> None:
    status, out, err = carry_out("status", f"--admin-socket={path}")
    assert (status, out) == (1, "")
    assert err.startswith(f"service-reflector: no service-reflector answers on {path} (No such")


def test_a_socket_is_this_users_alone(program: Program, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert program.asked == []


def test_a_socket_in_use_is_not_taken(program: Program, path: Path) -> None:
    with pytest.raises(BindError, match="is in use by another process"):
        check_path(path)
    assert path.is_socket()
    assert program.asked == []


def test_a_dead_process_socket_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(path))
    check_path(path)


def test_what_cannot_be_a_socket(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "broken").symlink_to(tmp_path / "nothing")
    for path, told in (
        (tmp_path / "file", "is there, and no socket"),
        (tmp_path / "broken", "is there, and no socket"),
        (tmp_path / "file" / "s", "cannot listen on"),
        (tmp_path / ("x" * 110), "is longer than 107 bytes"),
    ):
        with pytest.raises(BindError, match=told):
            check_path(path)
    assert (tmp_path / "file").read_text() == "precious"


def test_a_link_is_refused_only_where_anybody_may_lay_one(tmp_path: Path) -> None:
    """/var/run is one, too."""
    (tmp_path / "link").symlink_to(tmp_path)
    check_path(tmp_path / "link" / "s")
    tmp_path.chmod(0o1777)
    with pytest.raises(BindError, match="is another user's, or a symbolic link"):
        check_path(tmp_path / "link" / "s")


def test_directories_that_it_makes_are_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "admin.sock"
    check_path(path)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_default_is_the_users_own(tmp_path: Path) -> None:
    assert default_path({"XDG_RUNTIME_DIR": str(tmp_path)}) == (
        tmp_path / "service-reflector" / "admin.sock"
    )
    assert default_path({}).parent.name.endswith(str(os.getuid()))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["explain"], "say: service-reflector explain NAMESPACE/NAME"),
        (["explain", "cart"], "'cart' is not of the form NAMESPACE/NAME"),
        (["explain", "a/b/c"], "'a/b/c' is not of the form NAMESPACE/NAME"),
        (["status", "east"], "say: service-reflector status"),
        (["release"], "say: service-reflector release SOURCE"),
        (["forget", "a", "b"], "say: service-reflector forget SOURCE"),
        (["release", "a", "-o", "json"], "unknown flag -o"),
        (["status", "--output=xml"], "--output: 'xml' is not one of text, json"),
    ],
)
def test_mistakes(arguments: list[str], told: str) -> None:
    from twisted.python.usage import UsageError

    with pytest.raises(UsageError) as raised:
        ReflectorOptions().parseOptions(arguments)
    assert str(raised.value).startswith(told)


def test_every_command_tells_its_flags() -> None:
    for name, _, options, told in COMMANDS:
        text = str(options())
        assert text.startswith(f"Usage: service-reflector {name}")
        assert told in text
        assert "--admin-socket" in text


def test_a_table_has_no_empty_columns() -> None:
    assert list(table([("A", "B", "C"), ("long", "", "x"), ("y", "", "")])) == [
        "A      C",
        "long   x",
        "y",
    ]


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), min_size=1, max_size=4))
def test_a_row_is_one_line_whatever_its_cells_hold(rows: list[tuple[str, str]]) -> None:
    """Neither line ends nor a terminal's codes come through."""
    lines = list(table([["A", "B", "C"], *(["name", *row] for row in rows)]))
    assert len(lines) == 1 + len(rows)
    assert all(line.isprintable() for line in lines)


def without(document: Any) -> Iterator[Any]:
    """The document with one member left out, each in turn, at any depth."""
    members = document.items() if isinstance(document, dict) else enumerate(document)
    for name, value in members:
        if isinstance(document, dict):
            yield {other: v for other, v in document.items() if other != name}
        if isinstance(value, dict | list):
            for less in without(value):
                if isinstance(document, dict):
                    yield {**document, name: less}
                else:
                    yield [*document[:name], less, *document[name + 1 :]]


def test_what_another_version_does_not_tell_is_not_missed() -> None:
    """The program may be older than the command."""
    statuses, explained = list(without(STATUS)), list(without(EXPLAINED))
    assert len(statuses) > 20
    assert len(explained) > 15
    for status in (*statuses, {}):
        assert list(status_text(status))
    for told in (*explained, {}):
        assert list(explain_text(told))


def test_nothing_is_said_of_a_host_that_is_not_listed() -> None:
    """Whether it has the name is not known."""
    unknown = {"key": "a/b", "claims": [], "host": {"service": "absent"}}
    for verdict, told in (
        ("no source exports it", "Nobody exports a/b, and the host does not have it."),
        (
            "the host has not been listed yet",
            "Nobody exports a/b, and the host does not have it (the host has not been listed yet).",
        ),
    ):
        assert list(explain_text({**unknown, "verdict": verdict})) == [told]


def test_what_is_wrong_comes_first() -> None:
    lines = list(status_text(STATUS))
    assert lines[0] == "service-reflector 1.0: the host is listed"
    assert lines[3].split() == [
        "east", "Synced", "12", "1", "0", "0", "0", "0", "2", "(3m20s", "left)", "0s", "ago",
        "http://east.example",
    ]  # fmt: skip
    assert lines[4].split()[:3] == ["gone", "Gone", "-"]
    assert "! east.yaml: empty" in lines
    assert [line.split()[1] for line in lines[-2:]] == ["books", "cart"]


@pytest.mark.parametrize(
    ("election", "line"),
    [
        ({"role": "leader", "holder": "a_1"}, "This replica leads: a_1"),
        ({"role": "standby", "holder": "a_1"}, "This replica stands by: a_1 leads"),
        ({"role": "standby", "holder": ""}, "This replica stands by: nobody leads"),
    ],
)
def test_a_status_says_who_leads(election: dict[str, str], line: str) -> None:
    """Where there is an election."""
    assert list(status_text({**STATUS, "election": election}))[1] == line
    assert list(status_text(STATUS))[1] == ""


def test_a_status_says_what_the_emitter_shows() -> None:
    shown = {"fingerprint": "sha256:ab12", "self_signed": True, "expires": "2036-01-01T00:00:00Z"}
    lines = list(status_text({**STATUS, "certificate": {**shown, "problem": ""}}))
    assert lines[1] == "The Emitter shows sha256:ab12, self-signed, until 2036-01-01T00:00:00Z"
    assert lines[2] == ""
    lines = list(status_text({**STATUS, "certificate": {**shown, "problem": "tls.crt: empty"}}))
    assert lines[2] == "! the certificate stays as it was: tls.crt: empty"


def test_an_explanation_is_for_people() -> None:
    text = "\n".join(explain_text(EXPLAINED))
    assert text.startswith("shop/cart: mirrored from east\n  because it is the mirror of 'east'\n")
    assert "in the host: a mirror of shop/cart from east, 10.2.0.7" in text
    assert "2026-01-01T00:00:00Z  create Service shop/cart" in text
    assert "0.200 s at last, 0.200 s in the middle, 0.500 s at worst" in text
    foreign = {**EXPLAINED, "owner": None, "host": {"namespace": True, "service": "foreign"}}
    text = "\n".join(explain_text({**foreign, "next": ["create Service a/b"], "delays": []}))
    assert text.startswith("shop/cart: not mirrored\n")
    assert "did not create" in text
    assert "To be done:\n  create Service a/b" in text
    nowhere = {**EXPLAINED, "host": {"namespace": False, "service": "absent"}}
    assert "in the host: not even its namespace" in "\n".join(explain_text(nowhere))
    nothing = {**EXPLAINED, "host": {"namespace": True, "service": "absent"}}
    assert "in the host: nothing" in "\n".join(explain_text(nothing))


def test_rejected_objects_have_a_column_where_there_are_any() -> None:
    """And what a source says in them is no terminal's code."""
    assert "REJECTED" not in "\n".join(status_text(STATUS))
    rejected = {**STATUS["sources"][0], "rejected": 3, "reason": "\x1b[2J"}
    told = "\n".join(status_text({**STATUS, "sources": [rejected]}))
    assert "REJECTED" in told
    assert "\x1b" not in told
