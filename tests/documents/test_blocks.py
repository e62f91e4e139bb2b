"""Every command of every document is run by a test, or says why it is not."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from servicereflector.flagtable import FLAGS
from servicereflector.mirror.states import State

from .blocks import COMMANDS, DOCUMENTS, ROOT, all_blocks, claims, read

BLOCKS = all_blocks()
SHELL = [found for found in BLOCKS if found.language == "sh"]


def test_every_shell_block_is_run_or_says_why_it_is_not() -> None:
    """By a test, or by nobody for a reason; not both."""
    claimed = set(claims(ROOT / "tests"))
    wrong = []
    for found in SHELL:
        excused = re.fullmatch(r"not run: \S.{10,}", found.comment) is not None
        if excused == ((found.document, found.heading, found.number) in claimed):
            wrong.append(str(found))
    assert wrong == []


def test_what_tests_claim_is_there() -> None:
    there = {(found.document, found.heading, found.number) for found in SHELL}
    assert set(claims(ROOT / "tests")) - there == set()


def test_a_block_is_found_with_its_heading_and_comment() -> None:
    """Comments of shell are no headings, and a comment holds for the next line alone."""
    text = "# A\n```sh\n# no heading\n```\n## B\n<!-- why -->\n```sh\nb\n```\n```sh\nc\n```\n"
    found = [(b.heading, b.number, b.text, b.comment) for b in read("x.md", text)]
    assert found == [
        ("A", 1, "# no heading\n", ""),
        ("B", 1, "b\n", "why"),
        ("B", 2, "c\n", ""),
    ]


def test_a_claim_is_a_call_in_a_function(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(
        "from documents.blocks import block\n"
        'block("no.md", "function")\ndef test():\n    run(block("a.md", "A", 2))\n'
    )
    assert list(claims(tmp_path)) == [("a.md", "A", 2)]


@pytest.mark.parametrize("found", SHELL, ids=str)
def test_a_shell_block_is_shell(found: object) -> None:
    """Those that are not run, too."""
    text = getattr(found, "text")  # noqa: B009
    ran = subprocess.run(
        ["bash", "-n"], input=text, capture_output=True, text=True, timeout=10, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_commands_stand_in_shell_blocks() -> None:
    """Where they would not be looked for, nobody would run them."""
    begins = tuple(f"{command} " for command in COMMANDS)
    hidden = [
        (str(found), line)
        for found in BLOCKS
        if found.language != "sh"
        for line in found.text.splitlines()
        if line.strip().startswith(begins)
    ]
    assert hidden == []
    assert {found.language for found in BLOCKS}.isdisjoint({"bash", "shell", "console"})


@pytest.mark.parametrize(
    "path", [*DOCUMENTS, *ROOT.glob("manifests/*.yaml")], ids=lambda path: path.name
)
def test_flags_that_documents_speak_of_are_flags(path: Path) -> None:
    known, text = {flag.name for flag in FLAGS}, path.read_text()
    found = re.findall(r"--((?:reflector|emitter|client)\.[a-z0-9.-]*[a-z0-9])", text)
    assert set(found) <= known


def test_make_targets_that_documents_speak_of_are_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.M))
    for path in DOCUMENTS:
        spoken = set(re.findall(r"(?:`|^)make ([a-z]+)", path.read_text(), re.M))
        assert spoken <= targets, path


def test_the_readme_is_short() -> None:
    """Two screens."""
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 110
    assert max(len(line) for line in lines if not line.startswith("| **")) <= 105


def test_links_of_the_readme_lead_somewhere() -> None:
    """Where it is read in the repository; on the site mkdocs looks at all of them."""
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_the_glossary_has_every_state_of_a_mirror() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    _, _, states = glossary.partition("## States of a mirror\n")
    assert re.findall(r"^\| `(\w+)` \|", states, re.M) == [state.value for state in State]
