"""What the benchmarks report: figures, each beside the baseline that was measured in the same run."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HEADINGS = ("figure", "value", "baseline", "ratio", "remark")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. `baseline` names another figure of the run, of the same unit; a baseline itself has none."""

    name: str
    value: float
    unit: str
    baseline: str | None = None
    remark: str = ""


@dataclass(slots=True)
class Report:
    """The figures of one run, in the order in which they were measured."""

    figures: dict[str, Figure] = field(default_factory=dict)

    def add(self, figure: Figure) -> None:
        """Take a figure; KeyError if its baseline was not measured before, ValueError if the units differ."""
        if figure.baseline is not None and self.figures[figure.baseline].unit != figure.unit:
            raise ValueError(f"{figure.name} and {figure.baseline} are not in the same unit")
        self.figures[figure.name] = figure

    def ratio(self, name: str) -> float | None:
        """Return value / value of the baseline, None for a baseline."""
        figure = self.figures[name]
        return None if figure.baseline is None else figure.value / self.figures[figure.baseline].value

    def table(self) -> str:
        """Return the table for people: Markdown, so that it can be kept as it is."""
        rows = [HEADINGS, *(self._row(figure) for figure in self.figures.values())]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
        lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join(lines)

    def document(self) -> list[dict[str, object]]:
        """Return the figures as JSON values."""
        return [{**asdict(figure), "ratio": self.ratio(name)} for name, figure in self.figures.items()]

    def _row(self, figure: Figure) -> tuple[str, ...]:
        ratio = self.ratio(figure.name)
        return (
            figure.name,
            f"{_shown(figure.value)} {figure.unit}",
            figure.baseline or "",
            "" if ratio is None else f"{ratio:.2f}",
            figure.remark,
        )


def _shown(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def cpu_rate(work: Callable[[], int], *, rounds: int = 3) -> float:
    """Return how many a second of CPU `work` does, the median of some rounds; it returns how many it did.

    For work that neither waits nor shares: what else the machine does then has little say.
    """
    measured = []
    for _ in range(rounds):
        begin = time.process_time()
        done = work()
        measured.append(done / (time.process_time() - begin))
    return statistics.median(measured)


def rates(works: Mapping[str, Callable[[], int]], *, rounds: int = 5) -> dict[str, float]:
    """Return the median rate of each work. They take turns, so that a disk or a machine that is busy for a while slows all of them."""
    measured: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            begin = time.perf_counter()
            done = work()
            measured[name].append(done / (time.perf_counter() - begin))
    return {name: statistics.median(found) for name, found in measured.items()}
