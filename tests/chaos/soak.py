"""Faults at random for as long as one likes: does anything differ, does anything grow?

    python -m chaos.soak --minutes 10 --seed 1 [--replicas 2]

Exit status 1 where a mirror was not what it should be, 2 where it cannot be tried.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from e2e.clusters import RunningProgram, eventually

from servicereflector.flagtable import FLAGS
from servicereflector.testing.binaries import BinariesMissing, find_binaries

from .cases import CASES, Case
from .limits import descriptors, resident
from .running import Row, line, run, total
from .servers import host_user
from .slope import slope
from .world import World, world
from .writers import Ending, audit_flags, lines

ELECTION = "reflector.leader-elect"

#: Seconds between two samples.
_PERIOD = 3.0

#: Seconds: a fault may last as long, and recovery take as long, one after another of them.
_LONGEST, _BOUND = 8.0, 180.0

#: What ends a program, leaves it a smaller limit or takes minutes is not for measuring growth.
_LEFT_OUT = {
    "two killed",
    "half-open for good",
    "client certificate ended",
    "authority replaced",
    "too many reads",
    "no descriptors",
}


class Samples(threading.Thread):
    """Memory and descriptors of programs, again and again; of each process apart."""

    def __init__(self, programs: dict[str, RunningProgram]) -> None:
        super().__init__(daemon=True)
        self._programs = programs
        self._taken: dict[tuple[str, int], list[tuple[float, int, int]]] = {}
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(_PERIOD):
            for name, program in self._programs.items():
                if (pid := program.pid) is None:
                    continue
                try:
                    sample = (time.monotonic() / 3600, resident(pid), descriptors(pid))
                except (OSError, StopIteration):  # ended just now
                    continue
                self._taken.setdefault((name, pid), []).append(sample)

    def stop(self) -> None:
        self._ended.set()
        self.join()

    def lines(self) -> list[str]:
        """Of each program's longest life, less its first quarter."""
        told = []
        for name in self._programs:
            lives = [taken for (of, _), taken in self._taken.items() if of == name]
            taken = max(lives, key=len, default=[])
            taken = taken[len(taken) // 4 :]
            if not taken:
                continue
            memory, memory_error = slope([(at, kb) for at, kb, _ in taken])
            count, count_error = slope([(at, number) for at, _, number in taken])
            told.append(
                f"{name}: {len(taken)} samples in {(taken[-1][0] - taken[0][0]) * 60:.1f} min;"
                f" memory {taken[0][1]} to {taken[-1][1]} KB,"
                f" {memory:+.0f} KB/h (standard error {memory_error:.0f});"
                f" descriptors {taken[0][2]} to {taken[-1][2]},"
                f" {count:+.1f}/h (standard error {count_error:.1f})"
            )
        return told


def faults(replicas: int, endings: list[Ending]) -> Callable[[random.Random, int], Case]:
    """Which fault comes next.

    :param endings: gets those of replicas.
    """
    cases = [
        case
        for case in CASES
        if case.kind not in _LEFT_OUT
        and not (case.kind == "killed" and case.where in ("emitter", "reflector"))
    ]

    def choose(rng: random.Random, number: int) -> Case:
        if replicas > 1 and number % 2:
            return _replica(number // 2 % replicas, number // 2 // replicas % 2 == 1, endings)
        return replace(rng.choice(cases), bound=_BOUND)

    return choose


def _replica(number: int, asked: bool, endings: list[Ending]) -> Case:
    """One of several Reflectors ends, at once or when it is asked to, until another leads."""

    def begin(world: World) -> Callable[[], None]:
        program = world.reflectors[number]
        others = [other for other in world.reflectors if other is not program]
        endings.append(Ending(host_user(number), time.time(), asked))
        if asked:
            program.terminate()
        else:
            program.kill()

        def end() -> None:
            eventually(others[0].log, lambda: any(map(_leads, others)), _BOUND)
            program.kill()
            program.start()

        return end

    kind = "replica asked to end" if asked else "replica killed"
    return Case(kind, f"reflector {number}", begin, apart=False, bound=_BOUND)


def _leads(program: RunningProgram) -> bool:
    return program.metric('leader_election_master_status{name="service-reflector"}') == 1


def soak(directory: Path, minutes: float, seed: int, replicas: int) -> list[Row]:
    """
    :return: the faults and what became of them; what grew is printed.
    :raises AssertionError: something was not as it should be.
    """
    rng = random.Random(seed)
    endings: list[Ending] = []
    choose = faults(replicas, endings)
    flags = [f"--{ELECTION}"] if replicas > 1 else []
    rows: list[Row] = []
    audit_log = directory / "audit.log"
    audit = audit_flags(directory, audit_log) if replicas > 1 else []
    with world(directory, find_binaries(), reflectors=replicas, flags=flags, audit=audit) as made:
        programs = {f"reflector {i}": program for i, program in enumerate(made.reflectors)}
        samples = Samples({"emitter": made.emitter, **programs})
        samples.start()
        until = time.monotonic() + minutes * 60
        try:
            while time.monotonic() < until:
                case = choose(rng, len(rows))
                rows.append(run(made, case, rng.randrange(2**32), seconds=rng.uniform(1, _LONGEST)))
                _say(line(rows[-1]))
        finally:
            samples.stop()
            for told in samples.lines():
                _say(told)
    if replicas > 1:
        for told in lines(audit_log, [*map(host_user, range(replicas))], endings):
            _say(told)
    return rows


def worst_by_kind(rows: Sequence[Row]) -> list[str]:
    kinds: dict[str, list[float]] = {}
    for row in rows:
        kinds.setdefault(row.case.kind, []).append(row.recovery)
    return [
        f"{kind:<30} {len(found):>4} times, worst recovery {max(found):>6.1f} s"
        for kind, found in sorted(kinds.items())
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="soak")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--replicas", type=int, default=1)
    told = parser.parse_args(arguments)
    if told.replicas > 1 and ELECTION not in {flag.name for flag in FLAGS}:
        _say(f"soak: this version has no --{ELECTION}, so there can be one replica only")
        return 2
    _say(f"seed {told.seed}")
    with tempfile.TemporaryDirectory(prefix="soak-") as directory:
        try:
            rows = soak(Path(directory), told.minutes, told.seed, told.replicas)
        except BinariesMissing as missing:
            _say(f"soak: {missing.reason}")
            return 2
        except AssertionError as error:
            _say(f"soak: seed {told.seed}: {error}")
            return 1
    for one in [*worst_by_kind(rows), total(rows)]:
        _say(one)
    return 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
