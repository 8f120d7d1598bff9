"""What the benchmarks report: figures, each beside the baseline that was measured in the same run."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HEADINGS = ("figure", "value", "baseline", "ratio", "p99/p50", "bound", "holds", "remark")


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure is held to: `least` to `most`, of its ratio to the baseline, or with `of_value` of the value itself."""

    least: float | None = None
    most: float | None = None
    of_value: bool = False

    def holds(self, number: float) -> bool:
        """Tell whether the number lies within."""
        return (self.least is None or number >= self.least) and (self.most is None or number <= self.most)

    def text(self, unit: str) -> str:
        """Return the bound for people."""
        sides = [f"{sign} {_shown(side)}" for sign, side in (("≥", self.least), ("≤", self.most)) if side is not None]
        return ("" if self.of_value else "ratio ") + ", ".join(sides) + (f" {unit}" if self.of_value else "")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. `baseline` names another figure of the run, of the same unit; a baseline itself has none.

    `tail` is p99 over p50 of what took time in it, `most_tail` what that is held to; `also` are more baselines, whose ratios stand
    in the remark.
    """

    name: str
    value: float
    unit: str
    baseline: str | None = None
    remark: str = ""
    bound: Bound | None = None
    tail: float | None = None
    most_tail: float | None = None
    also: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """The figures of one run, in the order in which they were measured."""

    figures: dict[str, Figure] = field(default_factory=dict)

    def add(self, figure: Figure) -> None:
        """Take a figure; KeyError if its baseline was not measured before, ValueError if the units differ."""
        for name in (figure.baseline, *figure.also):
            if name is not None and self.figures[name].unit != figure.unit:
                raise ValueError(f"{figure.name} and {name} are not in the same unit")
        self.figures[figure.name] = figure

    def ratio(self, name: str) -> float | None:
        """Return value / value of the baseline, None for a baseline."""
        figure = self.figures[name]
        return None if figure.baseline is None else figure.value / self.figures[figure.baseline].value

    def known(self, *names: str) -> tuple[str, ...]:
        """Return those of these figures that were measured before."""
        return tuple(name for name in names if name in self.figures)

    def holds(self, name: str) -> bool | None:
        """Tell whether a figure keeps its bound, None where it has none."""
        figure = self.figures[name]
        number = figure.value if figure.bound is not None and figure.bound.of_value else self.ratio(name)
        found = [] if figure.bound is None or number is None else [figure.bound.holds(number)]
        if figure.tail is not None and figure.most_tail is not None:
            found.append(figure.tail <= figure.most_tail)
        return all(found) if found else None

    def table(self) -> str:
        """Return the table for people: Markdown, so that it can be kept as it is."""
        rows = [HEADINGS, *(self._row(figure) for figure in self.figures.values())]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
        lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join(lines)

    def document(self) -> list[dict[str, object]]:
        """Return the figures as JSON values."""
        return [{**asdict(figure), "ratio": self.ratio(name), "holds": self.holds(name)} for name, figure in self.figures.items()]

    def _row(self, figure: Figure) -> tuple[str, ...]:
        ratio = self.ratio(figure.name)
        others = [f"{figure.value / self.figures[name].value:.2f} of {name}" for name in figure.also]
        return (
            figure.name,
            f"{_shown(figure.value)} {figure.unit}",
            figure.baseline or "",
            "" if ratio is None else f"{ratio:.2f}",
            "" if figure.tail is None else f"{figure.tail:.1f}",
            _held_to(figure),
            {None: "", True: "yes", False: "SHORT"}[self.holds(figure.name)],
            "; ".join(filter(None, (figure.remark, *others))),
        )


def _held_to(figure: Figure) -> str:
    texts = [] if figure.bound is None else [figure.bound.text(figure.unit)]
    return "; ".join(texts if figure.most_tail is None else [*texts, f"p99/p50 ≤ {_shown(figure.most_tail)}"])


def _shown(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}".removesuffix(".0") if value >= 10 else f"{value:.3g}"


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
