from __future__ import annotations

from ipaddress import ip_network

import pytest

from ledger.core.errors import TooLargeError, UsageError
from ledger.core.limits import LIMITS
from ledger.query import EVERYTHING, Condition, Path, Query, parse_clauses, parse_query, parse_where
from ledger.query.tree import MAX_CONDITIONS, MAX_VALUES, Among, And, Compare, Exists, FromNow, HasValue, Moment, Not, Or, Order

DAY = 86_400


def equal(path: str, value: str | float, *, ci: bool = False) -> Compare:
    return Compare(Path(tuple(path.split("/"))), "=", value, ci)


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("name = acme", "name", "acme"),
        ("name == acme", "name", "acme"),
        ("where name=acme", "name", "acme"),
        ("WHERE name = acme", "name", "acme"),
        ("a.b.c = 1", "a/b/c", 1),
        ("[a][b] = 1", "a/b", 1),
        ("a[b][c] = 1", "a/b/c", 1),
        ("[a][][b] = 1", "a/b", 1),
        ("a[].b = 1", "a/b", 1),
        ("[*][b] = 1", "b", 1),
        ("[operator][b] = 1", "b", 1),
        ("[operator][a].b = 1", "a/b", 1),
        ("[operator] = 1", "operator", 1),
        ("operator.b = 1", "operator/b", 1),
        ("operator[b] = 1", "operator/b", 1),
        ("[a.b]['c d'].e = 1", "a.b/c d/e", 1),
        ('a["where"] = 1', "a/where", 1),
        ("['1'] = 1", "1", 1),
        ("order = 1", "order", 1),
        ("limit = 1", "limit", 1),
        ("now = 1", "now", 1),
        ("ip = 10.0.0.1", "ip", "10.0.0.1"),
        ("port = 32148", "port", 32148),
        ("x = -1.5e3", "x", -1500.0),
        ("x = 007", "x", "007"),
        ("x = +1", "x", "+1"),
        ("x = '7'", "x", "7"),
        ('x = "a \\"b\\" \\u00e9"', "x", 'a "b" é'),
        ("x = ''", "x", ""),
        ("x = 'true'", "x", "true"),
        ("x = 'null'", "x", "null"),
        ("x = 'now'", "x", "now"),
        ("x = nowhere", "x", "nowhere"),
        ("x = true", "x", True),
        ("x = True", "x", "True"),
        ("x = 10.0.0.0/8", "x", "10.0.0.0/8"),
        ("x = '2026-13-01'", "x", "2026-13-01"),
        ("id = 4711", "id", "4711"),
        ("name = Zürich", "name", "Zürich"),
        ("tags with Red", "tags", "Red"),
    ],
)
def test_one_equality(text: str, path: str, value: str | float) -> None:
    found = parse_where(text, "operator")
    assert found == equal(path, value)
    assert isinstance(found, Compare)
    assert type(found.value) is type(value)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a != 1", Not(equal("a", 1))),
        ("a < 1", Compare(Path(("a",)), "<", 1)),
        ("a >= x ci", Compare(Path(("a",)), ">=", "x", ci=True)),
        ("a = x CI", equal("a", "x", ci=True)),
        ("a contains 1", Compare(Path(("a",)), "contains", "1")),
        ("a not startswith 'x y' ci", Not(Compare(Path(("a",)), "startswith", "x y", ci=True))),
        ("a ENDSWITH true", Compare(Path(("a",)), "endswith", "true")),
        ("a childfrom Root/", Compare(Path(("a",)), "childfrom", "Root/")),
        ("a in (1, x, '2')", Among(Path(("a",)), (1, "x", "2"))),
        ("a in [x] ci", Among(Path(("a",)), ("x",), ci=True)),
        ('a with ["x","y"]', Among(Path(("a",)), ("x", "y"))),
        ("a not in (true)", Not(Among(Path(("a",)), (True,)))),
        ("a in 10.0.0.0/8", Among(Path(("a",)), (ip_network("10.0.0.0/8"),))),
        ("a in (fe80::/10, 10.0.0.1)", Among(Path(("a",)), (ip_network("fe80::/10"), "10.0.0.1"))),
        ("a in (Root/b)", Among(Path(("a",)), ("Root/b",))),
        ("exists a.b", Exists(Path(("a", "b")))),
        ("a exists", Exists(Path(("a",)))),
        ("a not exists", Not(Exists(Path(("a",))))),
        ("not a exists", Not(Exists(Path(("a",))))),
        ("a is null", Not(HasValue(Path(("a",))))),
        ("a is not null", HasValue(Path(("a",)))),
        ("not not a = 1", equal("a", 1)),
        ("not a != 1", equal("a", 1)),
        ("date = 1970-01-02", Compare(Path(("date",)), "=", Moment(DAY * 10**9))),
        ("date = 1970-01-01T01:00:00.5+01:00", Compare(Path(("date",)), "=", Moment(5 * 10**8))),
        ("date in (1970-01-01)", Among(Path(("date",)), (Moment(0),))),
        ("date > now", Compare(Path(("date",)), ">", FromNow(0))),
        ("date > now - 7d", Compare(Path(("date",)), ">", FromNow(-7 * DAY))),
        ("date > now-7d", Compare(Path(("date",)), ">", FromNow(-7 * DAY))),
        ("date > now -90s", Compare(Path(("date",)), ">", FromNow(-90))),
        ("date < NOW + 2w", Compare(Path(("date",)), "<", FromNow(14 * DAY))),
    ],
)
def test_one_condition(text: str, meant: Condition) -> None:
    assert parse_where(text) == meant


def test_and_binds_tighter_than_or_and_not_tightest() -> None:
    a, b, c, d = (equal(name, 1) for name in "abcd")
    assert parse_where("a=1 and b=1 AND c=1") == And((a, b, c))
    assert parse_where("a=1 or b=1 and c=1 or d=1") == Or((a, And((b, c)), d))
    assert parse_where("(a=1 or b=1) and not (c=1 or d=1)") == And((Or((a, b)), Not(Or((c, d)))))
    assert parse_where("not a=1 and b=1") == And((Not(a), b))
    assert parse_where("((a=1 and b=1)) and (c=1)") == And((a, b, c))
    assert parse_where("not (a=1 and (b=1 or (c=1 or d=1)))") == Not(And((a, Or((b, c, d)))))


def test_nothing_means_everything() -> None:
    assert parse_where("") == parse_where(" \n ") == EVERYTHING
    assert parse_query("all") == parse_query("*") == Query()
    assert parse_clauses("") == Query()


def test_a_whole_query() -> None:
    assert parse_query("operator where a = 1") == Query(("operator",), equal("a", 1))
    assert parse_query("(operator, cluster,operator)").kinds == ("operator", "cluster")
    assert parse_query("(operator, all)").kinds == ()
    whole = parse_query("site where a = 1 order by b desc, [c][d] asc, e limit 10")
    orders = (Order(Path(("b",)), descending=True), Order(Path(("c", "d"))), Order(Path(("e",))))
    assert (whole.kind, whole.order, whole.limit) == ("site", orders, 10)
    assert parse_query("site limit 3") == Query(("site",), limit=3)
    assert parse_clauses("where [site][a] = 1", "site") == Query(("site",), equal("a", 1))
    assert parse_clauses("a = 1 limit 3", "site") == Query(("site",), equal("a", 1), limit=3)
    assert parse_clauses("limit = 1 limit 3", "site") == Query(("site",), equal("limit", 1), limit=3)
    assert parse_clauses("order = 1 order by order") == Query((), equal("order", 1), order=(Order(Path(("order",))),))
    assert parse_clauses("limit 3") == Query(limit=3)
    assert parse_clauses("order by a", "site") == Query(("site",), order=(Order(Path(("a",))),))


def test_a_path_may_start_outside_the_content() -> None:
    assert parse_where("[operator][name] = x") == Compare(Path(("operator", "name"), outside=True), "=", "x")
    assert parse_where("[operator][name] = x", "site") == equal("operator/name", "x")
    assert Path(("operator", "name"), outside=True).within("operator") == Path(("name",))
    assert Path(("operator", "name"), outside=True).within("site") == Path(("operator", "name"))


@pytest.mark.parametrize(
    ("text", "column", "what"),
    [
        ("where", 6, "expected an attribute, found the end"),
        ("a", 2, "expected an operator: = != < <= > >="),
        ("a =", 4, "expected a value, found the end"),
        ("a = and", 5, "expected a value, found 'and'"),
        ("a = null", 5, "write `is null`, or put null in quotes"),
        ("a is", 5, "expected null, or not null, found the end"),
        ("a is 1", 6, "expected null, or not null, found '1'"),
        ("a = 1 xor b = 2", 7, "or the end, found 'xor'"),
        ("a = 1 and", 10, "expected an attribute, found the end"),
        ("a = 1 b = 2", 7, "or the end, found 'b'"),
        ("a ! 1", 3, "'!' is not understood"),
        ("a <> 1", 4, "expected a value, found '>'"),
        ("a => 1", 4, "expected a value, found '>'"),
        ("a > true", 5, "true and false have no order"),
        ("a = now", 5, "now goes with < <= > and >="),
        ("a in (now)", 7, "now goes with < <= > and >="),
        ("a > now - 7", 5, "'-7' is no span of time"),
        ("a > now - 7y", 5, "is no span of time"),
        ("a > now - 999999999w", 5, "is no span of time"),
        ("a > now-", 5, "is no span of time"),
        ("a like b", 3, "there is no like, found 'like'"),
        ("a between 1 and 2", 3, "expected an operator"),
        ("a not = 1", 7, "expected an operator"),
        ("a in b", 6, "expected a list such as (a, b), or a network such as 10.0.0.0/8"),
        ("a in ()", 7, "expected a value, found ')'"),
        ("a in (1", 8, "expected ), found the end"),
        ("a in (1]", 8, "expected ), found ']'"),
        ("a in (1 2)", 9, "expected ), found '2'"),
        ("a in 10.1.0.0/8", 6, "has host bits set"),
        ("a in 10.0.0.0/33", 6, "is no network"),
        ("a > 2026-13-01", 5, "is no date or time"),
        ("a in (b, 2026-01-01T25:00)", 10, "is no date or time"),
        ("a = 1 ci", 7, "ci is for text"),
        ("(a = 1", 7, "expected and, or, or ), found the end"),
        ("a = 1)", 6, "found ')'"),
        ("()", 2, "expected an attribute, found ')'"),
        ("not", 4, "expected an attribute, found the end"),
        ("exists", 7, "expected an attribute, found the end"),
        ("exists (a)", 8, "expected an attribute, found '('"),
        ("a b = 1", 3, "expected an operator"),
        ("a..b = 1", 1, "expected an attribute (a reserved"),
        (".a = 1", 1, "expected an attribute, found '.a'"),
        ("a.0 = 1", 1, "positions in lists are not understood"),
        ("a[0] = 1", 3, "positions in lists are not understood"),
        ("[port].int > 5", 7, "leave the conversion out"),
        ("a[b = 1", 5, "expected ], found '='"),
        ("[] = 1", 2, "expected an attribute, found ']'"),
        ("a] = 1", 2, "expected an operator"),
        ("= 1", 1, "expected an attribute, found '='"),
        ("a = 'x", 5, "the quote ' never closes"),
        ('a = "x\\"', 5, 'the quote " never closes'),
        ('a = "\\q"', 5, "an escape that JSON does not know"),
        ('a = "\\ud800"', 5, "an escape that JSON does not know"),
        ("a = 1e400", 5, "larger than any in a policy"),
        ("a = " + "9" * 5000, 5, "larger than any in a policy"),
        ("a = 9007199254740992", 5, "larger than any in a policy"),
        ("a = ACME Metering", 10, "found 'Metering'"),
        ("a = \x00", 5, "'\\x00' is not understood"),
        ("a = x" + "y" * 40 + " z", 47, "found 'z'"),
        ("a in (" + "1," * MAX_VALUES + "1)", 6 + 2 * MAX_VALUES + 2, "at most 1024 values"),
        ("x = 1 or a" + ".a" * 32 + " = 1", 10, "a path has at most 32 names"),
        (" and ".join(["a=1"] * (MAX_CONDITIONS + 1)), MAX_CONDITIONS * 8 + 1, "at most 256 conditions"),
    ],
)
def test_what_is_not_understood_is_refused_at_its_column(text: str, column: int, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_where(text)
    assert what in caught.value.message
    assert f"column {column}:" in caught.value.message
    assert caught.value.context == {"column": column}


NO_QUERIES = (
    *("", "where a = 1", "1a", "a.b", "operator a = 1", "operator x", "operator where a", "(", "()", "(a", "(a b)", "(a,)", "[a]", "and"),
    *("a order b", "a order by", "a order by b,", "a limit", "a limit 0", "a limit -1", "a limit x", "a limit 5 where b = 1"),
    *("(" + ",".join(f"k{n}" for n in range(17)) + ")", "a order by " + ",".join("bcdefghij")),
)


@pytest.mark.parametrize("text", NO_QUERIES)
def test_what_is_no_query_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="query, column"):
        parse_query(text)


def test_length_is_limited_in_bytes() -> None:
    with pytest.raises(TooLargeError, match="8192 bytes"):
        parse_where("a = " + "é" * (LIMITS.query_text // 2))


def test_parentheses_go_as_deep_as_the_text_allows() -> None:
    deep = (LIMITS.query_text - 8) // 2
    assert parse_where("(" * deep + "a = 1" + ")" * deep) == equal("a", 1)
