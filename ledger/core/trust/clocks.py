"""What each clock key said, a tree size: the earliest and the latest line, with their notes. Finds rollbacks in whatever order lines come.

Rollback: two good lines of one key, sizes s1 < s2 and times t1 > t2. The newest `KEPT` sizes are kept
one by one; older ones are joined into one span that knows its smallest size with the earliest line there and its largest
size with the latest. A span raises no false alarm and still shows every line that is older or newer than all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT = 32


@dataclass(frozen=True, slots=True)
class Stamp:
    """A good clock line seen: its time and the note that it stands in."""

    time: int
    note: bytes


@dataclass(frozen=True, slots=True)
class Span:
    """Lines of sizes `low … high`: the earliest seen at `low`, the latest seen at `high`."""

    low: int
    high: int
    earliest: Stamp
    latest: Stamp


@dataclass(frozen=True, slots=True)
class ClockHistory:
    """The lines of one clock key, by ascending size. `held`: time of its newest line about a tree that the replica held; -1 for none."""

    vkey: str
    spans: tuple[Span, ...] = ()
    held: int = -1

    def contradiction(self, size: int, time: int) -> Stamp | None:
        """Return a line that makes a line of `time` at `size` a rollback, or None."""
        return next((stamp for at, stamp in self._stamps() if (at < size and stamp.time > time) or (at > size and stamp.time < time)), None)

    def _stamps(self) -> Iterator[tuple[int, Stamp]]:
        for span in self.spans:
            yield span.low, span.earliest
            yield span.high, span.latest

    def record(self, size: int, stamp: Stamp) -> ClockHistory:
        """Return the history with one more line. Lines within a joined span add nothing."""
        if any(span.low <= size <= span.high and span.low < span.high for span in self.spans):
            return self
        same = next((span for span in self.spans if span.low == size), Span(size, size, stamp, stamp))
        if stamp.time < same.earliest.time:
            same = replace(same, earliest=stamp)
        if stamp.time > same.latest.time:
            same = replace(same, latest=stamp)
        spans = sorted([*(span for span in self.spans if span.low != size), same], key=lambda span: span.low)
        return replace(self, spans=tuple(_join_oldest(spans)))

    def hold(self, time: int) -> ClockHistory:
        """Return the history with a line about a tree that the replica holds."""
        return replace(self, held=max(self.held, time))

    def without(self, note: bytes) -> ClockHistory:
        """Return the history without the sizes at which only this note was seen."""
        return replace(self, spans=tuple(span for span in self.spans if (span.earliest.note, span.latest.note) != (note, note)))

    def cut(self, size: int) -> ClockHistory:
        """Return the history without lines above `size` (the replica goes back there). What was held above is held no more."""
        kept = tuple(span for span in self.spans if span.high <= size)
        newest = max((span.latest.time for span in kept), default=-1)
        return replace(self, spans=kept, held=min(self.held, newest))


def _join_oldest(spans: list[Span]) -> list[Span]:
    if len(spans) <= KEPT:
        return spans
    first, second = spans[:2]
    return [Span(first.low, second.high, first.earliest, second.latest), *spans[2:]]
