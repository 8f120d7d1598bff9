"""What each form of bring gives, from the text of the clause to JSON and text."""

from __future__ import annotations

import pytest

from ledger.core.errors import TooCostlyError, UsageError
from ledger.core.limits import LIMITS
from ledger.query.bring import Brought, Row, bring
from ledger.query.bring_grammar import parse_bring
from ledger.query.lexer import Tokens

ROWS: list[Row] = [
    {
        "operator": {
            "id": "o1", "name": "nova", "company": "acme", "ip": "10.0.0.1", "port": 3000, "main": True,
            "date": "2026-03-01T00:00:00Z", "tags": ["x", "y"], "net": {"dns": ["a", "b"]}, "none": None,
        }
    },
    {
        "operator": {
            "id": "o2", "name": "Bell", "company": "acme", "ip": "fd00::1", "port": 100, "date": "2026-01-01T00:00:00+02:00",
            "table": [{"dbms": "d1", "rows": [{"no": 1}, {"no": 2}]}, {"dbms": "d2"}, {"name": "t3"}],
        }
    },
    {"query": {"id": "q1", "name": "ask", "company": "Other", "local_ip": "192.168.0.7", "port": "50", "date": "no date",
            "path": "Root/Objects/Dev"}},
]  # fmt: skip
JOINED: list[Row] = [
    {"bucket": {"name": "b1", "operator": "nova"}, "operator": {"name": "nova", "ip": "10.0.0.1"}},
    {"bucket": {"name": "b2"}},
]


def brought(clause: str, rows: list[Row] | None = None) -> Brought:
    return bring(ROWS if rows is None else rows, parse_bring(Tokens(clause)))


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ("bring [operator][name]", "nova\nBell"),
        ("bring [*][name]", "nova\nBell\nask"),
        ("bring [name]", "nova\nBell\nask"),
        ("BRING ['name']", "nova\nBell\nask"),
        ("bring [*]", "operator\noperator\nquery"),
        ("bring []", "operator\noperator\nquery"),
        ("bring [] . [name]", "operator.nova\noperator.Bell\nquery.ask"),
        ("bring [*][name] : [*][port]", "nova:3000\nBell:100\nask:50"),
        ('bring [*][name] " : " [*][port]', "nova : 3000\nBell : 100\nask : 50"),
        ("bring [*][name] [*][port] separator = ,", "nova3000,Bell100,ask50"),
        ("bring [name] separator = \\n", "nova\nBell\nask"),
        ("bring [name] separator = \\t", "nova\tBell\task"),
        ('bring [name] separator = " | "', "nova | Bell | ask"),
        ("bring [name] \\n", "nova\nBell\nask"),
        ("bring [name] , \\t", "nova,\tBell,\task,"),
        ("bring ( [name] )", "(nova)\n(Bell)\n(ask)"),
        ("bring [main]", "true"),
        ("bring [none] = [ip]", "=10.0.0.1\n=fd00::1"),
        ("bring [nothing]", ""),
        ("bring [net]", '{"dns":["a","b"]}'),
        ("bring [net][dns]", '["a","b"]'),
        ("bring [net][dns][]", '["a","b"]'),
        ("bring [table][][dbms]", '["d1","d2"]'),
        ("bring [table][dbms]", '["d1","d2"]'),
        ("bring [table][rows][no]", "[1,2]"),
        ("bring [table][1][dbms]", "d2"),
        ("bring [table][9][dbms]", ""),
        ("bring [local_ip]:[ip]", "10.0.0.1\nfd00::1\n192.168.0.7"),
        ("bring [local_ip]:[ip]:[name] ! ".replace("!", "-"), "10.0.0.1-\nfd00::1-\n192.168.0.7-"),
        ("bring [none]:[ip]", "10.0.0.1\nfd00::1"),
        ("bring [path(rfind(/))] [path(find(/))] [path(prefix(4))] [path(suffix(3))]", "DevRootRootDev"),
        ("bring [port(suffix(2))] ", "00\n00\n50"),
        ("bring [net][dns(prefix(1))]", '["a","b"]'),
        ("bring [name(rfind(-))] [net(prefix(1))]", "nova\nBell\nask"),
        ("bring.unique [company]", "acme\nOther"),
        ("bring.sort [port]", "100\n3000\n50"),
        ("bring.sort [name]", "Bell\nask\nnova"),
        ("bring.first [name]", "Bell"),
        ("bring.recent [name]", "nova"),
        ("bring.last [name]", "nova"),
        ("bring.ip_port", "10.0.0.1:3000,[fd00::1]:100,192.168.0.7:50"),
        ("bring.ip_port separator = ;".replace(";", "|"), "10.0.0.1:3000|[fd00::1]:100|192.168.0.7:50"),
        ("bring.count", "3"),
        ("bring.min [port]", "100"),
        ("bring.max [port]", "50"),
        ("bring.max [nothing]", ""),
    ],
)
def test_bring_as_text(clause: str, expected: str) -> None:
    assert brought(clause).as_text() == expected


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ("bring [*][name]", ["nova", "Bell", "ask"]),
        ("bring.json [*][name] [*][ip]", [{"name": "nova", "ip": "10.0.0.1"}, {"name": "Bell", "ip": "fd00::1"}, {"name": "ask"}]),
        ("bring.json [*][name] - [*][port]", [
            {"name": "nova", "port": 3000}, {"name": "Bell", "port": 100}, {"name": "ask", "port": "50"},
        ]),
        ("bring.json [main]", [{"main": True}]),
        ("bring.json [none]", [{"none": None}]),
        ("bring.json.null [main]", [{"main": True}, {"main": None}, {"main": None}]),
        ("bring.null [main]", [{"main": True}, {"main": None}, {"main": None}]),
        ("bring.json [table][][dbms]", [{"dbms": ["d1", "d2"]}]),
        ("bring.json [table][0][dbms]", [{"dbms": "d1"}]),
        ("bring.json [table][0]", [{"table.0": {"dbms": "d1", "rows": [{"no": 1}, {"no": 2}]}}]),
        ("bring.json [net][dns] [dns]", [{"net.dns": ["a", "b"]}]),
        ("bring.json [] [*]", [*[{"kind": "operator", "kind_2": "operator"}] * 2, {"kind": "query", "kind_2": "query"}]),
        ("bring.json [ip]:[local_ip]", [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}, {"ip": "192.168.0.7"}]),
        ("bring.list [*][name] : [*][port]", ["nova:3000", "Bell:100", "ask:50"]),
        ("bring.list [port]", [3000, 100, "50"]),
        ("bring.list.null [main]", [True, None, None]),
        ("bring.list.sort [port]", [100, 3000, "50"]),
        ("bring.table.sort(1,0) [name] [company]", [
            {"name": "ask", "company": "Other"}, {"name": "Bell", "company": "acme"}, {"name": "nova", "company": "acme"},
        ]),
        ("bring.count", 3),
        ("bring.count [main]", [{"count": 1}]),
        ("bring.json.count", [{"count": 3}]),
        ("bring.unique.count [company]", [{"count": 2}]),
        ("bring.count.null [main]".replace(".null", ""), [{"count": 1}]),
        ("bring.min [port]", 100),
        ("bring.max.json [port]", [{"max": "50"}]),
        ("bring.min [table][rows][no]", 1),
        ("bring.max [table][rows]", {"no": 2}),
        ("bring.min [none]", None),
        ("bring.min.json [nothing]", []),
        ("bring.ip_port", ["10.0.0.1:3000", "[fd00::1]:100", "192.168.0.7:50"]),
        ("bring.first", [ROWS[1]]),
        ("bring.recent.json [nothing]", []),
        ("bring.unique", ROWS),
        ("bring.json", ROWS),
        ("bring.list", ROWS),
        ("bring.table", ROWS),
    ],
)  # fmt: skip
def test_bring_as_json(clause: str, expected: object) -> None:
    assert brought(clause).as_json() == expected


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ("bring.json [bucket][name] [operator][name]", [{"bucket.name": "b1", "operator.name": "nova"}, {"bucket.name": "b2"}]),
        ("bring.json [*][name] [operator][ip]", [{"name": "b1", "ip": "10.0.0.1"}, {"name": "b2"}]),
        ("bring.list [operator]", [{"name": "nova", "ip": "10.0.0.1"}]),
        ("bring.list [*][operator]", ["nova"]),
        ("bring.json", JOINED),
    ],
)
def test_bring_of_rows_with_two_policies(clause: str, expected: object) -> None:
    assert brought(clause, JOINED).as_json() == expected


@pytest.mark.parametrize("form", ["", ".json", ".list", ".table", ".unique", ".sort", ".first", ".recent"])
def test_bring_of_no_rows_is_an_empty_list(form: str) -> None:
    assert brought(f"bring{form} [name]", []).as_json() == []
    assert brought(f"bring{form} [name]", []).as_text() == ""


def test_counting_no_rows_is_zero_and_the_smallest_of_none_is_null() -> None:
    assert (brought("bring.count", []).as_json(), brought("bring.min [a]", []).as_json()) == (0, None)


def test_equal_values_are_brought_once_and_types_are_not_mixed() -> None:
    values: tuple[object, ...] = (1, 1.0, True, "1", {"x": 1, "y": 2}, {"y": 2, "x": 1}, [1], [1], None, None)
    rows: list[Row] = [{"k": {"a": value}} for value in values]
    assert brought("bring.unique.list [a]", rows).as_json() == [1, True, "1", {"x": 1, "y": 2}, [1], None]


def test_numbers_read_as_in_canonical_json() -> None:
    rows: list[Row] = [{"k": {"a": value}} for value in (1.0, 1, 0.5, -2.0, 9007199254740991)]
    assert brought("bring [a]", rows).as_text() == "1\n1\n0.5\n-2\n9007199254740991"


def test_sorting_puts_numbers_text_truth_lists_objects_null_and_what_is_missing_in_this_order() -> None:
    mixed: tuple[object, ...] = ("é", "b", "B", 10, 9.5, True, False, None, [2], {"x": 1}, -1)
    rows: list[Row] = [*({"k": {"a": value}} for value in mixed), {"k": {"b": 1}}]
    assert brought("bring.list.sort.null [a]", rows).as_json() == [-1, 9.5, 10, "B", "b", "é", False, True, [2], {"x": 1}, None, None]


def test_rows_of_one_date_or_of_none_are_told_apart_by_their_order() -> None:
    rows: list[Row] = [{"k": {"n": number, "date": date}} for number, date in enumerate(["x", "2026-01-01", "2026-01-01T00:00:00Z", 5])]
    assert [brought(f"bring.{pick}.list [n]", rows).as_json() for pick in ("first", "recent")] == [[1], [2]]
    undated: list[Row] = [{"k": {"n": 1}}, {"k": {"n": 2}}]
    assert [brought(f"bring.{pick}.list [n]", undated).as_json() for pick in ("first", "recent")] == [[1], [2]]


def test_a_tree_is_nested_and_indented() -> None:
    leaf = {"uns": {"id": "c", "name": "C"}, "children": []}
    rows: list[Row] = [{"uns": {"id": "a", "name": "A"}, "children": [{"uns": {"id": "b"}, "children": [leaf]}, leaf]}]
    assert brought("bring.tree", rows).as_text() == "A (uns a)\n  b (uns b)\n    C (uns c)\n  C (uns c)"
    assert brought("bring.tree", rows).as_json() == rows
    short = {"id": "c", "name": "C", "children": []}
    assert brought("bring.tree [id] - [name]", rows).as_json() == [
        {"id": "a", "name": "A", "children": [{"id": "b", "children": [short]}, short]}
    ]
    assert brought("bring.tree [id] - [name]", rows).as_text() == "a-A\n  b-\n    c-C\n  c-C"


def test_a_part_has_values_and_lines_of_its_own() -> None:
    assert brought("bring [name]").part(1, 2).as_text() == "Bell"
    assert brought("bring.count").part(1, 2).as_json() == 3
    nodes: list[Row] = [{"uns": {"id": "a"}, "children": [{"uns": {"id": "b"}, "children": []}]}, {"uns": {"id": "c"}, "children": []}]
    assert brought("bring.tree [id]", nodes).part(0, 1).as_text() == "a\n  b"
    assert brought("bring.tree [id]", nodes).part(1, 5).as_json() == [{"id": "c", "children": []}]


@pytest.mark.parametrize(
    ("clause", "column", "what"),
    [
        ("bring", 1, "expected what to bring"),
        ("bring.", 7, "'' is no form"),
        ("bring.jsn [a]", 7, "'jsn' is no form"),
        ("bring.json.json [a]", 12, "json stands twice"),
        ("bring.list.table [a]", 12, "list and table exclude each other"),
        ("bring.first.last [a]", 13, "first and last exclude each other"),
        ("bring.children.tree", 16, "children and tree exclude each other"),
        ("bring.min.max [a]", 11, "min and max exclude each other"),
        ("bring.count.list [a]", 13, "count and list exclude each other"),
        ("bring.min", 7, "min takes one field"),
        ("bring.max [a] [b]", 7, "max takes one field"),
        ("bring.ip_port [a]", 7, "ip_port takes no fields"),
        ("bring.null.table", 7, "null needs the fields"),
        ("bring.count.null [a]", 13, "null needs the fields"),
        ("bring.table.sort", 13, "sort needs fields"),
        ("bring.table.sort(2) [a] [b]", 13, "sort(2) is beyond the last field, which is 1"),
        ("bring.sort(a) [a]", 12, "expected the place of a field"),
        ("bring.sort() [a]", 12, "expected the place of a field"),
        ("bring.sort(1 [a]", 14, "expected )"),
        ("bring.sort(99999999999999) [a]", 12, "expected the place of a field"),
        ("bring.table.sort (0) [a]", 18, "expected no space before ("),
        ("bring.json(1) [a]", 11, "json takes nothing in parentheses"),
        ("bring.children(x)", 16, "expected a number of levels, or *"),
        ("bring.tree.unique", 12, "unique means nothing to a tree"),
        ("bring.count.sort [a]", 13, "sort means nothing to count"),
        ("bring name", 1, "nothing but text"),
        ("bring.json name", 1, "nothing but text"),
        ("bring [a", 9, "expected ]"),
        ("bring [a)]", 9, "expected ]"),
        ("bring [=]", 8, "expected an attribute"),
        ("bring [a(upper(1))]", 10, "expected one of prefix, suffix, find, rfind"),
        ("bring [a(prefix(x))]", 17, "expected a number of characters"),
        ("bring [a(find())]", 15, "expected what to look for"),
        ("bring [a(find(x)]", 17, "expected )"),
        ("bring [a(find(x))][b]", 19, "expected a space"),
        ("bring [a] separator ,", 21, "expected ="),
        ("bring [a] separator =", 22, "expected what stands between the rows"),
        ("bring [a] separator = , [b]", 25, "expected the end"),
        ("bring [a] order by b", 11, "order stands before bring"),
        ("bring [a] where b = 1", 11, "where stands before bring"),
        ("bring [a] bring [b]", 11, "a query brings once"),
        ("bring [a] python = {1}", 11, "a query runs no code"),
        ("bring [a] \ud800", 11, "no Unicode"),
        ("bring [\ud800]", 8, "no Unicode"),
    ],
)
def test_bring_refuses_with_the_column(clause: str, column: int, what: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_bring(Tokens(clause))
    assert f"column {column}: " in refused.value.message
    assert what in refused.value.message
    assert refused.value.context["column"] == column


def test_how_much_is_looked_at_is_limited() -> None:
    long: list[Row] = [{"k": {"a": [{"b": 1}] * 10_000}}] * (LIMITS.brought_values // 30_000)
    clause = "bring.count " + "[a][][b] [a][b] [a][] "
    with pytest.raises(TooCostlyError, match="more than 5,000,000 values to bring"):
        brought(clause, long)
    assert brought("bring.count [a]", long).as_json() == [{"count": len(long)}]


def test_the_number_of_fields_is_limited() -> None:
    parse_bring(Tokens("bring " + "[a] " * LIMITS.brought))
    with pytest.raises(UsageError, match="at most 64 fields"):
        parse_bring(Tokens("bring " + "[a] " * (LIMITS.brought + 1)))
