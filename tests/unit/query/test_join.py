"""Rows beside what a second query finds for their values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.core.errors import TooCostlyError
from ledger.core.limits import LIMITS
from ledger.query.cells import Place
from ledger.query.join import Link, Second, join
from ledger.query.tree import Path, Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.query.join import Policy, Row

OPERATORS: list[Policy] = [
    {"operator": {"id": "o1", "name": "nova", "cluster": "c1", "port": 1}},
    {"operator": {"id": "o2", "name": "bell", "cluster": "c2", "port": 2}},
    {"operator": {"id": "o3", "name": "none", "cluster": "c9"}},
    {"operator": {"id": "o4", "name": "many", "cluster": ["c1", "c2", "c1"], "port": True}},
    {"operator": {"id": "o5", "name": "without"}},
]
MEMBERS = [{"name": "nova"}, {"name": "many"}]
CLUSTERS: list[Policy] = [
    {"cluster": {"id": "c1", "name": "first", "size": 1, "members": MEMBERS}},
    {"cluster": {"id": "c2", "name": "second", "size": 1.0, "members": [{"name": "bell"}]}},
]


class Source:
    """What the second query selects from: all of it, whatever the values; it keeps what it was asked."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self.policies = policies
        self.asked: list[list[object]] = []

    def select(self, query: Query, path: Path | None, values: Sequence[object]) -> Sequence[Policy]:
        self.asked.append(list(values))
        return self.policies


def met(second: Second, rows: Sequence[Row] = OPERATORS, policies: Sequence[Policy] = CLUSTERS) -> list[str]:
    found = join(rows, second, Source(policies).select)
    return [" ".join(str(content["name"]) for content in row.values() if isinstance(content, dict)) for row in found]


BY_ID = Link(Path(("id",)), Place(("operator", "cluster")))
BY_NAME = Link(Path(("members", "name")), Place(("operator", "name")))
QUERY = Query(("cluster",))


def test_rows_without_a_match_are_left_out() -> None:
    assert met(Second(QUERY, (BY_ID,))) == ["nova first", "bell second", "many first", "many second"]


def test_left_keeps_rows_without_a_match() -> None:
    assert met(Second(QUERY, (BY_ID,), left=True)) == ["nova first", "bell second", "none", "many first", "many second", "without"]


def test_every_link_has_to_be_met() -> None:
    assert met(Second(QUERY, (BY_ID, BY_NAME))) == ["nova first", "bell second", "many first"]
    assert met(Second(QUERY, (BY_NAME, BY_ID))) == ["nova first", "bell second", "many first"]


def test_numbers_meet_numbers_and_no_truth_value() -> None:
    by_size = Link(Path(("size",)), Place(("*", "port")))
    assert met(Second(QUERY, (by_size,))) == ["nova first", "nova second"]


def test_merge_puts_the_match_into_the_policy_whose_own_attributes_win() -> None:
    rows = list(join(OPERATORS[:1], Second(QUERY, (BY_ID,), merge=True), Source(CLUSTERS).select))
    assert rows == [{"operator": {"id": "o1", "name": "nova", "size": 1, "members": MEMBERS, "cluster": "c1", "port": 1}}]
    assert OPERATORS[0] == {"operator": {"id": "o1", "name": "nova", "cluster": "c1", "port": 1}}


def test_a_name_keeps_policies_of_one_kind_apart() -> None:
    by_cluster = Link(Path(("cluster",)), Place(("operator", "cluster")))
    found = list(join(OPERATORS[:1], Second(Query(("operator",)), (by_cluster,), name="other"), Source(OPERATORS).select))
    assert found == [{**OPERATORS[0], "other": OPERATORS[0]["operator"]}, {**OPERATORS[0], "other": OPERATORS[3]["operator"]}]


def test_without_a_link_every_row_meets_every_policy_and_is_asked_once() -> None:
    source = Source(CLUSTERS)
    assert len(list(join(OPERATORS, Second(QUERY), source.select))) == len(OPERATORS) * len(CLUSTERS)
    assert source.asked == [[]]
    assert met(Second(QUERY, left=True), policies=[]) == ["nova", "bell", "none", "many", "without"]


def test_a_thousand_rows_cost_one_look_up() -> None:
    rows: list[Row] = [{"operator": {"name": "r", "cluster": f"c{number % 3}"}} for number in range(2_500)]
    source = Source(CLUSTERS)
    assert len(list(join(rows, Second(QUERY, (BY_ID,)), source.select))) == 1_666
    assert [sorted(map(str, values)) for values in source.asked] == [["c0", "c1", "c2"]] * 3


def test_rows_without_any_value_ask_nothing() -> None:
    source = Source(CLUSTERS)
    assert list(join(OPERATORS[4:], Second(QUERY, (BY_ID,)), source.select)) == []
    assert source.asked == []


def test_the_work_is_limited() -> None:
    many: list[Policy] = [{"cluster": {"id": "c1", "name": str(number)}} for number in range(1_000)]
    rows = OPERATORS[:1] * (LIMITS.joined // 1_001)
    assert sum(1 for _ in join(rows, Second(QUERY, (BY_ID,)), Source(many).select)) == len(rows) * 1_000
    with pytest.raises(TooCostlyError, match="pairs"):
        list(join([*rows, OPERATORS[0]], Second(QUERY, (BY_ID,)), Source(many).select))
    with pytest.raises(TooCostlyError, match="pairs"):
        list(join([*rows, OPERATORS[0]], Second(QUERY, (BY_ID, BY_NAME)), Source(many).select))
    long: list[Policy] = [{"operator": {"cluster": [f"c{number}" for number in range(LIMITS.joined // 10)]}}] * 11
    with pytest.raises(TooCostlyError, match="pairs"):
        list(join(long, Second(QUERY, (BY_ID,)), Source(CLUSTERS).select))
    with pytest.raises(TooCostlyError, match="policies in a second query"):
        list(join(rows, Second(QUERY), Source(CLUSTERS * LIMITS.joined).select))
