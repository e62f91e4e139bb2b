"""Two real clusters, east and west, and the program between them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from versions import minor_version

from servicereflector.testing.binaries import Binaries
from servicereflector.testing.envtest import ApiServer

from .clusters import Cluster, RunningProgram, run_emitter, run_reflector, started

#: discovery.k8s.io/v1 came with 1.21.
collect_ignore = [] if minor_version() >= 21 else ["test_slices.py"]


@pytest.fixture(scope="module")
def tokens() -> tuple[str, ...]:
    """Those that east and west take beside the admin's; for modules to have others."""
    return ()


@pytest.fixture(scope="module")
def both(
    envtest_binaries: Binaries, tokens: tuple[str, ...]
) -> Iterator[tuple[ApiServer, ApiServer]]:
    """The servers of east and west."""
    east, west = (
        ApiServer(
            service_cluster_ip_range=service_range,
            tokens={token: (token, token, ("system:masters",)) for token in tokens},
            binaries=envtest_binaries,
        )
        for service_range in ("10.1.0.0/16", "10.2.0.0/16")
    )
    with started(east, west):
        yield east, west


@pytest.fixture(scope="module")
def east(both: tuple[ApiServer, ApiServer]) -> Cluster:
    return Cluster(both[0])


@pytest.fixture(scope="module")
def west(both: tuple[ApiServer, ApiServer]) -> Cluster:
    return Cluster(both[1])


@pytest.fixture(scope="module")
def programs() -> Iterator[list[RunningProgram]]:
    """Every program that is put into this list is ended with the module."""
    running: list[RunningProgram] = []
    yield running
    for program in running:
        program.kill()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("e2e")


@pytest.fixture(scope="module")
def emitter(
    east: Cluster, directory: Path, programs: list[RunningProgram]
) -> tuple[RunningProgram, str]:
    """east's Emitter and its URL."""
    program, url = run_emitter(directory, east)
    programs.append(program)
    program.wait_until_ready()
    return program, url


@pytest.fixture(scope="module")
def reflector(
    west: Cluster,
    emitter: tuple[RunningProgram, str],
    directory: Path,
    programs: list[RunningProgram],
) -> RunningProgram:
    """west's Reflector, with east's Emitter as its source ``east``."""
    program = run_reflector(directory, west, f"--source-api=east={emitter[1]}")
    programs.append(program)
    program.wait_until_ready()
    return program
