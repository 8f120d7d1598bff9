"""Canonical JSON: the fast path writes what rfc8785 writes, and hostile bytes raise FormatError only."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from typing import Any

import orjson
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from ledger.core.canonical import JSON, dump, encode, is_time, load, parse
from ledger.core.errors import FormatError
from ledger.core.limits import LIMITS

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
# Names and texts at the seams: UTF-16 order, escapes, and text that looks like numbers.
SEAMS = st.sampled_from(
    [
        "\ud7ff",
        "\ue000",
        "\uffff",
        "\U00010000",
        "\U0010ffff",
        "\x7f",
        "\x80",
        "\x1f",
        "\b",
        '"',
        "\\",
        "1,2.5,3",
        "[1e5]",
        '":1.0,',
        "\\u0000",
        "",
    ]
)
NUMBERS = st.one_of(
    st.integers(-LIMITS.number, LIMITS.number),
    st.floats(-float(LIMITS.number), float(LIMITS.number), allow_nan=False),
    st.sampled_from([0.0, -0.0, 1e-4, 9.999e-5, 1e-5, 1e-6, 1e-7, 5e-324, 2.5e-5, 0.5, 1e15, 4503599627370495.5, 0.1 + 0.2]),
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT | SEAMS
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT | SEAMS, inner, max_size=5), max_leaves=20)


def normal(value: Any) -> JSON:
    """Return the value with whole floats as integers, as canonical bytes spell them."""
    parsed: JSON = json.loads(rfc8785.dumps(value))
    return parsed


@given(VALUES)
@example({"\ue000": 1, "\U00010000": 2})
@example({"a": -0.0})
@example([1e-5, "37.7,-122.4"])
def test_every_value_is_written_as_rfc_8785_does(value: Any) -> None:
    expected = rfc8785.dumps(value)
    assert dump(value) == expected
    assert encode(value) == expected
    assert parse(expected) == normal(value)
    assert load(expected) == normal(value)


@given(VALUES, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_load_takes_any_spelling_of_a_value(value: Any, indent: int | str | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert dump(load(text)) == rfc8785.dumps(value)
    try:
        assert rfc8785.dumps(parse(text.encode())) == text.encode()
    except FormatError:
        assert rfc8785.dumps(value) != text.encode()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_alone_and_in_a_list(number: float) -> None:
    if abs(number) <= LIMITS.number:
        assert encode(number) == rfc8785.dumps(number)
        assert encode([number]) == rfc8785.dumps([number])


@given(st.integers(1, 10**17), st.integers(0, 24))
def test_plain_decimals_keep_their_digits(digits: int, places: int) -> None:
    number = digits / 10**places
    if number <= LIMITS.number:
        assert encode({"n": number}) == rfc8785.dumps({"n": number})


JSON_PIECES = st.sampled_from(
    [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b'"a"',
        b'"a":',
        b"1",
        b"-0",
        b"1.0",
        b"1e400",
        b"1" * 30,
        b"true",
        b"null",
        b" ",
        b"\\u0000",
        b"\\ud800",
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\\",
        b"e",
        b".",
        b"-",
        b"9007199254740992",
        b"\xf0\x90\x80\x80",
        b"\xee\x80\x80",
    ]
)
HOSTILE = st.binary(max_size=64) | st.lists(JSON_PIECES, max_size=20).map(b"".join)


@given(HOSTILE)
def test_hostile_bytes_are_refused_or_are_what_they_write(text: bytes) -> None:
    with suppress(FormatError):
        value = parse(text)
        assert rfc8785.dumps(value) == text
        assert json.loads(text) == value
    with suppress(FormatError):
        assert parse(dump(load(text))) == load(text)


@given(HOSTILE)
def test_load_refuses_what_python_reads_two_ways(text: bytes) -> None:
    """Whatever `load` takes, Python's own parser takes too, without a name twice and without a number over the limit."""

    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    with suppress(FormatError):
        value = load(text)
        again = json.loads(text.decode(), object_pairs_hook=check)
        assert again == value
        if isinstance(again, int | float):
            assert math.fabs(again) <= LIMITS.number


@given(st.text(alphabet="0123456789-T:Z+.\n ", max_size=22) | st.text(max_size=22))
@example("2026-02-29T00:00:00Z")
def test_time_has_one_spelling(text: str) -> None:
    if is_time(text):
        assert len(text) == len("1970-01-01T00:00:00Z")
        assert text.isascii()


def test_orjson_still_refuses_what_parse_relies_on() -> None:
    for text in (b'"\\ud800"', b'"\xed\xa0\x80"', b"\xef\xbb\xbf1", b"NaN", b"1e400", b"[" * 16_000):
        with suppress(orjson.JSONDecodeError):
            orjson.loads(text)
            raise AssertionError(text)
