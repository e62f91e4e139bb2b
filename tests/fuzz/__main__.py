"""``python -m fuzz``: give every parser bad bytes, or one of them some bytes again."""

from __future__ import annotations

import argparse
import ast
import sys
import time

from .harness import fuzz, try_one
from .targets import TARGETS


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--executions", type=int, default=10_000, help="of each target")
    parser.add_argument("--seed", type=int, default=0, help="0 draws one")
    parser.add_argument("--only", default="", help="one target, by its name")
    parser.add_argument("--replay", default="", help="bytes as Python writes them; with --only")
    told = parser.parse_args()
    targets = [target for target in TARGETS if told.only in ("", target.name)]
    if told.replay:
        finding = try_one(targets[0], ast.literal_eval(told.replay))
        print(finding.trace or finding.what if finding else "all is well")  # noqa: T201
        return 1 if finding else 0
    seed = told.seed or time.time_ns() % 2**31
    total, findings = 0, []
    for target in targets:
        began = time.process_time()
        found = fuzz(target, seed, told.executions)
        total += told.executions
        took = time.process_time() - began
        print(f"{target.name}: {told.executions} executions, {took:.0f} s of CPU", flush=True)  # noqa: T201
        findings += found.values()
        for finding in found.values():
            print(f"\n{finding.what}\n{finding.trace}", flush=True)  # noqa: T201
            print(f"make fuzz ARGS=\"--only '{target.name}' --replay {finding.data!r}\"\n")  # noqa: T201
    print(f"seed {seed}: {total} executions, {len(findings)} findings")  # noqa: T201
    return 1 if findings else 0


sys.exit(main())
