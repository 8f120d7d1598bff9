"""Any text is parsed or refused with a domain error in linear time, and the reference says what the definition says."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import InvalidError
from ledger.core.limits import LIMITS
from ledger.query import Condition, Path, matches, parse_query, parse_where
from ledger.query.tree import And, Compare, Exists, HasValue, Not, Or

WORDS = (
    "a b.c [ ] = != <= > and where 'x' \" ' 1 - . \\ true ( ) or é \ud800 not in , null is exists now 7d ci with 10.0.0.0/8 order by limit"
)
PIECES = st.sampled_from([*WORDS.split(" "), '"y"', " ", "\n", "1e9", "2026-01-01", "contains", "like"])
SCALARS = st.sampled_from([None, True, False, 0, 1, -1, 1.0, 2, 2.5, "", "a", "A", "b", "1", "ab", LIMITS.number])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=12
)
PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(lambda names: Path(tuple(names)))
WANTED = st.sampled_from([True, False, 0, 1, -1.0, 2, "", "a", "1", "b"])
LEAVES = st.one_of(
    st.builds(Compare, PATHS, st.just("="), WANTED),
    st.builds(Compare, PATHS, st.sampled_from(["<", "<=", ">", ">="]), st.sampled_from([0, 1, 1.5, "a", ""])),
    st.builds(Exists, PATHS),
    st.builds(HasValue, PATHS),
)
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)
UNITS = (
    "a = 1 and |[|]|'|\"\\|a.|a b |=|.|1|-|[a]| |a='' and |(|not |(a=1 or |not(a=1 and(|a in (|a in (1,|1,|now |a > now - |"
    "2026-01-01|1.1.1.1/8 |a=1)|[][]|order by a, "
)


def found_at(value: object, path: tuple[str, ...]) -> list[object]:
    if isinstance(value, list):
        return [found for one in value for found in found_at(one, path)]
    if path:
        return found_at(value[path[0]], path[1:]) if isinstance(value, dict) and path[0] in value else []
    return [value]


def is_there(value: object, path: tuple[str, ...]) -> bool:
    if not path:
        return True
    if isinstance(value, list):
        return any(is_there(one, path) for one in value)
    return isinstance(value, dict) and path[0] in value and is_there(value[path[0]], path[1:])


def meets(value: object, op: str, wanted: object) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return op == "=" and value is wanted
    if isinstance(value, str) and isinstance(wanted, str):
        return {"=": value == wanted, "<": value < wanted, "<=": value <= wanted, ">": value > wanted, ">=": value >= wanted}[op]
    if isinstance(value, int | float) and isinstance(wanted, int | float):
        return {"=": value == wanted, "<": value < wanted, "<=": value <= wanted, ">": value > wanted, ">=": value >= wanted}[op]
    return False


def by_definition(condition: Condition, content: object) -> bool:
    if isinstance(condition, Not):
        return not by_definition(condition.term, content)
    if isinstance(condition, And | Or):
        return (all if isinstance(condition, And) else any)(by_definition(term, content) for term in condition.terms)
    if isinstance(condition, Exists):
        return is_there(content, condition.path.names)
    values = found_at(content, condition.path.names)
    if isinstance(condition, HasValue):
        return any(value is not None for value in values)
    assert isinstance(condition, Compare)
    return any(meets(value, condition.op, condition.value) for value in values)


@given(st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join), st.lists(PIECES, max_size=40).map(" ".join)))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for parse in (parse_where, parse_query):
        with contextlib.suppress(InvalidError):
            parse(text)


@given(VALUES, CONDITIONS)
def test_evaluation_is_the_definition(content: object, condition: Condition) -> None:
    assert matches(condition, {"kind": content}) is by_definition(condition, content)


@pytest.mark.parametrize("unit", UNITS.split("|"))
def test_the_longest_query_takes_no_time(unit: str) -> None:
    for start in ("", "a in (", "a = 1 order by a, "):
        text = (start + unit * LIMITS.query_text)[: LIMITS.query_text]
        begin = time.process_time()
        with contextlib.suppress(InvalidError):
            parse_query("all where " + text[:-10])
        assert time.process_time() - begin < 1.0
