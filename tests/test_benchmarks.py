"""The benchmarks work: all of them at a small size. What they measure then says nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from servicereflector.testing.envtest import BinariesMissing, find_binaries

ROOT = Path(__file__).parents[1]


@pytest.mark.timeout(600)
def test_all_measures_are_taken(tmp_path: Path) -> None:
    try:
        find_binaries()
        missing = "" if shutil.which("go") else "Go, which compiles the yardsticks"
    except BinariesMissing as error:
        missing = str(error)
    if missing:
        assert "CI" not in os.environ, missing
        pytest.skip(missing)
    # A copy, beside which no other package of the checkout is: what runs is what is installed.
    shutil.copytree(ROOT / "benchmarks", tmp_path / "benchmarks")
    told = tmp_path / "figures.json"
    subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "--size=small", f"--json={told}"),
            # As many watchers as there can be are the same but for their number.
            *(f"--only={name}" for name in ("watching", "lists", "mirroring", "compression")),
        ],
        cwd=tmp_path,
        check=True,
        timeout=580,
    )
    rows = json.loads(told.read_text())["rows"]
    assert {row["yardstick"] for row in rows} >= {"kube-apiserver", "a compiled relay"}
    assert len(rows) == len({row["measure"] for row in rows}) == 31
    assert all(row["ours"] > 0 and row["theirs"] > 0 for row in rows)
