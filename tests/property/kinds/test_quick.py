"""The quick check against the library: what it passes is valid, for any schema and any value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from ledger.core.errors import FormatError
from ledger.kinds.profile import require_bounded
from ledger.kinds.quick import compile_quick
from ledger.kinds.reporting import Reporter, require_schema

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.core.canonical import JSON

NAMES = st.sampled_from(["a", "b", "c", "é"])
NUMBERS = st.integers(-3, 9) | st.sampled_from([0.5, 2.5, -1.5, 2**53 - 1])
SCALARS = st.none() | st.booleans() | NUMBERS | st.text("abé/~", max_size=4)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=8)
NUMBERS_AT_EDGES: list[Any] = [*range(-3, 10), 0.5, 2.5, -1.5, 2**53 - 1]
PLAIN: list[Any] = [None, True, False, *NUMBERS_AT_EDGES, "", "a", "b", "ab", "ba", "aab", "abba", "é", "x", "aaaaa"]
LISTS: list[Any] = [[], [1], ["a"], ["a", "a"], [None, "ab", 3], [[], {}], [0, 1, 2, 3], list("abcde")]
OBJECTS: list[Any] = [
    {},
    *({name: value} for name in "ab" for value in (*PLAIN[::3], [], {}, ["a"])),
    {"a": 1, "b": "x"},
    {"a": {}, "b": [], "c": 0},
]
COUNTS = st.integers(0, 4)
TYPES = st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "null"])
PATTERNS = st.sampled_from(["^a", "b$", "^[ab]+$", "é", "(a|b)*c?", "", "["])
LEAVES = {
    "type": TYPES | st.lists(TYPES, min_size=1, max_size=3),
    "enum": st.lists(VALUES, max_size=3),
    "const": VALUES,
    "minimum": NUMBERS,
    "maximum": NUMBERS,
    "exclusiveMinimum": NUMBERS,
    "exclusiveMaximum": NUMBERS,
    "minLength": COUNTS,
    "maxLength": COUNTS,
    "minItems": COUNTS,
    "maxItems": COUNTS,
    "minProperties": COUNTS,
    "pattern": PATTERNS,
    "required": st.lists(NAMES, max_size=2),
    "description": SCALARS,
    "default": VALUES,
    "format": st.just("ipv4"),
}
ODD = {
    "uniqueItems": st.booleans(),
    "multipleOf": NUMBERS,
    "maxProperties": COUNTS,
    "type": VALUES,
    "required": VALUES,
    "minLength": VALUES,
}


def few(keywords: Mapping[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Return schemas of one to three keywords: with more, hardly any value passes."""
    pairs = [st.tuples(st.just(name), values) for name, values in keywords.items()]
    return st.lists(st.one_of(pairs), min_size=1, max_size=3).map(dict)


def deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    more = {
        "properties": st.dictionaries(NAMES, inner, min_size=1, max_size=3),
        "additionalProperties": inner,
        "items": inner,
        "anyOf": st.lists(inner, min_size=1, max_size=3),
    }
    rare = {"not": inner, "allOf": st.lists(inner, max_size=2), "properties": VALUES}
    return few(more) | few({**LEAVES, **more}) | few({**more, **rare, **ODD})


SCHEMAS = st.recursive(few(LEAVES) | st.booleans(), deeper, max_leaves=4)


def bounded(schema: JSON) -> bool:
    try:
        require_bounded(schema)
    except FormatError:
        return False
    return True


@given(SCHEMAS, st.lists(VALUES, max_size=4))
@example({"enum": [True]}, [1, True])
@example({"const": 1}, [True, 1])
@example({"type": "integer"}, [True, 2.0, 2.5])
@example({"minimum": 1}, [True, "x", 0])
@example({"type": ["string", "integer"]}, [])
@example({"anyOf": [{"type": "string"}, {"minimum": 2}]}, [])
@example({"properties": {"a": {"type": "null"}}, "additionalProperties": {"type": "string"}}, [])
def test_what_is_quickly_passed_has_no_fault(schema: JSON, values: list[JSON]) -> None:
    assume(bounded(schema))
    quick = compile_quick(schema)
    if quick is None:
        return
    reporter = Reporter(schema)
    for value in (*values, *PLAIN, *LISTS, *OBJECTS):  # few random values lie at the edge of a random schema
        assert quick(value) == (reporter.faults(value) == []), value


@given(SCHEMAS)
def test_what_is_quickly_compiled_is_a_schema(schema: JSON) -> None:
    assume(bounded(schema) and compile_quick(schema) is not None)
    if isinstance(schema, dict):
        require_schema(without_notes(schema))


def without_notes(schema: JSON) -> JSON:
    """Return a schema without annotations: what people note has no meaning here, whatever its form."""
    if isinstance(schema, dict):
        return {name: without_notes(one) for name, one in schema.items() if name != "description"}
    return [without_notes(one) for one in schema] if isinstance(schema, list) else schema


@given(VALUES | SCHEMAS)
def test_any_value_is_a_bounded_schema_or_refused(value: JSON) -> None:
    if bounded(value) and compile_quick(value) is None:
        try:
            require_schema(value)
        except FormatError:
            return
        Reporter(value).faults({"a": [1, "x"]})
