"""``python -m simulation``: search for schedules that break a promise, or replay one."""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import sys
import time
from pathlib import Path

from .schedule import Schedule, read
from .search import Found, Sums, search


def main() -> int:
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to search")
    parser.add_argument("--runs", type=int, default=0, help="or how many runs, 0 for any number")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, default=0, help="0 draws one")
    parser.add_argument("--replay", default="", help="a schedule, as it was printed, or its file")
    told = parser.parse_args()
    # What is drawn must not hang on how strings are hashed in this process.
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "simulation", *sys.argv[1:]])
    if told.replay:
        return replay(_schedule(told.replay))
    first = told.seed or time.time_ns() % 2**31
    sums, found = Sums(), []
    tasks = [(first + n, told.seconds, told.runs // told.workers) for n in range(told.workers)]
    if told.workers == 1:
        results = [_work(tasks[0])]
    else:
        with multiprocessing.Pool(told.workers) as pool:
            results = list(pool.imap_unordered(_work, tasks))
    for more, failures in results:
        sums.add(more)
        found += failures
    _say(f"seed {first}: {sums.line()}")
    for failure in found:
        _say(f"\n{failure.told}\n{failure.schedule.text()}")
        _say(failure.command)
    return 1 if found else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _work(task: tuple[int, float, int]) -> tuple[Sums, list[Found]]:
    return search(*task)


def _schedule(text: str) -> Schedule:
    path = Path(text)
    return read(path.read_text() if len(text) < 200 and path.exists() else text)


def replay(schedule: Schedule) -> int:
    from .runner import Run
    from .world import Broken

    _say(schedule.text())
    run = Run(schedule)
    try:
        report = run.execute()
        gc.collect()
    except Broken as error:
        for node in run.nodes:
            _say(f"{node.name}: {node.cluster.guard.log[-12:]}")
        _say(f"at {run.now():g} s: {error}")
        return 1
    _say(f"all is well: {report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
