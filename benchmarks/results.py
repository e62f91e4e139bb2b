"""What a benchmark tells: figures beside those of a yardstick, in the same run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison.

    :ivar ours: the program's figure, in ``unit``.
    :ivar theirs: the yardstick's.
    :ivar goal: what ``ratio`` is to be: at least, or, where ``less`` is better, at most.
    """

    measure: str
    ours: float
    theirs: float
    unit: str
    yardstick: str
    goal: float
    less: bool = False

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs if self.theirs else float("inf")

    @property
    def reached(self) -> bool:
        return self.ratio <= self.goal if self.less else self.ratio >= self.goal


def table(rows: Iterable[Row]) -> str:
    """For a terminal, and as it stands in the documents."""
    lines = ["| measure | program | yardstick | ratio | to reach |", "|---|---|---|---|---|"]
    for row in rows:
        sign = "≤" if row.less else "≥"
        lines.append(
            f"| {row.measure} | {_figure(row.ours)} {row.unit} |"
            f" {_figure(row.theirs)} {row.unit} ({row.yardstick}) |"
            f" {row.ratio:.2f} | {sign} {row.goal:g}{'' if row.reached else ', missed'} |"
        )
    return "\n".join(lines)


def write_json(path: Path, rows: Iterable[Row], about: dict[str, object]) -> None:
    """
    :param about: of the run and its machine.
    """
    told = [{**asdict(row), "ratio": row.ratio, "reached": row.reached} for row in rows]
    path.write_text(json.dumps({"about": about, "rows": told}, indent=2) + "\n")


def _figure(value: float) -> str:
    """Three digits that count."""
    if value >= 999.5:
        return f"{round(value, -len(str(int(value))) + 3):,.0f}"
    return f"{value:.3g}"
