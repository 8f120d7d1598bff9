"""The conformance table of the query language: policies, and queries with the answers that every way to ask must give.

`tests/conformance/query/policies.jsonl` has the policies in the order in which they are published. Each other file there has a case a line:

    query   the text, without `get`
    trap    what it is about, where another program goes wrong (optional)
    json    what `bring` gives as JSON      text    the same as text, where text is its form
    rows    the policies found, each with what stands beside it: a query without `bring`
    ids     the ids of those policies alone, in order
    cycles  the circles met, each as ids
    error   the column of the refusal       says    its words
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ledger.core.errors import UsageError
from ledger.query import judge_of, parse_query
from ledger.query.answer import answer
from ledger.query.sorting import sort_policies
from tests.support.house import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.core.canonical import JSON
    from ledger.query import Query
    from ledger.query.bring import Brought, Row

Case = dict[str, Any]
FOLDER = ROOT / "tests" / "conformance" / "query"
POLICIES = "policies.jsonl"
ABOUT = {"query", "trap"}


def policies() -> list[dict[str, JSON]]:
    """Return the policies of the table, to be published."""
    return _lines(POLICIES)


def cases() -> list[Case]:
    """Return all cases, file by file."""
    return [case for path in sorted(FOLDER.glob("*.jsonl")) if path.name != POLICIES for case in _lines(path.name)]


def _lines(name: str) -> list[Any]:
    return [json.loads(line) for line in (FOLDER / name).read_text().splitlines()]


class Listed:
    """A source over a list of policies, in the order of the list, by the reference alone."""

    def __init__(self, found: Sequence[Row]) -> None:
        self.policies = found
        self.asked = 0

    def select(self, query: Query) -> list[Row]:
        self.asked += 1
        judge = judge_of(query.where)
        meant = (one for one in self.policies if not query.kinds or next(iter(one)) in query.kinds)
        return sort_policies((one for one in meant if judge(*next(iter(one.items())))), query.order, lambda policy: policy)[: query.limit]


def published() -> Listed:
    """Return the policies as they are shown once they are in force, for the reference."""
    return Listed(
        [{kind: {**content, "ledger": "global"} for kind, content in policy.items() if isinstance(content, dict)} for policy in policies()]
    )


def by_reference(query: str) -> Case:
    """Answer by the reference, in the form of a case."""
    try:
        found = answer(parse_query(query), published())
    except UsageError as error:
        return refused(error)
    return case_of(found.rows, found.brought, found.cycles)


def case_of(rows: Sequence[Row], brought: Brought | None, cycles: Sequence[Sequence[str]] = ()) -> Case:
    """Return an answer in the form of a case."""
    found: Case = {"rows": list(rows)} if brought is None else {"json": brought.as_json()}
    if brought is not None and brought.is_text and not brought.single:
        found["text"] = brought.as_text()
    return {**found, "cycles": [list(cycle) for cycle in cycles]} if cycles else found


def refused(error: UsageError) -> Case:
    """Return a refusal in the form of a case."""
    return {"error": error.context.get("column"), "says": error.message.partition(": ")[2]}


def expected(case: Case) -> Case:
    """Return what the answer to a case must be."""
    return {name: value for name, value in case.items() if name not in ABOUT}


def compared(case: Case, found: Case) -> Case:
    """Return an answer as the case has it: by ids alone where the case says no more."""
    if "ids" not in case or "rows" not in found:
        return found
    return {"ids": [content["id"] for row in found["rows"] for content in row.values()]}
