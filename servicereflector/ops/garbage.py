"""The garbage collector, kept from going through all that the program holds again and again.

A full collection looks at every object that may be part of a cycle: all modules, all records of all
stores. What has survived a long one is not looked at any more: nearly all of it lasts as long as
the program or is freed by its reference count, as replaced records are. Only a cycle is lost that
was in use then and comes apart from the rest later, such as that of a request in flight.
"""

from __future__ import annotations

import gc
import time
from typing import Any

#: Seconds of computing above which a full collection is long.
LONG = 0.02

#: Objects that are allocated between two collections, and how many of these the next longer one
#: waits for. A page of a list is 20,000 objects: by default, each 700 of them are looked at.
OFTEN = (20_000, 10, 10)

_FULL = 2  # the oldest generation

_began = 0.0


def spare_survivors() -> None:
    """From now on, in this process, for all that is there and all that will be."""
    gc.set_threshold(*OFTEN)
    gc.freeze()
    if _collecting not in gc.callbacks:
        gc.callbacks.append(_collecting)


def _collecting(phase: str, info: dict[str, Any]) -> None:
    global _began  # noqa: PLW0603
    if info["generation"] != _FULL:
        return
    now = time.thread_time()
    if phase == "start":
        _began = now
    elif now - _began > LONG:
        gc.freeze()
