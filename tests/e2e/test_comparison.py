"""The comparison of everything beside real API servers, whose versions and bookmarks are theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .clusters import Cluster, RunningProgram, eventually, hurried, run_reflector

SERVICES = 10


def test_nothing_is_found_while_much_changes(
    east: Cluster,
    west: Cluster,
    emitter: tuple[RunningProgram, str],
    directory: Path,
    programs: list[RunningProgram],
) -> None:
    """Rounds follow one another; the last one is of a quiet cluster."""
    east.namespace("shop")
    for number in range(SERVICES):
        east.export(f"shop/s{number}", "10.9.0.1")
    program = run_reflector(
        directory,
        west,
        f"--source-api=east={emitter[1]}",
        "--reflector.compare-period=300ms",
        command=hurried(
            flags__SHORTEST_PERIOD=0.1,
            reflector__comparison__CONFIRM=0.3,
            reflector__comparison__INTERVAL=0.1,
        ),
    )
    programs.append(program)
    program.wait_until_ready()
    eventually("the mirrors", lambda: program.mirrored("east", "Mirrored") >= SERVICES)

    def rounds(count: int) -> Callable[[], bool]:
        until = program.metric("service_reflector_comparison_rounds_total") + count
        return lambda: program.metric("service_reflector_comparison_rounds_total") >= until

    changed, address = rounds(2), 1
    while not changed():
        address = address % 250 + 1
        for number in range(SERVICES):
            east.set_ips(f"shop/s{number}", f"10.9.1.{address}")
    eventually("a quiet round", rounds(1))
    for kind in ("plan", "store"):
        compared = program.metric(f'service_reflector_comparison_compared_total{{kind="{kind}"}}')
        assert compared >= 3 * SERVICES
        found = f'service_reflector_comparison_differences_total{{kind="{kind}"}}'
        assert program.metric(found) == 0, program.log()
