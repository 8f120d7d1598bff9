"""Whole queries with second queries, root policies and hierarchies, over a list of policies; and their grammar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.core.errors import UsageError
from ledger.query import parse_clauses, parse_query
from ledger.query.answer import Result, answer
from ledger.query.hierarchy import Roots
from tests.support.query_table import Listed

if TYPE_CHECKING:
    from ledger.query.hierarchy import Policy

POLICIES: list[Policy] = [
    {"operator": {"id": "o1", "name": "nova", "cluster": "c1", "port": 7}},
    {"operator": {"id": "o2", "name": "bell", "cluster": "c2", "port": 5}},
    {"operator": {"id": "o3", "name": "lone", "cluster": "gone", "port": 6}},
    {"cluster": {"id": "c1", "name": "first", "company": "acme"}},
    {"cluster": {"id": "c2", "name": "second", "company": "acme", "parent": "c1"}},
    {"bucket": {"id": "b1", "name": "pail", "operator": "nova"}},
    {"uns": {"id": "u1", "name": "plant"}},
    {"uns": {"id": "u2", "name": "hall", "parent": "u1"}},
    {"uns": {"id": "u3", "name": "press", "parent": "u2"}},
]


CLUSTER = "(get cluster where id = [operator][cluster])"
BUCKET = "bucket join (get operator where name = [bucket][operator])"


def asked(text: str) -> Result:
    return answer(parse_query(text), Listed(POLICIES))


def shown(text: str) -> object:
    found = asked(text)
    assert found.brought is not None
    return found.brought.as_json()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("operator with " + CLUSTER + " bring [operator][name] > [cluster][name]", ["nova>first", "bell>second"]),
        ("operator with (get cluster where id == [*][cluster]) bring [operator][name] > [cluster][name]", ["nova>first", "bell>second"]),
        ("operator inner with " + CLUSTER + " bring [name]", ["nova", "bell"]),
        ("operator left with " + CLUSTER + " bring [name] [cluster][name]", ["novafirst", "bellsecond", "lone"]),
        ("operator JOIN (blockchain get cluster where [id] = [operator][cluster])" + " bring.json [operator][name] [cluster][name]",
         [{"operator.name": "nova", "cluster.name": "first"}, {"operator.name": "bell", "cluster.name": "second"}]),
        ("operator join (get cluster where [cluster][id] = [operator][cluster] and name = second) bring [name]", ["bell"]),
        ("operator where port < 7 join (get cluster where id = [operator][cluster]) bring [name]", ["bell"]),
        ("bucket where name = pail merge (get operator where name = [bucket][operator]) bring.json [bucket][name] [bucket][port]",
         [{"name": "pail", "port": 7}]),
        ("operator merge (get cluster where id = [operator][cluster]) bring.list [company]", ["acme", "acme"]),
        ("operator merge (get cluster where id = [operator][cluster]) bring.count", 3),
        ("operator inner merge (get cluster where id = [operator][cluster]) bring.count", 2),
        (BUCKET + " join (get cluster where id = [operator][cluster]) bring [bucket][name] [cluster][name]",
         ["pailfirst"]),
        ("cluster join (get cluster where parent = [cluster][id]) as child bring [cluster][name] / [child][name]", ["first/second"]),
        ("all join (get cluster where id = [operator][cluster]) as home bring [home][name]",
         ["first", "second"]),
        ("operator join (get all where id = [operator][cluster]) as home bring [home][name]", ["first", "second"]),
        ("bucket join (get (query, operator) where name = [bucket][operator]) bring [operator][name]", ["nova"]),
        ("operator join (get cluster where id = [operator][cluster]) order by port limit 1 bring [name]", ["bell"]),
        ("operator join (get cluster) bring.count", 6),
        ("operator left join (get cluster where id = [operator][cluster]) limit 1", None),
        ("uns where id = u1 bring.children [name]", ["hall"]),
        ("uns where id = u1 bring.children(*) [name]", ["hall", "press"]),
        ("uns where id = u1 bring.children(2).table.sort(0) [name]", [{"name": "hall"}, {"name": "press"}]),
        ("uns where id = u3 bring.parents.list [parents]", [["u2"]]),
        ("uns where id = u3 bring.parents(*).list [parents]", [["u2", "u1"]]),
        ("uns where id = u3 bring.paths.list [paths][][][name]", [["plant", "hall", "press"]]),
        ("uns where id = u3 bring.paths.list [paths][0][name]", [["plant", "hall", "press"]]),
        ("uns bring.tree [name]", [{"name": "plant", "children": [{"name": "hall", "children": [{"name": "press", "children": []}]}]}]),
        ("cluster bring.tree(1).json [id]", [{"id": "c1", "children": [{"id": "c2", "children": []}]}]),
        ("root policies bring [name]", ["plant"]),
        ("root policies include cluster uns bring.sort [name]", ["first", "plant"]),
        ("root policies include cluster, uns exclude uns bring [name]", ["first"]),
        ("root policies exclude uns bring.count", 0),
        ("root policies where name startswith p bring.children [name]", ["hall"]),
        ("root policies include cluster uns order by name desc limit 1 bring [name]", ["plant"]),
        ("* bring.unique.sort []", ["bucket", "cluster", "operator", "uns"]),
        ("(operator, bucket) bring.count", 4),
    ],
)  # fmt: skip
def test_query(text: str, expected: object) -> None:
    if expected is None:
        assert asked(text).rows == ({**POLICIES[0], **POLICIES[3]},)
    else:
        assert shown(text) == expected


@pytest.mark.parametrize(
    ("text", "column", "what"),
    [
        ("operator join", 10, "expected and, or, another part"),
        ("operator inner", 10, "another part of the query"),
        ("operator left where a = 1", 10, "another part of the query"),
        ("operator join (cluster)", 16, "expected get"),
        ("operator join (get cluster where id = [operator][cluster]", 58, "expected )"),
        ("operator join (get cluster where id = [bucket][cluster])", 39, "expected a value of the row before: [operator]"),
        ("operator join (get cluster where id = [cluster])", 39, "expected a value of the row before"),
        ("operator join (get cluster where id = [])", 39, "expected a value of the row before"),
        ("operator join (get cluster where [operator][cluster] = id)", 34, "a value of the row before stands right of ="),
        ("operator join (get cluster where id > [operator][cluster])", 39, "expected a value"),
        ("operator join (get cluster where id contains [operator][cluster])", 46, "expected a value"),
        ("operator join (get cluster where id != [operator][cluster])", 40, "expected a value"),
        ("operator join (get cluster where not id = [operator][cluster])", 43, "under no or and no not"),
        ("operator join (get cluster where a = 1 or id = [operator][cluster])", 48, "under no or and no not"),
        ("operator join (get cluster where (a = 1 or b = 2) and (c = 3 or id = [operator][cluster]))", 70, "under no or and no not"),
        ("operator join (get operator where name = [operator][name])", 59, "expected as, and a name"),
        ("operator join (get all where name = [operator][name])", 54, "expected as, and a name"),
        ("all join (get operator where name = [cluster][name])", 53, "expected as, and a name"),
        ("(operator, cluster) join (get (bucket, cluster))", 49, "expected as, and a name"),
        ("operator join (get operator where name = [*][name]) as operator", 56, "a name that no other policy of the row has"),
        ("operator join (get operator where name = [*][name]) as parents", 56, "a name that no other policy of the row has"),
        ("operator join (get cluster limit 1)", 28, "expected )"),
        ("operator join (get cluster bring [name])", 28, "expected )"),
        ("operator join (get cluster join (get bucket))", 28, "expected )"),
        ("operator where a = 1 join (get cluster) where b = 1", 41, "another part of the query"),
        ("operator join (get cluster) bring.children", 35, "goes with no second query"),
        ("operator " + " ".join(f"join (get cluster) as x{n}" for n in range(5)), 110,
         "at most 4 second queries"),
        ("operator where id = [cluster][id]", 21, "expected a value"),
        ("root policies include", 22, "expected a kind"),
        ("root policies include where", 23, "expected a kind"),
        ("root policies sometimes", 15, "another part of the query"),
        ("operator bring.json [name] limit 5", 28, "limit stands before bring"),
    ],
)  # fmt: skip
def test_refused_with_the_column(text: str, column: int, what: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_query(text)
    assert what in refused.value.message
    assert refused.value.context["column"] == column


def test_root_is_a_kind_unless_policies_follow() -> None:
    assert parse_query("root").kinds == ("root",)
    assert parse_query("root where policies = 1").kinds == ("root",)
    assert parse_clauses("policies = 1", "root").kinds == ("root",)
    assert (parse_clauses("policies exclude uns", "root").kinds, parse_clauses("policies exclude uns", "root").roots) == (
        (),
        Roots((), ("uns",)),
    )


def test_a_clause_without_where_may_begin_with_bring_or_a_second_query() -> None:
    assert parse_clauses("bring [name]", "operator").bring is not None
    assert parse_clauses("join (get cluster)", "operator").seconds
    assert parse_clauses("left join (get cluster)", "operator").seconds
    for clause in ("left = 1 and join = 2", "inner contains join", "merge > 1", "join in (left, inner)"):
        assert parse_clauses(clause, "operator") == parse_clauses(f"where {clause}", "operator")
    assert parse_clauses("bring = 1 and join = 2".replace("bring", "['bring']"), "operator").bring is None


def test_a_second_query_is_asked_once_for_all_rows() -> None:
    source = Listed([*POLICIES, *({"operator": {"id": f"x{number}", "cluster": f"c{number}"}} for number in range(900))])
    answer(parse_query("operator join (get cluster where id = [operator][cluster])"), source)
    assert source.asked == 2


def test_many_thousand_values_are_not_asked_for_one_by_one() -> None:
    policies: list[Policy] = [{"operator": {"id": f"o{number}", "cluster": f"c{number}"}} for number in range(10_000)]
    policies += [{"cluster": {"id": f"c{number}"}} for number in range(10_000)]
    source = Listed(policies)
    assert len(answer(parse_query("operator join (get cluster where id = [operator][cluster])"), source).rows) == 10_000
    assert source.asked == 11


def test_what_stands_below_is_of_the_kinds_of_the_query_and_what_stands_above_of_any() -> None:
    mixed: list[Policy] = [{"uns": {"id": "a"}}, {"part": {"id": "b", "parent": "a"}}, {"uns": {"id": "c", "parent": "b"}}]
    for kinds, expected in (("uns", []), ("(uns, part)", ["b", "c"]), ("all", ["b", "c"]), ("(uns, other)", [])):
        brought = answer(parse_query(f"{kinds} where id = a bring.children(*).list [id]"), Listed(mixed)).brought
        assert brought is not None
        assert brought.as_json() == expected
    brought = answer(parse_query("uns where id = c bring.parents(*).list [parents]"), Listed(mixed)).brought
    assert brought is not None
    assert brought.as_json() == [["b", "a"]]


def test_levels_below_the_first_are_read_at_once() -> None:
    chain: list[Policy] = [{"uns": {"id": f"u{number}", "parent": f"u{number - 1}"}} for number in range(50)]
    source = Listed(chain)
    found = answer(parse_query("uns where id = u0 bring.children(*).count"), source)
    assert (found.brought and found.brought.as_json(), source.asked) == (49, 3)


def test_circles_are_part_of_the_result() -> None:
    circle: list[Policy] = [{"uns": {"id": one, "parent": up}} for one, up in ("ab", "ba")]
    found = answer(parse_query("uns bring.tree"), Listed(circle))
    assert [set(cycle) for cycle in found.cycles] == [{"a", "b"}]
