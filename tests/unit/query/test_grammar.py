from __future__ import annotations

import pytest

from ledger.core.errors import TooLargeError, UsageError
from ledger.core.limits import LIMITS
from ledger.query import Equal, Query, Where, parse_query, parse_where


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("name = acme", ("name",), "acme"),
        ("where name=acme", ("name",), "acme"),
        ("WHERE name = acme", ("name",), "acme"),
        ("a.b.c = 1", ("a", "b", "c"), 1),
        ("[a][b] = 1", ("a", "b"), 1),
        ("[a.b]['c d'].e = 1", ("a.b", "c d", "e"), 1),
        ('a["where"] = 1', ("a", "where"), 1),
        ("['1'] = 1", ("1",), 1),
        ("ip = 10.0.0.1", ("ip",), "10.0.0.1"),
        ("port = 32148", ("port",), 32148),
        ("x = -1.5e3", ("x",), -1500.0),
        ("x = 007", ("x",), "007"),
        ("x = +1", ("x",), "+1"),
        ("x = '7'", ("x",), "7"),
        ('x = "a \\"b\\" \\u00e9"', ("x",), 'a "b" é'),
        ("x = ''", ("x",), ""),
        ("x = 'true'", ("x",), "true"),
        ("x = true", ("x",), True),
        ("x = True", ("x",), "True"),
        ("date = 2026-11-21T10:00:00Z", ("date",), "2026-11-21T10:00:00Z"),
        ("name = Zürich", ("name",), "Zürich"),
    ],
)
def test_one_condition(text: str, path: tuple[str, ...], value: object) -> None:
    (term,) = parse_where(text).terms
    assert (term.path, term.value, type(term.value)) == (path, value, type(value))


def test_conditions_are_joined_by_and() -> None:
    assert parse_where("a = 1 and b = 'and' AND c = x") == Where((Equal(("a",), 1), Equal(("b",), "and"), Equal(("c",), "x")))


def test_nothing_means_everything() -> None:
    assert parse_where("") == parse_where(" \n ") == Where()
    assert parse_query("all") == Query(None, Where())
    assert parse_query("operator where a = 1") == Query("operator", Where((Equal(("a",), 1),)))


@pytest.mark.parametrize(
    ("text", "column", "what"),
    [
        ("where", 6, "expected an attribute, found the end"),
        ("a", 2, "expected =, found the end"),
        ("a =", 4, "expected a value, found the end"),
        ("a = and", 5, "expected a value, found 'and'"),
        ("a = null", 5, "expected a value, found 'null'"),
        ("a = 1 or b = 2", 7, "expected and, or the end, found 'or'"),
        ("a = 1 and", 10, "expected an attribute, found the end"),
        ("a != 1", 3, "'!' is not understood"),
        ("a < 1", 3, "'<' is not understood"),
        ("(a = 1)", 1, "'(' is not understood"),
        ("not a = 1", 1, "expected an attribute (a reserved word"),
        ("a b = 1", 3, "expected =, found 'b'"),
        ("a..b = 1", 1, "expected an attribute (a reserved"),
        (".a = 1", 1, "expected an attribute, found '.a'"),
        ("a.0 = 1", 1, "positions in lists are not understood"),
        ("a[0] = 1", 3, "positions in lists are not understood"),
        ("a[b = 1", 5, "expected ], found '='"),
        ("a[] = 1", 3, "expected an attribute, found ']'"),
        ("a] = 1", 2, "expected =, found ']'"),
        ("= 1", 1, "expected an attribute, found '='"),
        ("a = 'x", 5, "the quote ' never closes"),
        ('a = "x\\"', 5, 'the quote " never closes'),
        ('a = "\\q"', 5, "an escape that JSON does not know"),
        ('a = "\\ud800"', 5, "an escape that JSON does not know"),
        ("a = 1e400", 5, "larger than any in a policy"),
        ("a = " + "9" * 5000, 5, "larger than any in a policy"),
        ("a = 9007199254740992", 5, "larger than any in a policy"),
        ("a = 1 bring b", 7, "expected and, or the end, found 'bring'"),
        ("a = \x00", 5, "'\\x00' is not understood"),
        ("a = x" + "y" * 40 + " z", 47, "found 'z'"),
    ],
)
def test_what_is_not_understood_is_refused_at_its_column(text: str, column: int, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_where(text)
    assert what in caught.value.message
    assert f"column {column}:" in caught.value.message
    assert caught.value.context == {"column": column}


@pytest.mark.parametrize("text", ["", "where a = 1", "1a", "a.b", "operator a = 1", "operator x", "operator where a"])
def test_a_query_needs_a_kind_and_where(text: str) -> None:
    with pytest.raises(UsageError):
        parse_query(text)


def test_length_is_limited_in_bytes() -> None:
    with pytest.raises(TooLargeError, match="8192 bytes"):
        parse_where("a = " + "é" * (LIMITS.query_text // 2))
