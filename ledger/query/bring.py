"""`bring`: what is taken out of each row of an answer, and in which form it is given (docs/query.md).

A row is a mapping of roots: one policy is `{kind: content}`, and a second query or a hierarchy adds roots of its own.
Pure: rows in, `Brought` out. What comes out is JSON values only, so that every form can be written as valid JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from ledger.core.limits import LIMITS
from ledger.query.cells import ABSENT, Cell, Field, Literal, elements, present, sort_key, text_of
from ledger.query.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ledger.query.cells import Part
    from ledger.query.hierarchy import Relation

Row = Mapping[str, object]
ADDRESSES = ("ip", "external_ip", "local_ip", "internal_ip")


@dataclass(frozen=True, slots=True)
class Bring:
    """What to bring. `shape` is text, json, list, table, tree, count, min, max or ip_port; `pick` is first, recent or None.

    `sort` has the places of the fields to sort by, the first counting most; () is all of them in their order, None no sorting.
    `separator` stands between the rows of text.
    """

    parts: tuple[Part, ...] = ()
    shape: str = "text"
    relation: Relation | None = None
    pick: str | None = None
    sort: tuple[int, ...] | None = None
    unique: bool = False
    null: bool = False
    whole: bool = False  # count, min, max: an object in a list, as AnyLog gives it, and not the bare value
    separator: str = "\n"

    @property
    def fields(self) -> tuple[Field, ...]:
        """The parts that are looked up."""
        return tuple(part for part in self.parts if isinstance(part, Field))


@dataclass(frozen=True, slots=True)
class Brought:
    """What was brought: `values` are JSON; for trees `lines` makes text of the `nodes` that the values were made of.

    `columns` name the members of each value of a table (none: whole policies). `single`: one value, not a list of them.
    """

    shape: str
    values: tuple[object, ...]
    columns: tuple[str, ...] = ()
    separator: str = "\n"
    single: bool = False
    nodes: tuple[Row, ...] = field(default=(), compare=False, repr=False)
    lines: Callable[[Sequence[Row]], tuple[str, ...]] | None = field(default=None, compare=False, repr=False)

    @property
    def is_text(self) -> bool:
        """Whether it is meant to be read as text: not JSON, and no table."""
        return self.shape in {"text", "tree", "ip_port"} or self.single

    def as_json(self) -> object:
        """Return one JSON value for everything: a list, or the single value (null when there is none)."""
        if self.single:
            return self.values[0] if self.values else None
        return list(self.values)

    def as_text(self) -> str:
        """Return everything as text, the separator between the rows."""
        return self.separator.join(self.rows())

    def rows(self) -> tuple[str, ...]:
        """Return each row as text."""
        return tuple(map(text_of, self.values)) if self.lines is None else self.lines(self.nodes)

    def part(self, start: int, end: int) -> Brought:
        """Return what stands from place `start` to before `end`; of a single value all."""
        return self if self.single else replace(self, values=self.values[start:end], nodes=self.nodes[start:end])


def bring(rows: Iterable[Row], wanted: Bring) -> Brought:
    """Return what `wanted` takes out of the rows. The relation, if any, has been followed before (`hierarchy.follow`)."""
    if wanted.relation is not None and wanted.relation.name == "tree":
        return _tree(rows, wanted)
    if wanted.pick is not None:
        rows = _picked(rows, wanted.pick)
    shape: Callable[[Iterable[Row], Bring], Brought] = {
        "json": _json, "table": _json, "list": _list, "count": _count, "min": _extreme, "max": _extreme, "ip_port": _ip_port,
    }.get(wanted.shape, _text)  # fmt: skip
    return shape(rows, wanted)


def columns_of(fields: Sequence[Field]) -> tuple[str, ...]:
    """Return a name for each field: the last name of its path, with as many before it as tell it from the others."""
    paths = [field.names for field in fields]
    found: list[str] = []
    for path in paths:
        others = [other for other in paths if other != path]
        length = next((n for n in range(1, len(path)) if _tells(path[-n:], others)), len(path))
        found.append(".".join(path[-length:]))
    return tuple(_numbered(found))


def _tells(end: tuple[str, ...], others: Sequence[tuple[str, ...]]) -> bool:
    """Return whether the end of a path is a name, and no other path's end."""
    return not end[0].isdecimal() and all(other[-len(end) :] != end for other in others)


def _numbered(names: Sequence[str]) -> Iterator[str]:
    """Yield the names, with a number behind one that came before."""
    seen: set[str] = set()
    for name in names:
        free, number = name, 1
        while free in seen:
            number += 1
            free = f"{name}_{number}"
        seen.add(free)
        yield free


def _picked(rows: Iterable[Row], pick: str) -> list[Row]:
    """Return the row of the earliest or of the latest date; among rows of one date, or without any, the first or the last."""
    best: tuple[bool, float] | None = None
    chosen: list[Row] = []
    for row in rows:
        date = _date(row)
        rank = (date is not None, 0.0 if date is None else date if pick == "recent" else -date)
        if best is None or rank > best or (rank == best and pick == "recent"):
            best, chosen = rank, [row]
    return chosen


def _date(row: Row) -> float | None:
    """Return the date of the first policy of a row in seconds, None where it has none that can be read."""
    content = next(iter(row.values()), None)
    date = content.get("date") if isinstance(content, Mapping) else None
    if not isinstance(date, str):
        return None
    try:
        when = datetime.fromisoformat(date)
        return (when if when.tzinfo is not None else datetime.fromisoformat(date + "+00:00")).timestamp()
    except (ValueError, OverflowError):
        return None


def _cells(rows: Iterable[Row], wanted: Bring) -> Iterator[tuple[Cell, ...]]:
    """Yield what each field brings from each row, sorted and without doubles as wanted.

    A row that brings nothing is left out, unless null.
    """
    fields = wanted.fields
    meter = _meter()
    found: Iterable[tuple[Cell, ...]] = (tuple(field.of(row, meter) for field in fields) for row in rows)
    if not wanted.null:
        found = (cells for cells in found if any(cell is not ABSENT for cell in cells) or not fields)
    if wanted.unique:
        found = _unique(found)
    if wanted.sort is not None:
        places = wanted.sort or tuple(range(len(fields)))
        found = sorted(found, key=lambda cells: tuple(sort_key(cells[place]) for place in places))
    yield from found


def _meter() -> Meter:
    return Meter(LIMITS.brought_values, "values to bring", "Ask for fewer policies with where, or for fewer fields.")


def _unique(found: Iterable[tuple[Cell, ...]]) -> Iterator[tuple[Cell, ...]]:
    seen: set[tuple[object, ...]] = set()
    for cells in found:
        key = tuple(sort_key(cell) for cell in cells)
        if key not in seen:
            seen.add(key)
            yield cells


def _texts(rows: Iterable[Row], wanted: Bring) -> Iterator[str]:
    return (_line(wanted.parts, cells) for cells in _cells(rows, wanted))


def _line(parts: Sequence[Part], cells: Sequence[Cell]) -> str:
    left = iter(cells)
    return "".join(part.text if isinstance(part, Literal) else text_of(next(left)) for part in parts)


def _text(rows: Iterable[Row], wanted: Bring) -> Brought:
    return Brought("text", tuple(_texts(rows, wanted)), separator=wanted.separator)


def _json(rows: Iterable[Row], wanted: Bring) -> Brought:
    fields = wanted.fields
    if not fields:
        return Brought(wanted.shape, tuple(_policies(rows, wanted)))
    columns = columns_of(fields)
    objects = (dict(zip(columns, cells, strict=True)) for cells in _cells(rows, wanted))
    if wanted.null:
        values = [{name: present(cell) for name, cell in one.items()} for one in objects]
    else:
        values = [{name: cell for name, cell in one.items() if cell is not ABSENT} for one in objects]
    return Brought(wanted.shape, tuple(values), columns, separator=wanted.separator)


def _tree(rows: Iterable[Row], wanted: Bring) -> Brought:
    """Give trees: nested objects with `children`, and as text a line for each node, indented by its level."""
    nodes = tuple(rows)
    values = nodes if not wanted.fields else _brought_nodes(nodes, wanted.fields)
    return Brought(wanted.shape, values, columns_of(wanted.fields), wanted.separator, nodes=nodes, lines=partial(_tree_lines, wanted))


def _brought_nodes(nodes: Sequence[Row], fields: Sequence[Field]) -> tuple[Row, ...]:
    columns, meter = columns_of(fields), _meter()
    values: list[Row] = []
    waiting = [(node, values) for node in reversed(nodes)]
    while waiting:
        node, siblings = waiting.pop()
        below: list[Row] = []
        cells = ((name, field.of(node, meter)) for name, field in zip(columns, fields, strict=True))
        siblings.append({**{name: cell for name, cell in cells if cell is not ABSENT}, "children": below})
        waiting.extend((low, below) for low in reversed(_children(node)))
    return tuple(values)


def _tree_lines(wanted: Bring, nodes: Sequence[Row]) -> tuple[str, ...]:
    lines: list[str] = []
    meter = _meter()
    waiting = [(node, 0) for node in reversed(nodes)]
    while waiting:
        node, level = waiting.pop()
        text = _line(wanted.parts, tuple(field.of(node, meter) for field in wanted.fields)) if wanted.fields else _titled(node)
        lines.append("  " * level + text)
        waiting.extend((low, level + 1) for low in reversed(_children(node)))
    return tuple(lines)


def _children(node: Row) -> list[Row]:
    below = node.get("children")
    return below if isinstance(below, list) else []


def _titled(node: Row) -> str:
    """Return one line for a policy: its name, then kind and id."""
    kind, content = next(iter(node.items()))
    content = content if isinstance(content, Mapping) else {}
    return f"{text_of(content.get('name', content.get('id')))} ({kind} {text_of(content.get('id'))})"


def _policies(rows: Iterable[Row], wanted: Bring) -> Iterator[Row]:
    """Yield whole rows."""
    seen: set[object] = set()
    for row in rows:
        key = sort_key(row) if wanted.unique else len(seen)
        if key not in seen:
            seen.add(key)
            yield row


def _list(rows: Iterable[Row], wanted: Bring) -> Brought:
    """Give one value a row: that of the only field as it is, else the row's text; without any part, the policy."""
    if not wanted.parts:
        return _json(rows, wanted)
    if wanted.parts == wanted.fields and len(wanted.parts) == 1:
        values: tuple[object, ...] = tuple(present(cell) for (cell,) in _cells(rows, wanted))
    else:
        values = tuple(_texts(rows, wanted))
    return Brought("list", values, separator=wanted.separator)


def _count(rows: Iterable[Row], wanted: Bring) -> Brought:
    number = sum(1 for _ in (_cells(rows, wanted) if wanted.fields else _policies(rows, wanted)))
    return _value("count", number, wanted)


def _extreme(rows: Iterable[Row], wanted: Bring) -> Brought:
    """Give the smallest or the largest value of the only field, every element of a list counting by itself."""
    choose = min if wanted.shape == "min" else max
    cells = (one for brought in _cells(rows, wanted) for one in elements(brought))
    found = choose((cell for cell in cells if present(cell) is not None), key=sort_key, default=None)
    return Brought(wanted.shape, (), single=not wanted.whole) if found is None else _value(wanted.shape, found, wanted)


def _value(name: str, value: object, wanted: Bring) -> Brought:
    if not wanted.whole:
        return Brought(name, (value,), single=True)
    return Brought(name, ({name: value},), (name,))


def _ip_port(rows: Iterable[Row], wanted: Bring) -> Brought:
    """Give `address:port` of every policy that has both, as other commands take their destinations."""
    found = (address for row in rows if (address := _address(row)) is not None)
    places = tuple(dict.fromkeys(found) if wanted.unique else found)
    return Brought("ip_port", tuple(sorted(places)) if wanted.sort is not None else places, separator=wanted.separator)


def _address(row: Row) -> str | None:
    content = next(iter(row.values()), None)
    if not isinstance(content, Mapping):
        return None
    address = next((found for name in ADDRESSES if isinstance(found := content.get(name), str) and found), None)
    port = content.get("port")
    if address is None or isinstance(port, bool) or not isinstance(port, int | str) or port == "":
        return None
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
