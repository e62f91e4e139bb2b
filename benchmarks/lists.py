"""Lists of all Services per second of computing: kube-apiserver and the Emitter of the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from statistics import median

from .clusters import CHANGING, cluster, namespace
from .processes import Load, Program, cpu_seconds
from .results import Row

#: Changes of Services in a second, where they change.
RATE = 20

_PATH = "/api/v1/services?resourceVersion=0"


def lists(load: Load, directory: Path, services: int, count: int, rounds: int) -> Iterator[Row]:
    """
    :param count: lists that are asked for in each part of each round.
    """
    with ExitStack() as stack:
        east = stack.enter_context(cluster(load, 1))
        east.export(services - 100, inside=namespace)
        east.export(100, first=services - 100, inside=lambda _: CHANGING)
        flags = ("--reflector=false", "--emitter.insecure-anonymous")
        program = stack.enter_context(Program(directory, east.kubeconfig(), *flags))
        secure = ("-url", program.secure, "-ca", str(program.ca_file))

        def computed(api: Sequence[str], pid: int, compressed: bool, times: int) -> float:
            """Seconds for one list."""
            began = cpu_seconds(pid)
            more = ["-gzip"] if compressed else []
            load.run("list", *api, "-path", _PATH, "-count", times, *more)
            return max(cpu_seconds(pid) - began, 0.01) / times

        for rate, goal in ((0, 20.0), (RATE, 5.0)):
            with east.kept_changing(rate, "specs") if rate else nullcontext():
                for compressed in (False, True):
                    ours, theirs = [], []
                    for _ in range(rounds):
                        # Ours are so short that more are needed to be measured.
                        ours.append(computed(secure, program.pid, compressed, 5 * count))
                        theirs.append(computed(east.api, east.pid, compressed, count))
                    yield Row(
                        f"list of {services:,} Services, {'gzip' if compressed else 'plain'},"
                        f" {rate} changes a second, per CPU-second",
                        1 / median(ours),
                        1 / median(theirs),
                        "/s",
                        "kube-apiserver, TLS",
                        goal,
                    )
