"""A second query on each row's values: `with (get … where … = [operator][cluster])`, and AnyLog's `join` and `merge` (docs/query.md).

The values of many rows are looked up at once, and rows meet by a hash of the value: never one query a row. Pure: what the second query
selects comes through `Select`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from ledger.core.limits import LIMITS
from ledger.query.cells import ABSENT, elements
from ledger.query.evaluation import values_at
from ledger.query.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.query.cells import Place
    from ledger.query.tree import Path, Query

Row = Mapping[str, object]
Policy = Mapping[str, object]
ADVICE = "Ask for fewer policies with where, in the first query or the second."
BATCH = 1_000  # rows whose values are looked up together


@dataclass(frozen=True, slots=True)
class Link:
    """The second query's `path` has a value that stands at `place` of the row."""

    path: Path
    place: Place


@dataclass(frozen=True, slots=True)
class Second:
    """The second query. `links` are its conditions on the row's values; `query` has the others.

    `left`: a row without a match stays as it is; else it is left out. `merge`: the match's attributes go into the row's own policy, where
    that has none of the name; else the match stands beside it, under `name` or its kind.
    """

    query: Query
    links: tuple[Link, ...] = ()
    left: bool = False
    merge: bool = False
    name: str | None = None


Value = tuple[bool, object]
Select = Callable[["Query", "Path | None", Sequence[object]], Iterable[Policy]]
"""What a query selects; with a path, only policies that have one of the values there. More may come: the join looks itself."""


def join(rows: Iterable[Row], second: Second, select: Select) -> Iterator[Row]:
    """Yield the rows, each with each match of the second query.

    Raises `TooCostlyError` when that takes more than `LIMITS.joined` values of rows, or pairs of a row and a policy with the value of
    its first link.
    """
    meter = Meter(LIMITS.joined, "pairs of policies in a second query", ADVICE)
    waiting = iter(rows)
    everything = None if second.links else _matches(second, (), select)
    while batch := list(islice(waiting, BATCH)):
        wanted = [[_charged(link.place.of(row, meter), meter) for link in second.links] for row in batch]
        matches = _matches(second, wanted, select) if everything is None else everything
        for row, values in zip(batch, wanted, strict=True):
            met = matches.of_first(values)
            meter.charge(len(met))
            found = [matches.policies[place] for place in met if matches.are_met(place, values)]
            yield from (_met(row, policy, second) for policy in found)
            if not found and second.left:
                yield row


def _charged(cell: object, meter: Meter) -> set[Value]:
    found = values_of(cell)
    meter.charge(len(found))
    return found


def values_of(cell: object) -> set[Value]:
    """Return the values that a cell is compared by: each element of a list; text, numbers and truth values, each apart from the others."""
    found = elements((cell,)) if cell is not ABSENT else []
    return {(isinstance(one, bool), one) for one in found if isinstance(one, str | int | float)}


@dataclass(frozen=True, slots=True)
class _Matches:
    """What the second query selected, by its values at the first link, and its values at the others."""

    by_value: Mapping[Value, Sequence[int]]
    policies: Sequence[Policy]
    others: Sequence[Sequence[set[Value]]]

    def of_first(self, wanted: Sequence[set[Value]]) -> Sequence[int]:
        """Return which policies share a value with the row at the first link, in the order of the second query."""
        if not wanted:
            return range(len(self.policies))
        return sorted({place for value in wanted[0] for place in self.by_value.get(value, ())})

    def are_met(self, place: int, wanted: Sequence[set[Value]]) -> bool:
        """Return whether that policy shares a value with the row at the other links, too."""
        return not wanted or all(theirs & ours for theirs, ours in zip(wanted[1:], self.others[place], strict=True))


def _matches(second: Second, wanted: Sequence[Sequence[set[Value]]], select: Select) -> _Matches:
    meter = Meter(LIMITS.joined, "policies in a second query", ADVICE)
    if not second.links:
        return _Matches({}, _metered(select(second.query, None, ()), meter), ())
    first, *rest = second.links
    values = [value for _, value in dict.fromkeys(value for row in wanted for value in row[0])]
    policies = _metered(select(second.query, first.path, values), meter) if values else []
    by_value: dict[Value, list[int]] = {}
    for place, policy in enumerate(policies):
        for value in _at(policy, first.path, meter):
            by_value.setdefault(value, []).append(place)
    return _Matches(by_value, policies, [[_at(policy, link.path, meter) for link in rest] for policy in policies])


def _metered(policies: Iterable[Policy], meter: Meter) -> list[Policy]:
    found: list[Policy] = []
    for policy in policies:
        meter.charge(1)
        found.append(policy)
    return found


def _at(policy: Policy, path: Path, meter: Meter) -> set[Value]:
    """Return the values at a path of a policy, lists gone through on the way as in `where`."""
    ((kind, content),) = policy.items()
    return _charged(list(values_at(content, path.within(kind).names)), meter)


def _met(row: Row, policy: Policy, second: Second) -> Row:
    ((kind, content),) = policy.items()
    if not second.merge:
        return {**row, second.name or kind: content}
    (first, own), *others = row.items()
    merged = {**content, **own} if isinstance(own, Mapping) and isinstance(content, Mapping) else own
    return {first: merged, **dict(others)}
