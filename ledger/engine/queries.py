"""Queries on a store: planned over its indexes, compiled to SQL, run in a reader thread with a limit of what they may cost.

    await search(store, lambda asked: asked.select(parse_query("operator where port > 50")), now=now)

What an index answers runs where other reads run. What must look at every policy runs in threads of its own, so that nobody waits for
it, and ends when it is cancelled or has cost too much.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self, TypeVar

import apsw
import orjson

from ledger.core.errors import TooCostlyError
from ledger.core.limits import LIMITS
from ledger.engine.indexes import indexes_of
from ledger.engine.tables import PLACES
from ledger.query.plan import Keyed, Named, plan_of
from ledger.query.sorting import sort_policies
from ledger.query.sql import Compiled, compile_condition
from ledger.query.tree import EVERYTHING, Path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ledger.core.canonical import JSONObject
    from ledger.engine.snapshot import Snapshot
    from ledger.query.plan import Access, Plan, Span
    from ledger.query.tree import Condition, Query

T = TypeVar("T")

ROUGHLY: Final = 1_000  # how far a plan is counted when there is a choice
_TICK: Final = 20_000  # steps between two looks at the budget: about a millisecond
_QUERY_STEPS: Final = 2_000  # what a query costs before it looks at anything
_CALL_STEPS: Final = 200  # what asking the reference costs, in steps


@dataclass(frozen=True, slots=True)
class Found:
    """A live policy that a query found: `place` is that of its version (`tables.PLACES`), `body` canonical JSON."""

    place: int
    kind: str
    id: str
    iat: str
    body: str

    def policy(self) -> JSONObject:
        """Return the policy as it is shown (FORMATS 3)."""
        body = orjson.loads(self.body)
        return {self.kind: {**body, "id": self.id, "date": body.get("date", self.iat), "ledger": "global"}}


class Budget:
    """What a query may still cost, in steps of SQLite's machine, and whether anybody still waits for it."""

    def __init__(self, steps: int = LIMITS.query_steps) -> None:
        self.interval = max(1, min(_TICK, steps))
        self._steps = steps
        self._cancelled = False

    def cancel(self) -> None:
        """Nobody waits any more. From any thread."""
        self._cancelled = True

    @property
    def is_spent(self) -> bool:
        """Tell whether the query must end."""
        return self._cancelled or self._steps < 0

    def charge(self, steps: int) -> None:
        """Count work that SQLite does not."""
        self._steps -= steps

    def tick(self) -> bool:
        """Count the `interval` steps since the last look; return whether the query must end."""
        self._steps -= self.interval
        return self.is_spent


class _NeedsScanError(Exception):
    """The query must look at every policy, which is not for the threads of short reads."""


class Search:
    """Answers queries on one snapshot at the time `now` (Unix seconds); a `query.answer.Source`."""

    def __init__(self, snapshot: Snapshot, now: int, budget: Budget, *, may_scan: bool = True) -> None:
        self.snapshot = snapshot
        self.now = now
        self._connection = snapshot.connection
        self._budget = budget
        self._may_scan = may_scan
        self._size: int | None = None

    def as_of(self, size: int) -> Self:
        """Answer as of the first `size` entries from now on."""
        # What stands at the end is found faster.
        self._size = None if size == self.snapshot.head().size else size
        return self

    def select(self, query: Query) -> list[JSONObject]:
        """See Source."""
        if not query.order:
            return [found.policy() for found in self.find(query.kinds, query.where, most=-1 if query.limit is None else query.limit)]
        policies = [found.policy() for found in self.find(query.kinds, query.where)]
        return sort_policies(policies, query.order, lambda policy: policy)[: query.limit]

    def find(self, kinds: Sequence[str], condition: Condition = EVERYTHING, *, after: int = -1, most: int = -1) -> list[Found]:
        """Return live policies of these kinds (none: of every kind) that meet the condition, in the order of their last change.

        From after the place `after` on, at most `most` of them. Raises TooCostlyError when that costs more than the budget.
        """
        with self._limited():
            plan = self.plan(kinds, condition)
            if plan is None and not self._may_scan:
                raise _NeedsScanError
            compiled = self._compiled(kinds, condition, plan)
            sql = f"{compiled.sql} AND place>{compiled.bind(after)} ORDER BY place LIMIT {compiled.bind(most)}"
            return [Found(*row) for row in self._connection.execute(sql, compiled.bindings)]

    def plan(self, kinds: Sequence[str], condition: Condition) -> Plan | None:
        """Return how the policies would be found; None: by looking at every one."""
        return plan_of(condition, kinds, indexes_of(self._connection), self.now, self._weigh)

    def explain(self, kinds: Sequence[str], condition: Condition) -> dict[str, object]:
        """Return the facts of the plan: what is looked at, roughly how much, and what SQLite does with it."""
        with self._limited():
            plan = self.plan(kinds, condition)
            compiled = self._compiled(kinds, condition, plan)
            steps = [
                str(row[3]) for row in self._connection.execute(f"EXPLAIN QUERY PLAN {compiled.sql} ORDER BY place", compiled.bindings)
            ]
            return {
                "kinds": list(kinds),
                "scan": plan is None,
                "access": [_described(access) for access in plan or ()],
                "candidates": None if plan is None else self._weigh(plan),
                "sqlite": steps,
            }

    # -- to SQL --------------------------------------------------------------------------------------------------

    def _compiled(self, kinds: Sequence[str], condition: Condition, plan: Plan | None) -> Compiled:
        compiled = compile_condition(condition, now=self.now)
        self._teach(compiled)
        no_index = "" if plan is None else "+"  # or SQLite might walk all policies of the kind
        parts = ["live"]
        if plan is not None:
            parts.append(f"place IN ({_candidates(compiled, plan, self._size)})")
        if kinds:
            parts.append(f"{no_index}kind IN ({','.join(map(compiled.bind, kinds))})")
        if self._size is None:
            parts.append(f"{no_index}to_index IS NULL")
        else:
            at = compiled.bind(self._size)
            parts.append(f"from_index<{at} AND (to_index IS NULL OR to_index>={at})")
        compiled.sql = f"SELECT place, kind, id, iat, body FROM version WHERE {' AND '.join(parts)} AND {compiled.sql}"  # noqa: S608 - all ours
        return compiled

    def _teach(self, compiled: Compiled) -> None:
        """Make the functions known that the condition asks the reference with."""

        def holds(number: int, body: str) -> bool:
            self._budget.charge(_CALL_STEPS)
            return compiled.holds[number](orjson.loads(body))

        def test(number: int, value: str) -> bool:
            self._budget.charge(_CALL_STEPS)
            return compiled.tests[number](value)

        if compiled.holds:
            self._connection.create_scalar_function("query_holds", holds, 2)  # type: ignore[arg-type]  # SQLite gives what it was given
        if compiled.tests:
            self._connection.create_scalar_function("query_test", test, 2)  # type: ignore[arg-type]  # SQLite gives what it was given

    def _weigh(self, plan: Plan) -> int:
        compiled = Compiled()
        sql = f"SELECT count(*) FROM (SELECT 1 FROM ({_candidates(compiled, plan, self._size)}) LIMIT {compiled.bind(ROUGHLY)})"  # noqa: S608 - all ours
        ((count,),) = self._connection.execute(sql, compiled.bindings)
        return int(count)

    @contextmanager
    def _limited(self) -> Iterator[None]:
        # A short query may end before the first tick; of very many, each counts.
        self._budget.charge(_QUERY_STEPS)
        if self._budget.is_spent:
            raise _too_costly()
        self._connection.set_progress_handler(self._budget.tick, self._budget.interval)
        try:
            yield
        except apsw.InterruptError as error:
            raise _too_costly() from error
        finally:
            self._connection.set_progress_handler(None)


def _too_costly() -> TooCostlyError:
    return TooCostlyError("the query costs more than it may: it looks at too many policies, or at each with too many conditions")


def _candidates(compiled: Compiled, plan: Plan, size: int | None) -> str:
    """Return the query for the places that a plan names."""
    parts: list[str] = []
    for access in plan:
        if isinstance(access, Named):
            wanted = compiled.bind(orjson.dumps(access.ids).decode())
            before = "" if size is None else f" AND place<{compiled.bind(size * PLACES)}"
            last = f"SELECT max(place) FROM version WHERE id=wanted.value{before}"  # noqa: S608 - all ours
            parts.append(f"SELECT ({last}) FROM json_each({wanted}) AS wanted")  # noqa: S608 - all ours
        else:
            parts += _keyed(compiled, access, "ended=0" if size is None else "ended IN (0,1)")
    return " UNION ALL ".join(parts) or "SELECT NULL"


def _keyed(compiled: Compiled, access: Keyed, ended: str) -> Iterator[str]:
    start = f"SELECT place FROM attribute_key WHERE number={compiled.bind(access.index.number)} AND {ended} AND key"  # noqa: S608 - all ours
    points = [span.low for span in access.spans if span.is_one]
    if points:
        yield f"{start} IN ({','.join(map(compiled.bind, points))})"
    for span in access.spans:
        if not span.is_one:
            low, high = compiled.bind(span.low), compiled.bind(span.high)
            yield f"{start}{'>' if span.over else '>='}{low} AND key{'<' if span.under else '<='}{high}"


def _described(access: Access) -> dict[str, object]:
    if isinstance(access, Named):
        return {"by": "id", "ids": len(access.ids)}
    spans = [_span_text(span) for span in access.spans[:8]]
    return {"by": "index", "kind": access.index.kind, "attribute": str(Path(access.index.names)), "keys": spans}


def _span_text(span: Span) -> str:
    low, high = (ascii(key) for key in (span.low, span.high))
    return low if span.is_one else f"{low} <{'' if span.over else '='} key <{'' if span.under else '='} {high}"


class Searched(Protocol):
    """The reads of a store that queries take (`Store` has them)."""

    async def read(self, work: Callable[[Snapshot], T]) -> T:
        """Run short work on one snapshot."""
        ...

    async def search(self, work: Callable[[Snapshot], T]) -> T:
        """Run long work on one snapshot."""
        ...


async def search(store: Searched, work: Callable[[Search], T], *, now: int, steps: int = LIMITS.query_steps) -> T:
    """Run `work` on one snapshot of the store, off the event loop; twice, if it turns out to need every policy.

    Raises what `work` raises, and TooCostlyError when its queries take more than `steps` together. Cancelling ends them soon.
    """
    budget = Budget(steps)
    try:
        try:
            return await store.read(lambda snapshot: work(Search(snapshot, now, budget, may_scan=False)))
        except _NeedsScanError:
            return await store.search(lambda snapshot: work(Search(snapshot, now, budget)))
    except asyncio.CancelledError:
        budget.cancel()
        raise
