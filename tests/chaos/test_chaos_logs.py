"""A log that goes nowhere from the start: the program serves all the same."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from e2e.clusters import COMMAND, RunningProgram, eventually

#: Becomes the program, with a stderr that is a pipe of which nobody reads.
_BROKEN_PIPE = """
import os, sys
reading, writing = os.pipe()
os.dup2(writing, 2)
os.close(reading)
os.close(writing)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("/bin/sh", "-c", 'exec "$@" 2>/dev/full', "sh", *COMMAND), id="a full disk"),
        pytest.param((sys.executable, "-c", _BROKEN_PIPE, *COMMAND), id="nobody reads"),
    ],
)
def test_a_log_that_cannot_be_written_stops_nothing(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text(
        '{"current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "x"}}],'
        ' "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:1"}}]}'
    )
    flags = [
        f"--kubeconfig={config}",
        "--log-level=debug",
        "--emitter.secure-port=0",
        "--emitter.insecure-port=0",
        "--source-api=east=http://127.0.0.1:1",
    ]
    program = RunningProgram(tmp_path, "program", *flags, command=command)
    try:
        tries = 'service_reflector_reconnects_total{resource="services",source="east"}'
        eventually("it tries, and would log it", lambda: program.metric(tries) > 1)
    finally:
        program.kill()
