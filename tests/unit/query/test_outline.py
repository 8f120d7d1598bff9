"""What follows the condition of a query, in words."""

from __future__ import annotations

import pytest

from ledger.query import parse_query
from ledger.query.outline import outline


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("k", []),
        ("k where a = 1 order by a desc, b limit 2", ["orders by a desc, b", "keeps the first 2"]),
        ("root policies bring [name]", ["keeps policies that others name as parent and that name none", "brings text of [name]"]),
        ("k bring.json", ["brings json of whole policies"]),
        ("k bring.ip_port", ["brings ip_port of address and port"]),
        ("k bring.count.unique [a]", ["keeps each row once", "brings count of [a]"]),
        (
            "k bring.first [a][][b(prefix(2))] : [c]:[d][0]",
            ["keeps the earliest by date", "brings text of [a][][b(prefix(2))], [c], else [d][0]"],
        ),
        ("k bring.recent.table.sort(1,0) [a] [b]", ["keeps the latest by date", "sorts by b, a", "brings table of [a], [b]"]),
        ("k bring.sort [a] [b]", ["sorts by a, b", "brings text of [a], [b]"]),
        ("k bring.children [a]", ["follows what stands below, 1 level, among k", "brings text of [a]"]),
        ("(k, l) bring.tree(2)", ["follows trees of what stands below, 2 levels, among k l", "brings tree of whole policies"]),
        ("all bring.children(*)", ["follows what stands below, to any depth, among every kind", "brings json of whole policies"]),
        ("k bring.parents(*).count", ["follows the ids above, to any depth", "brings count of whole policies"]),
        ("k bring.paths", ["follows the ways from the roots, to any depth", "brings json of whole policies"]),
    ],
)
def test_steps(text: str, steps: list[str]) -> None:
    assert outline(parse_query(text)) == steps


def test_second_queries_say_how_they_find_and_what_becomes_of_rows_without_a_match() -> None:
    query = parse_query("k join (get l where a = [k][b] and c = [k][d]) left with (get all) as m merge (get n where x = [l][y])")
    assert outline(query, [False, True, True]) == [
        "finds l where a = [k][b] and c = [k][d], by index; puts them beside; rows without a match are left out",
        "finds every kind, each of them; puts them beside as m; rows without a match stay",
        "finds n where x = [l][y], by looking at every policy; merges them in; rows without a match stay",
    ]
