"""What one field brings from one row: paths through objects and lists, and how values compare and read as text.

A value that is not there is `ABSENT`, which is not JSON's null. Pure, without recursion, linear in the size of the row.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.query.meter import Meter

ANY_KIND = "*"
KIND_COLUMN = "kind"


class Absent(enum.Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
Cell = object  # a JSON value, or ABSENT
FUNCTIONS = ("prefix", "suffix", "find", "rfind")


@dataclass(frozen=True, slots=True)
class Cut:
    """A part of a text: its first or last n characters (prefix, suffix), or what stands before or after another text.

    That is the first occurrence for find and the last for rfind; where there is none, they give all of the text.
    """

    function: str
    argument: str

    def of(self, value: object) -> Cell:
        """Return the part, of each element of a list; ABSENT of what has no text."""
        if isinstance(value, list | tuple):
            parts = [part for one in value if (part := self.of_one(one)) is not ABSENT]
            return parts or ABSENT
        return self.of_one(value)

    def of_one(self, value: object) -> Cell:
        """Return the part of a text or a number."""
        if value is None or value is ABSENT or isinstance(value, bool | Mapping | list | tuple):
            return ABSENT
        text = text_of(value)
        if self.function == "prefix":
            return text[: int(self.argument)]
        if self.function == "suffix":
            return text[max(0, len(text) - int(self.argument)) :]
        if self.function == "find":
            return text.partition(self.argument)[0]
        return text.rpartition(self.argument)[2]


@dataclass(frozen=True, slots=True)
class Place:
    """`[a][][b]`: names from the row inwards, None for `[]`, each element of a list. Without steps: the kind itself."""

    steps: tuple[str | None, ...]
    cut: Cut | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names on the way."""
        return tuple(step for step in self.steps if step is not None) or (KIND_COLUMN,)

    def of(self, row: Mapping[str, object], meter: Meter) -> Cell:
        """Return what stands there: a value; a list of values where the way went through a list; ABSENT."""
        found = follow(*self._start(row), meter)
        return found if self.cut is None else self.cut.of(found)

    def _start(self, row: Mapping[str, object]) -> tuple[object, tuple[str | None, ...]]:
        """Return where the way begins: at a root of that name, at the first policy for `*`, else inside the first policy."""
        kind, content = next(iter(row.items()), (ABSENT, ABSENT))
        if self.steps in ((), (None,), (ANY_KIND,)):
            return kind, ()
        first = self.steps[0]
        if first == ANY_KIND:
            return content, self.steps[1:]
        if first is not None and first in row:
            return row[first], self.steps[1:]
        return content, self.steps


@dataclass(frozen=True, slots=True)
class Field:
    """`[a]:[b]`: what the first of the paths brings that finds anything but null."""

    paths: tuple[Place, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the first path: what the field is called by."""
        names = self.paths[0].names
        return (KIND_COLUMN,) if names == (ANY_KIND,) else names

    def of(self, row: Mapping[str, object], meter: Meter) -> Cell:
        """Return what it brings from a row."""
        found: Cell = ABSENT
        for path in self.paths:
            value = path.of(row, meter)
            if value is not ABSENT and value is not None:
                return value
            found = value if found is ABSENT else found
        return found


@dataclass(frozen=True, slots=True)
class Literal:
    """Text that is given as it stands."""

    text: str


Part = Field | Literal


def follow(start: object, steps: tuple[str | None, ...], meter: Meter) -> Cell:
    """Return what stands at the end of `steps` from `start` on; a list of all finds where a list was gone through."""
    values, many = [start], False
    for step in steps:
        meter.charge(len(values))
        found: list[object] = []
        for value in values:
            many = _take(value, step, found, meter) or many
        if not found:
            return ABSENT
        values = found
    return values if many else values[0]


def _take(value: object, step: str | None, found: list[object], meter: Meter) -> bool:
    """Add to `found` what one step leads to. Returns whether that was through a list."""
    if isinstance(value, Mapping):
        if step is not None and step in value:
            found.append(value[step])
        return False
    if not isinstance(value, list | tuple):
        return False
    if step is None:
        meter.charge(len(value))
        found.extend(value)
        return True
    if step.isdecimal() and step.isascii():
        found.extend(value[int(step) : int(step) + 1] if len(step) <= len(str(len(value))) else ())
        return False
    inside = elements(value)
    meter.charge(len(inside))
    found.extend(one[step] for one in inside if isinstance(one, Mapping) and step in one)
    return True


def elements(value: Sequence[object]) -> list[object]:
    """Return the elements of a list, those of lists inside it in their place."""
    found: list[object] = []
    waiting: list[object] = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, list | tuple):
            waiting.extend(reversed(one))
        else:
            found.append(one)
    return found


def present(cell: Cell) -> object:
    """Return the value, null for what is not there."""
    return None if cell is ABSENT else cell


def text_of(cell: Cell) -> str:
    """Return a value as text: text as it is, nothing for null and what is not there, the rest as JSON."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))  # 1.0 is 1, as in canonical JSON
    return "" if cell is None or cell is ABSENT else json_text(cell)


def json_text(value: object) -> str:
    """Return JSON in one line, the same for equal values whatever the order of their names."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def sort_key(cell: Cell) -> tuple[int, object]:
    """Return what orders values, as `order by` does: numbers, text by code points, false, true; then lists, objects, null, nothing.

    Equal keys are equal values: 1 is 1.0, and neither is true or "1".
    """
    if isinstance(cell, bool):
        return 2, cell
    if isinstance(cell, int | float):
        return 0, cell
    if isinstance(cell, str):
        return 1, cell
    if isinstance(cell, list | tuple):
        return 3, json_text(cell)
    if isinstance(cell, Mapping):
        return 4, json_text(cell)
    return (5, 0) if cell is None else (6, 0)
