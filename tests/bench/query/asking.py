"""What queries take on a store, each beside the plain scan of it: in turns, in milliseconds of CPU, the least of the rounds."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.engine.queries import search
from ledger.query import parse_query
from ledger.query.answer import answer
from tests.bench.figures import Bound, Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ledger.engine.queries import Search
    from ledger.engine.store import Store
    from ledger.query.answer import Result
    from tests.bench.figures import Report

SCAN = "full scan, no index"
ROUNDS = 7
NOW = 1_795_000_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, how many rows or values it leads to, what it may take in milliseconds, and how often it is asked at a time."""

    name: str
    query: str
    leads_to: int
    most: float
    times: int = 1


def queries(count: int) -> Sequence[Asked]:
    """Return the queries on a store of so many policies; the first is the baseline."""
    places, operators = count // 10, count - count // 10 - 100
    return (
        Asked(SCAN, "all where nothing = here", 0, 600),
        Asked("full scan, text in lists", "operator where tags = nowhere", 0, 600),
        Asked("full scan, case folded", "operator where company = 'ACME' ci", 0, 600),
        Asked("get by an indexed attribute", "operator where name = 'operator 777'", 1, 1, times=100),
        Asked("100 rows of a numeric range, indexed", "operator where port >= 31000 and port < 31100", 100, 5, times=10),
        Asked("everything below a root, 6 levels", "uns where id = u0 bring.children(*)", places - 1, 100),
        Asked("the same as a tree", "uns where id = u0 bring.tree", 1, 100),
        Asked("the same through every kind", "all where id = u0 bring.children(*)", places - 1, 200),
        Asked("all ids above each place", "uns bring.parents(*)", places, 200),
        Asked("one level of children", "uns where id = u0 bring.children", 6, 50),
        Asked("root policies", "root policies bring [name]", 1, 600),
        Asked(
            "1,000 rows with a second query", "operator where port < 31000 with (get cluster where id = [operator][cluster])", 1_000, 100
        ),
        Asked("min over a kind", "operator bring.min [port]", 1, 1_200),
        Asked("unique, sorted, over a kind", "operator bring.unique.sort [country]", min(2, operators), 1_200),
    )


def measure_queries(report: Report, store: Store, count: int) -> None:
    """Add the figures. AssertionError when a query leads elsewhere than it should."""
    asked = queries(count)
    taken: dict[str, list[float]] = {one.name: [] for one in asked}

    async def work() -> None:
        for _ in range(ROUNDS):
            for one in asked:
                taken[one.name].append(await _milliseconds(store, one))

    asyncio.run(work())
    for one in asked:
        least, tail = min(taken[one.name]), max(taken[one.name]) / statistics.median(taken[one.name])
        bound = Bound(most=one.most, of_value=True)
        report.add(Figure(one.name, least, "ms", None if one.name == SCAN else SCAN, f"`{one.query}`", bound, tail))


async def _milliseconds(store: Store, asked: Asked) -> float:
    """Return the CPU of one answer, from text to policies."""
    work: Callable[[Search], Result] = lambda found: answer(parse_query(asked.query), found, now=NOW)  # noqa: E731 - it is asked again and again
    begin = time.process_time()
    for _ in range(asked.times):
        result = await search(store, work, now=NOW)
        assert len(result.rows if result.brought is None else result.brought.values) == asked.leads_to, asked
    return (time.process_time() - begin) / asked.times * 1_000
