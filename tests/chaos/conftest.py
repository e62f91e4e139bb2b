"""One world for all cases, and which of them are run.

``CHAOS=all``, which is ``make chaos``, tries every case with the program as it is. Without it each
kind of fault is tried once, and attempts are seconds apart where they are up to a minute.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from servicereflector.testing.binaries import Binaries

from .cases import CASES
from .running import Row
from .world import HURRIED, World
from .world import world as make_world

ALL = os.environ.get("CHAOS") == "all"

_ROWS: pytest.StashKey[list[Row]] = pytest.StashKey()


@pytest.fixture(scope="session")
def world(envtest_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    hurried = {} if ALL else {"command": HURRIED}
    with make_world(tmp_path_factory.mktemp("chaos"), envtest_binaries, **hurried) as world:
        yield world


@pytest.fixture
def rows(pytestconfig: pytest.Config) -> list[Row]:
    return pytestconfig.stash.setdefault(_ROWS, [])


@pytest.fixture
def lasting() -> float:
    """Seconds that a fault lasts, at least."""
    return 3.0 if ALL else 1.0


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        cases = [case for case in CASES if ALL or case.quick]
        metafunc.parametrize("case", cases, ids=lambda case: case.name)
