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
    :ivar goal: what ``ratio`` is to be: at least, or, where ``less`` is better, at most; None where
        it is only told.
    """

    measure: str
    ours: float
    theirs: float
    unit: str
    yardstick: str
    goal: float | None
    less: bool = False

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs if self.theirs else float("inf")

    @property
    def reached(self) -> bool:
        if self.goal is None:
            return True
        return self.ratio <= self.goal if self.less else self.ratio >= self.goal

    def __str__(self) -> str:
        goal = f"{'≤' if self.less else '≥'} {self.goal:.3g}" if self.goal is not None else ""
        return (
            f"| {self.measure} | {_figure(self.ours)} {self.unit} |"
            f" {_figure(self.theirs)} {self.unit} ({self.yardstick}) |"
            f" {self.ratio:.2f} | {goal}{'' if self.reached else ', missed'} |"
        )


#: Of a table of rows, for a terminal, and as it stands in the documents.
HEAD = "| measure | program | yardstick | ratio | to reach |\n|---|---|---|---|---|"


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
