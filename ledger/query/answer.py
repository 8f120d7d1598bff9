"""A whole query, answered: policies, second queries, hierarchy, order and limit, and what is brought. Pure, over a `Source`.

A source knows conditions, order and limit of one query of policies (by index or by looking at all); everything that stands after that in
a query happens here, alike for every source.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from ledger.core.limits import LIMITS
from ledger.query.bring import Brought, bring
from ledger.query.evaluation import judge_of
from ledger.query.hierarchy import Relative, follow, relative_of, root_policies
from ledger.query.join import join
from ledger.query.meter import Meter
from ledger.query.sorting import sort_policies
from ledger.query.tree import MAX_VALUES, Among, And, HasValue, Path, Query

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.query.join import Policy, Row, Second
    from ledger.query.tree import Condition

ID = Path(("id",))
PARENT = Path(("parent",))
MANY_VALUES = 8 * MAX_VALUES  # beyond, a second query is read as a whole


class Source(Protocol):
    """Where policies come from, at one size of the ledger and one time."""

    def select(self, query: Query) -> Iterable[Policy]:
        """Return the policies of the query's kinds that meet its condition, in its order, at most its limit; nothing else of it counts."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """What a query leads to: `rows` (each one policy, unless second queries or a hierarchy added to it), or what was `brought` from them.

    `cycles` are the circles met in a hierarchy, each as the ids in it.
    """

    rows: tuple[Row, ...]
    brought: Brought | None = None
    cycles: tuple[tuple[str, ...], ...] = ()


class SourceKin:
    """Relatives out of a source: those below are of these kinds (none: of every kind), those above of any.

    The second level asked for reads all policies that have a parent, once: then every level is there.
    """

    def __init__(self, source: Source, kinds: tuple[str, ...] = ()) -> None:
        self._source = source
        self._kinds = kinds
        self._levels = 0
        self._below: dict[str, list[Relative]] | None = None

    def of_ids(self, ids: Collection[str]) -> list[Relative]:
        """Return the live policies of these ids."""
        return [relative_of(policy) for policy in _of_values(self._source, Query(), ID, tuple(ids))]

    def below(self, ids: Collection[str]) -> list[Relative]:
        """Return the live policies that name one of these ids as a parent."""
        self._levels += 1
        if self._below is None and self._levels == 1 and len(ids) <= MAX_VALUES:
            return [relative_of(policy) for policy in _of_values(self._source, Query(self._kinds), PARENT, tuple(ids))]
        if self._below is None:
            self._below = _by_parent(self.with_parent())
        below = self._below
        found = {one.id: one for up in ids for one in below.get(up, ())}
        return [found[one] for one in sorted(found)]

    def with_parent(self) -> Iterator[Relative]:
        """Return the live policies that have a parent."""
        return map(relative_of, self._source.select(Query(self._kinds, HasValue(PARENT))))


def _by_parent(found: Iterable[Relative]) -> dict[str, list[Relative]]:
    meter = Meter(LIMITS.relatives, "relatives", "Name the kinds, as in get uns, or ask for one level.")
    below: dict[str, list[Relative]] = {}
    for one in found:
        meter.charge(1 + len(one.parents))
        for up in one.parents:
            below.setdefault(up, []).append(one)
    return below


def answer(query: Query, source: Source, *, now: int = 0) -> Result:
    """Answer a query at a time (Unix seconds). Raises `TooCostlyError` beyond the limits of `bring`, joins and hierarchies."""
    rows = _rows(query, source, now)
    if query.bring is None:
        return Result(tuple(rows))
    if query.bring.relation is None:
        return Result((), bring(rows, query.bring))
    policies = [{kind: content} for row in rows for kind, content in row.items() if isinstance(content, Mapping)]
    found = follow(policies, query.bring.relation, SourceKin(source, query.kinds))
    return Result((), bring(found.rows, query.bring), tuple(found.cycles))


def _rows(query: Query, source: Source, now: int) -> Iterable[Row]:
    if query.roots is None and not query.seconds:
        return source.select(query)
    if query.roots is None:
        rows: Iterable[Row] = source.select(replace(query, limit=None))
    else:
        judge = judge_of(query.where, now=now)
        found = root_policies(SourceKin(source), query.roots)
        rows = sort_policies((policy for policy in found if judge(*next(iter(policy.items())))), query.order, lambda policy: policy)
    for second in query.seconds:
        rows = join(rows, second, lambda inner, path, values: _of_values(source, inner, path, values))
    return rows if query.limit is None else islice(rows, query.limit)


def looked_up(second: Second) -> Condition:
    """Return the condition under which a second query is asked for the values of a row."""
    return _both(second.query.where, Among(second.links[0].path, ("",))) if second.links else second.query.where


def _of_values(source: Source, query: Query, path: Path | None, values: Sequence[object]) -> Iterator[Policy]:
    """Yield what a query selects that has one of the values at a path, by id; of very many values, without looking at the values."""
    if path is None or len(values) > MANY_VALUES:
        yield from sorted(source.select(query), key=_id_of)
        return
    found: dict[str, Policy] = {}
    for start in range(0, len(values), MAX_VALUES):
        among = Among(path, tuple(one for one in values[start : start + MAX_VALUES] if isinstance(one, str | int | float)))
        for policy in source.select(replace(query, where=_both(query.where, among))):
            found.setdefault(_id_of(policy), policy)
    yield from (found[one] for one in sorted(found))


def _id_of(policy: Policy) -> str:
    return relative_of(policy).id


def _both(condition: Condition, term: Among) -> Condition:
    terms = condition.terms if isinstance(condition, And) else (condition,)
    return And((*terms, term)) if terms else term
