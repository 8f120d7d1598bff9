"""Any text is parsed or refused with a domain error in linear time, and parsing is what printing undoes."""

from __future__ import annotations

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import InvalidError
from ledger.core.limits import LIMITS
from ledger.query import Equal, Where, matches, parse_query, parse_where

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
SCALARS = st.one_of(st.booleans(), st.integers(-LIMITS.number, LIMITS.number), st.floats(-1e15, 1e15), NAMES)
TERMS = st.builds(Equal, st.lists(NAMES, min_size=1, max_size=4).map(tuple), SCALARS)
PIECES = st.sampled_from(
    ["a", "b.c", "[", "]", "=", "and", "where", "'x'", '"y"', '"', "'", "1", "-", ".", " ", "\\", "\n", "true", "(", "or", "é", "\ud800"]
)
VALUES = st.recursive(
    st.one_of(SCALARS, st.none()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
TERMS_OF_ABC = st.builds(Equal, st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple), SCALARS)


def printed(where: Where) -> str:
    terms = ("".join(f"[{json.dumps(n)}]" for n in t.path) + " = " + json.dumps(t.value) for t in where.terms)
    return "where " + " and ".join(terms)


def by_definition(value: object, path: tuple[str, ...], wanted: object) -> bool:
    if isinstance(value, list):
        return any(by_definition(one, path, wanted) for one in value)
    if path:
        return isinstance(value, dict) and path[0] in value and by_definition(value[path[0]], path[1:], wanted)
    if isinstance(value, bool) is not isinstance(wanted, bool):
        return False
    return value == wanted


@given(st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join)))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for parse in (parse_where, parse_query):
        with contextlib.suppress(InvalidError):
            parse(text)


@given(st.lists(TERMS, min_size=1, max_size=6))
def test_printing_and_parsing_are_inverse(terms: list[Equal]) -> None:
    where = Where(tuple(terms))
    parsed = parse_where(printed(where))
    assert parsed == where
    assert [type(t.value) for t in parsed.terms] == [type(t.value) for t in where.terms]


@given(VALUES, st.lists(TERMS_OF_ABC, max_size=3))
def test_evaluation_is_the_definition(content: object, terms: list[Equal]) -> None:
    assert matches(Where(tuple(terms)), {"kind": content}) is all(by_definition(content, t.path, t.value) for t in terms)


@pytest.mark.parametrize("unit", ["a = 1 and ", "[", "]", "'", '"\\', "a.", "a b ", "=", ".", "1", "-", "[a]", " ", "a='' and "])
def test_the_longest_query_takes_no_time(unit: str) -> None:
    text = (unit * LIMITS.query_text)[: LIMITS.query_text]
    start = time.process_time()
    with contextlib.suppress(InvalidError):
        parse_where(text)
    assert time.process_time() - start < 1.0
