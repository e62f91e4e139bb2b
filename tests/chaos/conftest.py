"""One world for all cases, and a table of what became of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servicereflector.testing.binaries import Binaries

from .world import World
from .world import world as make_world


@pytest.fixture(scope="session")
def world(envtest_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with make_world(tmp_path_factory.mktemp("chaos"), envtest_binaries) as world:
        yield world
