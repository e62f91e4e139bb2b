"""The shell blocks of all documents, and which of them a test runs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

DOCUMENTS = (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("manifests/*.md"))

#: Words that begin a command. Those stand in blocks of the language ``sh``.
COMMANDS = ("kubectl", "make", "service-reflector", "twistd", "pip", "docker", "curl", "promtool")


@dataclass(frozen=True)
class Block:
    """
    :ivar document: its path in the repository.
    :ivar heading: the nearest one above.
    :ivar number: which of this language it is beneath that, from 1.
    :ivar comment: an HTML comment in the line above.
    """

    document: str
    heading: str
    number: int
    language: str
    text: str
    comment: str

    def __str__(self) -> str:
        return f"{self.document}, {self.heading!r}, {self.number}"


def read(document: str, text: str) -> Iterator[Block]:
    """The blocks of a document, of all languages."""
    heading, comment, counts = "", "", dict[tuple[str, str], int]()
    lines = iter(text.splitlines())
    for line in lines:
        fence = re.fullmatch(r"\s*```(\S*)", line)
        if fence is None:
            heading = re.sub(r"^#+ ", "", line) if re.match(r"#+ ", line) else heading
            found = re.fullmatch(r"<!-- (.*) -->", line)
            comment = found[1] if found else ""
            continue
        inside = []
        while not re.fullmatch(r"\s*```", line := next(lines)):
            inside.append(f"{line}\n")
        number = counts[heading, fence[1]] = counts.get((heading, fence[1]), 0) + 1
        yield Block(document, heading, number, fence[1], "".join(inside), comment)
        comment = ""


def all_blocks() -> list[Block]:
    """Of all languages."""
    texts = ((path.relative_to(ROOT).as_posix(), path.read_text()) for path in DOCUMENTS)
    return [found for document, text in texts for found in read(document, text)]


def block(document: str, heading: str, number: int = 1) -> str:
    """A shell block, for a test that runs it: by calling this, the test claims it."""
    sought = (document, heading, number, "sh")
    (found,) = (b for b in all_blocks() if (b.document, b.heading, b.number, b.language) == sought)
    return found.text


def claims(tests: Path) -> Iterator[tuple[str, str, int]]:
    """What functions of the tests give to :func:`block`: document, heading, number."""
    for path in sorted(tests.rglob("test_*.py")):
        module = ast.parse(path.read_text())
        if not any(_imports_block(statement) for statement in module.body):
            continue
        for function in ast.walk(module):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _claimed(function)


def _imports_block(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.ImportFrom)
        and (statement.module or "").endswith("blocks")
        and "block" in [name.name for name in statement.names]
    )


def _claimed(function: ast.AST) -> Iterator[tuple[str, str, int]]:
    for call in ast.walk(function):
        match call:
            case ast.Call(func=ast.Name("block"), args=[document, heading, *number]):
                told = [ast.literal_eval(argument) for argument in number]
                yield ast.literal_eval(document), ast.literal_eval(heading), *(told or [1])
