"""The fuzzing itself: a small part of it, and that it finds what is there to find."""

from __future__ import annotations

import json

import pytest
from fuzz.harness import SLOW, Target, fuzz, try_one
from fuzz.targets import TARGETS

#: Of each target, in each run of the tests.
EXECUTIONS = 250


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_nothing_but_what_is_documented_is_raised(target: Target) -> None:
    for seed in target.seeds:
        assert try_one(target, seed) is None
    found = fuzz(target, 1, EXECUTIONS)
    assert not found, "\n".join(f"{f.what}: {f.data!r}\n{f.trace}" for f in found.values())


def test_a_bug_made_on_purpose_is_found_and_found_again() -> None:
    def broken(data: bytes) -> None:
        document = json.loads(data)
        document["metadata"]["labels"].items()

    seeds = (b'{"metadata": {"labels": {"a": "b"}}}',)
    target = Target("broken", broken, seeds, fine=(json.JSONDecodeError,), as_json=True)
    found = fuzz(target, 1, 500)
    kinds = {what.split()[0] for what in found}
    assert {"KeyError", "AttributeError", "TypeError"} <= kinds
    for finding in found.values():
        assert try_one(target, finding.data) == finding


def test_what_takes_too_long_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter((0.0, SLOW + 0.5))
    monkeypatch.setattr("fuzz.harness.time.process_time", lambda: next(moments))
    finding = try_one(Target("slow", bytes, (b"",)), b"")
    assert finding is not None
    assert finding.what == "takes 1.5 s"
