"""A line through samples, by least squares: whether something grows, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence


def slope(samples: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """How steep the line is, per unit of the first members, and the standard error of that; NaN
    for fewer than three samples."""
    count = len(samples)
    if count < 3:
        return math.nan, math.nan
    mean_x = sum(x for x, _ in samples) / count
    mean_y = sum(y for _, y in samples) / count
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    steep = sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread
    rest = sum((y - mean_y - steep * (x - mean_x)) ** 2 for x, y in samples)
    return steep, math.sqrt(rest / (count - 2) / spread)
