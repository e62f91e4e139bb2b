"""What the garbage collector goes through."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from servicereflector.ops import garbage


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The collector of the other tests."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    while garbage._collecting in gc.callbacks:
        gc.callbacks.remove(garbage._collecting)
    gc.unfreeze()


@pytest.mark.parametrize("seconds", [garbage.LONG / 2, garbage.LONG * 2])
def test_what_survived_a_long_collection_is_spared(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what there was at the beginning; short ones cost nothing that were to be saved."""
    garbage.spare_survivors()
    garbage.spare_survivors()
    assert gc.callbacks.count(garbage._collecting) == 1
    spared = gc.get_freeze_count()
    assert spared > 10_000
    held = [[number] for number in range(1000)]
    now = 0.0

    def later() -> float:
        nonlocal now
        now += seconds
        return now

    monkeypatch.setattr(garbage.time, "thread_time", later)
    gc.collect(1)
    assert gc.get_freeze_count() <= spared
    gc.collect()
    assert (gc.get_freeze_count() >= spared + len(held)) is (seconds > garbage.LONG)
