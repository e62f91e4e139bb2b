"""Reason codes: each is explained, each is used, and no warning is without one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from json import JSONDecodeError
from pathlib import Path

import pytest

import servicereflector
from servicereflector.client.connection import ConfigError
from servicereflector.client.errors import (
    BadAnswer,
    BodyTooLarge,
    RequestTimedOut,
    TlsFailed,
    TransportError,
)
from servicereflector.flagtable import FLAGS
from servicereflector.kube.objects import BadObject
from servicereflector.kube.status import ApiError, expired_watch, not_ready, version_too_large
from servicereflector.listwatch.effects import EndlessList, Idle, OlderList, VeryShortWatch
from servicereflector.ops.logs import FACTS
from servicereflector.reasons import Code, code_of

PACKAGE = Path(servicereflector.__file__).parent
DOCUMENT = (Path(__file__).parents[1] / "docs" / "reasons.md").read_text()

#: Methods of a Logger whose lines people see who do not debug.
TOLD = ("info", "warn", "error", "critical", "failure", "emit")

MODULES = {
    str(path.relative_to(PACKAGE)): ast.parse(path.read_text())
    for path in sorted(PACKAGE.rglob("*.py"))
    if "testing" not in path.parts
}


def is_logger(node: ast.expr) -> bool:
    """``log``, ``self.log``, ``_log``, ``Logger()``."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in ("log", "_log")
        case ast.Call(func=ast.Name(id="Logger")):
            return True
    return False


def uses(tree: ast.AST) -> Iterator[tuple[ast.Attribute, ast.Call | None]]:
    """Every use of a Logger's method, and the call of it that it is."""
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in TOLD and is_logger(node.value):
            yield node, calls.get(id(node))


def reasonless(tree: ast.AST) -> list[int]:
    """The lines that tell without a reason, or that hand a Logger's method on, so that it cannot be
    known."""
    return [
        node.lineno
        for node, call in uses(tree)
        if call is None or ("reason" not in {word.arg for word in call.keywords})
    ]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("self.log.warn('bad', reason=Code.HELD)", []),
        ("self.log.warn('bad')", [1]),
        ("Logger().failure('bad')", [1]),
        ("_log.emit(level, 'bad', reason=why)", []),
        ("self._log.emit(level, 'bad')", [1]),
        ("level = self.log.warn if bad else self.log.debug", [1]),
        ("self.log.info('fine')", [1]),
        ("self.log.debug('detail')", []),
    ],
)
def test_a_line_without_a_reason_is_found(line: str, found: list[int]) -> None:
    """What finds nothing would prove nothing."""
    assert reasonless(ast.parse(line)) == found


def test_every_line_but_those_for_debugging_has_a_reason() -> None:
    """So that an alert need not be made of words."""
    found = {name: lines for name, tree in MODULES.items() if (lines := reasonless(tree))}
    assert found == {}
    assert sum(len(list(uses(tree))) for tree in MODULES.values()) > 40


def test_reasons_are_codes() -> None:
    """A word that somebody writes there by hand is in no document."""
    literal = [
        f"{name}:{call.lineno}"
        for name, tree in MODULES.items()
        for node, call in uses(tree)
        if call is not None
        for word in call.keywords
        if word.arg == "reason" and isinstance(word.value, ast.Constant)
    ]
    assert literal == []


def test_every_code_is_used() -> None:
    """One that nothing can tell is a promise that nobody keeps."""
    used = {
        node.attr
        for name, tree in MODULES.items()
        if name != "reasons.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Code"
    }
    assert used == {code.name for code in Code}


def test_every_fact_is_told_by_some_line() -> None:
    """And so is every one of the members that the document names."""
    told = {
        word.arg
        for tree in MODULES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for word in node.keywords
    } | {
        key.value
        for tree in MODULES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant)
    }
    assert set(FACTS) <= told
    (members,) = re.findall(r"<!-- members -->\n(.*?)\n\n", DOCUMENT, re.S)
    assert re.findall(r"`(\w+)`", members) == list(FACTS)


def explained() -> list[list[str]]:
    """The rows of the document's tables: the code, what happened, what follows, the remedy."""
    rows = [line.strip("|").split("|") for line in DOCUMENT.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in rows]


def test_every_code_is_explained_and_nothing_else_is() -> None:
    """Once, with what happened, what it means for mirrors, and the remedy."""
    assert [row[0] for row in explained()] == [f"`{code.value}`" for code in Code]
    assert [row for row in explained() if len(row) != 4 or not all(row)] == []


def test_flags_that_are_named_exist() -> None:
    """A remedy that names another would be none."""
    named = set(re.findall(r"`--([a-z0-9.-]+)", DOCUMENT))
    assert named - {flag.name for flag in FLAGS} == set()
    assert len(named) > 20


def test_codes_are_written_as_kubernetes_reasons_are() -> None:
    """What an Event's reason may be."""
    assert all(re.fullmatch(r"([A-Z][a-z]+)+", code.value) for code in Code)
    assert [code.value for code in Code] == [code.name.title().replace("_", "") for code in Code]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TransportError("refused"), Code.UNREACHABLE),
        (RequestTimedOut("late"), Code.TIMED_OUT),
        (Idle("no answer"), Code.TIMED_OUT),
        (TimeoutError("late"), Code.TIMED_OUT),
        (ApiError(408, "late"), Code.TIMED_OUT),
        (TlsFailed("another"), Code.TLS_FAILED),
        (ConfigError("no file"), Code.CREDENTIALS_UNUSABLE),
        (ApiError(401, "who"), Code.UNAUTHORIZED),
        (ApiError(403, "no"), Code.FORBIDDEN),
        (ApiError(403, 'services "x" is forbidden: exceeded quota: few'), Code.QUOTA_EXCEEDED),
        (ApiError(404, "what"), Code.NOT_SERVED),
        (ApiError(405, "what"), Code.NOT_SERVED),
        (ApiError(406, "what"), Code.NOT_SERVED),
        (not_ready(), Code.TOO_MANY_REQUESTS),
        (expired_watch(1, 2), Code.EXPIRED),
        (OlderList("older"), Code.OLDER_LIST),
        (version_too_large(2, 1), Code.OLDER_LIST),
        (ApiError(500, "etcd"), Code.SERVER_ERROR),
        (ApiError(400, "what"), Code.REQUEST_REFUSED),
        (ApiError(422, "invalid"), Code.HOST_REFUSED),
        (BadAnswer("HTML"), Code.BAD_ANSWER),
        (ApiError(302, "to a login page"), Code.BAD_ANSWER),
        (BadObject("no list"), Code.BAD_ANSWER),
        (JSONDecodeError("no JSON", "<", 0), Code.BAD_ANSWER),
        (BodyTooLarge("1 GB"), Code.ANSWER_TOO_LARGE),
        (EndlessList("pages"), Code.ANSWER_TOO_LARGE),
        (VeryShortWatch("at once"), Code.WATCH_CUT),
        (KeyError("a fault"), Code.INTERNAL_ERROR),
        (None, Code.INTERNAL_ERROR),
    ],
)
def test_errors_have_codes(error: BaseException | None, code: Code) -> None:
    assert code_of(error) is code
