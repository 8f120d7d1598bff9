"""Canonical JSON and the smallest forms: what is taken, what is refused, and in which time."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from ledger.core.canonical import (
    AUTHORITY_KINDS,
    dump,
    encode,
    format_time,
    is_hex40,
    is_hex64,
    is_id,
    is_id_set,
    is_integer,
    is_kind,
    is_name,
    is_text_set,
    is_time,
    load,
    parse,
    parse_time,
    same,
    sha256_hex,
)
from ledger.core.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 2**53 - 1


def nested(levels: int, inner: str = "") -> bytes:
    return ("[" * levels + inner + "]" * levels).encode()


CANONICAL = [
    b"{}",
    b"[]",
    b"null",
    b"true",
    b"0",
    b"-1",
    b"1.5",
    b"5e-324",
    b"1e-7",
    b"0.000001",
    b"4503599627370495.5",
    b'""',
    b"9007199254740991",
    b"-9007199254740991",
    b'{"a":1,"b":[1.5,"37.7,-122.4",null]}',
    b'"\\b\\t\\n\\f\\r\\u0001\\u001f\\"\\\\/\x7f"',
    b'"\\\\u0000"',
    '{"":1,"é":2,"\ud7ff":3,"\U00010000":4,"\ue000":5}'.encode(),
    nested(32),
    nested(32, "1"),
]

NOT_CANONICAL = [
    b"",
    b" ",
    b"{} ",
    b"\n{}",
    b"\xef\xbb\xbf{}",
    b"{",
    b"nul",
    b"NaN",
    b"Infinity",
    b"-0",
    b"-0.0",
    b"1.0",
    b"1e2",
    b"1E-7",
    b"1e-07",
    b"1e-400",
    b"1e400",
    b"01",
    b"+1",
    b".5",
    b"9007199254740992",
    b"-9007199254740992",
    b"100000000000000000000",
    b"1e20",
    b"1e+22",
    b"9007199254740991.5",
    b"[9007199254740992]",
    b"18446744073709551616",
    b'{"a":1,"a":1}',
    b'{"b":1,"a":1}',
    b'{"a" :1}',
    b'"\\u0041"',
    b'"\\/"',
    b'"\\u001F"',
    b'"\\u0008"',
    b'"\\u0000"',
    b'{"\\u0000":1}',
    b'"\x00"',
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\xed\xa0\x80"',
    b'"\xc3\x28"',
    b'"\xff"',
    '{"\ue000":1,"\U00010000":2}'.encode(),
    nested(33),
    nested(33, "1"),
    b'{"a":' * 33 + b"1" + b"}" * 33,
    b"[" * 16_000,
    nested(16_000),
    nested(900),
    b'{"a":' * 16_000,
    b"1" * 20_000,
    b"-" + b"9" * 20_000,
    b"[" + b"1" * 4_000 + b"]",
    b"0." + b"1" * 20_000,
    b"1e" + b"9" * 20_000,
    b"[1] [2]",
    b"[1,]",
    b"'a'",
]


@pytest.mark.parametrize("text", CANONICAL)
def test_parse_canonical_returns_the_value_that_writes_it(text: bytes) -> None:
    value = parse(text)
    assert value == json.loads(text)
    assert dump(value) == text
    assert encode(value) == text
    assert load(text) == value


@pytest.mark.parametrize("text", NOT_CANONICAL, ids=lambda text: repr(text[:24]))
def test_parse_anything_else_is_a_format_error(text: bytes) -> None:
    start = time.perf_counter()
    with pytest.raises(FormatError):
        parse(text)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b' {"b" : 1.0 , "a":1e2}\n', {"a": 100, "b": 1}),
        ('"\\u0041\\/"', "A/"),
        (b"-0", 0),
        (b"-0.0", 0),
        (b"1e-400", 0),
        (b"0.1000000000000000055", 0.1),
        ('{"\ue000":1,"\U00010000":2}', {"\ue000": 1, "\U00010000": 2}),
    ],
)
def test_load_takes_any_spelling_and_gives_what_parse_gives(text: bytes | str, expected: Any) -> None:
    value = load(text)
    assert value == expected
    assert parse(dump(value)) == value
    assert type(value) is type(expected)


def test_load_gives_integers_where_the_value_is_whole() -> None:
    value = load(b'{"port":1.0}')
    assert isinstance(value, dict)
    assert is_integer(value["port"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a":1,"\\u0061":2}', "twice"),
        (b'[{"b":[{"a":1,"a":1}]}]', "twice"),
        (b'{"a":"\\u0000"}', "U\\+0000"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"1e20", "2\\^53-1"),
        (b"9007199254740993", "2\\^53-1"),
        (nested(33), "nested more than 32 deep"),
        (nested(16_000), "not JSON"),
        (b"1" * 20_000, "not JSON"),
        (b"[" + b"1" * 300 + b"]", "2\\^53-1"),
        ("\ud800", "not Unicode"),
        ('"\\ud800"', "not JSON"),
    ],
    ids=lambda part: repr(part[:24]),
)
def test_load_refuses_what_no_spelling_can_say(text: bytes | str, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        load(text)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "2\\^53-1"),
        (float("inf"), "2\\^53-1"),
        (1e20, "2\\^53-1"),
        (LIMIT + 1, "2\\^53-1"),
        (-LIMIT - 1, "2\\^53-1"),
        ([10**400], "2\\^53-1"),
        ("a\x00", "U\\+0000"),
        ({"\x00": 1}, "U\\+0000"),
        ("é\ud800", "surrogate"),
        ({"\udfff": 1}, "surrogate"),
        (("a",), "tuple"),
        (b"a", "bytes"),
        ({1: 2}, "no canonical JSON"),
        ({1: 0.00001}, "no canonical JSON"),
        ([[[[1]]]], "nested more than 3 deep"),
        ([{"a": {"b": [1]}}], "nested more than 3 deep"),
    ],
)
def test_dump_refuses_what_has_no_canonical_form(value: Any, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        dump(value, nesting=3)


def test_nesting_counts_containers_only() -> None:
    assert dump([[["deep"]]], nesting=3) == b'[[["deep"]]]'
    assert dump({"a": {"b": {"c": 1}}}, nesting=3) == b'{"a":{"b":{"c":1}}}'
    assert dump("scalar", nesting=0) == b'"scalar"'
    with pytest.raises(FormatError):
        dump([], nesting=0)
    assert parse(b'"[[[[["', nesting=1) == "[[[[["


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("a", "a", True),
        ("a", "b", False),
        (1, True, False),
        (0, False, False),
        (1, "1", False),
        (None, False, False),
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}, True),
        (["a", "b"], ["b", "a"], False),
        ([1], [True], False),
    ],
)
def test_same_is_equality_of_canonical_bytes(left: Any, right: Any, equal: bool) -> None:
    assert same(left, right) is equal


FORMS: list[tuple[Callable[[Any], bool], list[Any], list[Any]]] = [
    (
        is_kind,
        ["a", "Z9_-", "K" * 64, "anylog-member", *AUTHORITY_KINDS],
        ["", "K" * 65, "9a", "_a", "a.b", "a\n", "Root", "MEMBER", "pErmissions", "\uff41", None, 1, ["a"]],
    ),
    (is_id, ["a", "0", "A@b:c.d-e_f", "x" * 128], ["", "x" * 129, "_a", ".a", "a\n", "a b", "\u0661", None, 1, {}]),
    (is_name, ["a", "0.a_b-c", "n" * 63], ["", "n" * 64, "A", "-a", "a\n", "\u00e9", None, True]),
    (is_hex64, ["0" * 64, "abcdef0123456789" * 4], ["0" * 63, "0" * 65, "A" * 64, "0" * 63 + "\n", "\u0661" * 64, None]),
    (is_hex40, ["0" * 40], ["0" * 39, "A" * 40, "0" * 64, None]),
    (
        is_time,
        ["1970-01-01T00:00:00Z", "2028-02-29T23:59:59Z", "9999-12-31T23:59:59Z"],
        [
            "1969-12-31T23:59:59Z",
            "0000-01-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T29:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00Z\n",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00+00:00",
            "2026-01-01T00:00:00.0Z",
            "\u0662026-01-01T00:00:00Z",
            "99999-01-01T00:00:00Z",
            None,
            0,
        ],
    ),
    (
        is_text_set,
        [[], ["a"], ["", "\U00010000"], [str(n) for n in range(1024)]],
        [["a", "a"], [1], [None], "a", None, {}, [str(n) for n in range(1025)], [["a"]]],
    ),
    (is_id_set, [[], ["a", "b"]], [["_"], [1], ["a", "a"], "a"]),
    (is_integer, [0, 1, LIMIT], [-1, True, False, 1.5, "1", None, []]),
]


@pytest.mark.parametrize(("form", "good", "bad"), FORMS, ids=lambda part: getattr(part, "__name__", ""))
def test_forms_hold_for_the_whole_text(form: Callable[[Any], bool], good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not form(value)] == []
    assert [value for value in bad if form(value)] == []


def test_integer_has_a_least() -> None:
    assert is_integer(1, 1)
    assert not is_integer(0, 1)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "1970-01-01T00:00:00Z"), (1_795_255_200, "2026-11-21T10:00:00Z"), (253_402_300_799, "9999-12-31T23:59:59Z")]
)
def test_time_and_seconds_are_one(seconds: int, text: str) -> None:
    assert parse_time(text) == seconds
    assert format_time(seconds) == text


@pytest.mark.parametrize("seconds", [-1, 253_402_300_800])
def test_format_time_outside_the_years_is_refused(seconds: int) -> None:
    with pytest.raises(FormatError, match="1970 to 9999"):
        format_time(seconds)


def test_parse_time_of_another_form_is_refused() -> None:
    with pytest.raises(FormatError, match="not a time"):
        parse_time("2026-11-21")


def test_sha256_hex_is_the_known_answer() -> None:
    assert sha256_hex(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_plain_values_never_reach_the_slow_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> bytes:
        raise AssertionError

    monkeypatch.setattr("ledger.core.canonical.rfc8785.dumps", refuse)
    for text in (b'{"loc":"37.7,-122.4","n":[1.5,-0.25,3]}', '{"name":"Zürich"}'.encode()):
        assert encode(parse(text)) == text
    with pytest.raises(AssertionError):
        encode(1.0)
