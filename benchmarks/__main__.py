"""``python -m benchmarks``: all measures, or some, as a table and as JSON."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from servicereflector.testing.envtest import BinariesMissing

from .compression import compression
from .lists import lists
from .mirroring import mirroring
from .processes import Load
from .results import HEAD, Row, write_json
from .watching import watching

Measure = Callable[[Load, Path], Iterator[Row]]


@dataclass(frozen=True, slots=True)
class Size:
    """
    :ivar seconds: that a part of a measure takes, roughly.
    :ivar rounds: of which the medians are told.
    """

    watchers: int
    crowd: int
    services: int
    fleet: int
    seconds: float
    rounds: int


SIZES = {
    "full": Size(watchers=500, crowd=2000, services=5000, fleet=20_000, seconds=10, rounds=3),
    # Proves that all of it works; its figures say nothing.
    "small": Size(watchers=10, crowd=20, services=200, fleet=300, seconds=0.5, rounds=1),
}


def measures(size: Size) -> dict[str, Measure]:
    seconds, rounds = size.seconds, size.rounds
    return {
        "watching": lambda load, at: watching(load, at, size.watchers, seconds, rounds),
        "crowd": lambda load, at: watching(load, at, size.crowd, seconds, rounds),
        "lists": lambda load, at: lists(load, at, size.services, max(2, int(seconds)), rounds),
        "mirroring": lambda load, at: mirroring(load, at, size.services, size.fleet, seconds),
        "compression": lambda load, at: compression(load, at, size.watchers, seconds),
    }


def main(arguments: list[str]) -> int:
    """0 when all was measured, whatever was reached; 1 with a line where something is missing."""
    parser = argparse.ArgumentParser("benchmarks", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="full", help="%(default)s by default")
    parser.add_argument("--only", choices=measures(SIZES["full"]), action="append")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures are written")
    given = parser.parse_args(arguments)
    rows: list[Row] = []
    directory = Path(tempfile.mkdtemp(prefix="service-reflector-benchmarks-"))
    try:
        load = Load(directory)
        sys.stdout.write(HEAD + "\n")
        for name, measure in measures(SIZES[given.size]).items():
            if name in (given.only or [name]):
                for row in measure(load, directory / name):
                    rows.append(row)
                    sys.stdout.write(f"{row}\n")
                    sys.stdout.flush()  # what fails after half an hour has told much
    except (BinariesMissing, FileNotFoundError) as missing:
        sys.stderr.write(f"benchmarks: {missing}\n")
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if given.json is not None:
        about = {
            "size": given.size,
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "load": os.getloadavg()[0],
        }
        write_json(given.json, rows, about)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
