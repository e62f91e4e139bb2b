"""Runs of one target: how many, and what went wrong."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from .mutations import mutated

#: Seconds of CPU that one execution may take.
SLOW = 1.0


@dataclass(frozen=True)
class Target:
    """
    :ivar run: the parser.
    :ivar seeds: good input.
    :ivar fine: what it is documented to raise.
    :ivar as_json: whether the seeds are JSON.
    """

    name: str
    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    fine: tuple[type[Exception], ...] = ()
    as_json: bool = False


@dataclass(frozen=True)
class Finding:
    """
    :ivar what: the error and its innermost line, by which findings are told apart.
    """

    target: str
    what: str
    data: bytes
    trace: str = field(compare=False, default="")


def try_one(target: Target, data: bytes) -> Finding | None:
    """What is wrong with the target, by this input."""
    began = time.process_time()
    try:
        target.run(data)
    except target.fine:
        pass
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__} at {frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}"
        return Finding(target.name, what, data, traceback.format_exc())
    took = time.process_time() - began
    return Finding(target.name, f"takes {took:.1f} s", data) if took > SLOW else None


def fuzz(target: Target, seed: int, executions: int) -> dict[str, Finding]:
    """The findings, the shortest input of each."""
    rng = Random(f"{seed} {target.name}")
    found: dict[str, Finding] = {}
    for _ in range(executions):
        data = mutated(rng, target.seeds, as_json=target.as_json)
        finding = try_one(target, data)
        if finding is not None:
            known = found.get(finding.what)
            if known is None or len(data) < len(known.data):
                found[finding.what] = finding
    return found
