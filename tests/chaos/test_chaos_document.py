"""docs/failure.md tells of every kind of fault that is tried, and of no other."""

from __future__ import annotations

import re
from pathlib import Path

from .cases import CASES

DOCUMENT = (Path(__file__).parents[2] / "docs" / "failure.md").read_text()


def rows() -> list[list[str]]:
    found = re.search(r"<!-- faults -->\n(.*?)<!-- /faults -->", DOCUMENT, re.S)
    assert found is not None
    lines = found[1].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_each_kind_has_a_row_in_order() -> None:
    assert [row[0] for row in rows()] == list(dict.fromkeys(case.kind for case in CASES))


def test_each_row_tells_what_happens_what_is_seen_what_to_do_and_how_long() -> None:
    for row in rows():
        assert len(row) == 5, row
        assert all(row), row
        assert re.fullmatch(r"\d+\.\d s", row[4]), row


def test_each_kind_is_tried_in_every_run_or_said_not_to_be() -> None:
    """Those that take minutes, or that others stand for."""
    tried = {case.kind for case in CASES if case.quick}
    assert {case.kind for case in CASES} - tried == {
        "half-open for good",
        "no TLS",
        "server certificate replaced",
        "authority replaced",
    }


def test_names_are_different() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))
