"""A join is what nested loops find, and everything that bring gives is JSON that reads back as itself."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import orjson
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import InvalidError
from ledger.query.bring import bring
from ledger.query.bring_grammar import FLAGS, parse_bring
from ledger.query.cells import Place
from ledger.query.join import Link, Second, join, values_of
from ledger.query.lexer import Tokens
from ledger.query.tree import Path, Query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.query.join import Policy, Row

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from([1.0, 0.5]), st.sampled_from(["", "1", "a", "true"]))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2), max_leaves=6
)
CONTENTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)
LEFT = st.lists(st.builds(lambda content: {"l": content}, CONTENTS), max_size=6)
RIGHT = st.lists(st.builds(lambda content: {"r": content}, CONTENTS), max_size=6)
NAMES = st.lists(st.sampled_from("abc"), min_size=1, max_size=2).map(tuple)
LINKS = st.lists(st.builds(lambda path, place: Link(Path(path), Place(("*", *place))), NAMES, NAMES), max_size=2).map(tuple)


def by_definition(value: object, names: tuple[str, ...]) -> list[object]:
    if isinstance(value, list):
        return [found for one in value for found in by_definition(one, names)]
    if not names:
        return [value]
    return by_definition(value[names[0]], names[1:]) if isinstance(value, dict) and names[0] in value else []


def are_equal(one: object, other: object) -> bool:
    if one is None or isinstance(one, dict) or isinstance(one, bool) is not isinstance(other, bool):
        return False
    return one == other


def nested_loops(left: Sequence[Row], right: Sequence[Policy], second: Second) -> list[Row]:
    found: list[Row] = []
    for row in left:
        mine = [
            policy
            for policy in right
            if all(
                any(
                    are_equal(a, b)
                    for a in by_definition(row["l"], link.place.names[1:])
                    for b in by_definition(policy["r"], link.path.names)
                )
                for link in second.links
            )
        ]
        found += [{**row, **policy} for policy in mine] or ([row] if second.left else [])
    return found


@given(LEFT, RIGHT, LINKS, st.booleans())
def test_a_join_is_what_nested_loops_find(left: list[Row], right: list[Policy], links: tuple[Link, ...], outer: bool) -> None:
    second = Second(Query(("r",)), links, left=outer)
    assert list(join(left, second, lambda _query, _path, _values: right)) == nested_loops(left, right, second)


@given(VALUES)
def test_values_are_those_of_all_elements(value: object) -> None:
    assert values_of(value) == {
        (isinstance(one, bool), one) for one in by_definition(value, ()) if one is not None and not isinstance(one, dict)
    }


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(-1e9, 1e9), TEXTS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "name", "0", "id", "date", "ip", "port"]), inner, max_size=4)
    ),
    max_leaves=8,
)
CONTENT = st.dictionaries(st.sampled_from(["a", "b", "name", "id", "date", "ip", "port"]), ANY, max_size=5)
ROWS = st.lists(st.dictionaries(st.sampled_from(["operator", "query", "parents"]), CONTENT, min_size=1, max_size=2), max_size=5)
FORMS = st.lists(st.sampled_from([*FLAGS, "sort(0)", "sort(1,0)", "children(*)", "tree(2)"]), max_size=3).map(
    lambda names: ".".join(["bring", *names])
)
PARTS = st.lists(
    st.sampled_from(
        ["[*][name]", "[name]", "[a]", "[a][]", "[a][0]", "[a][][b]", "[operator][ip]", "[]", "[*]",
         "[a]:[b]", "[b(prefix(2))]", "[date(rfind(-))]",
         ":", " , ", "'\"'", "text", "\\n", '"\\u0007"']
    ),
    max_size=4,
).map(" ".join)  # fmt: skip
SEPARATORS = st.sampled_from(["", " separator = ,", " separator = \\n", " separator = '\"'"])


@given(ROWS, FORMS, PARTS, SEPARATORS)
def test_what_bring_gives_is_always_json(rows: list[Row], form: str, parts: str, separator: str) -> None:
    with contextlib.suppress(InvalidError):
        found = bring(rows, parse_bring(Tokens(f"{form} {parts}{separator}")))
        value = found.as_json()
        assert json.loads(json.dumps(value, allow_nan=False)) == value
        assert orjson.loads(orjson.dumps(value)) == value
        assert isinstance(found.as_text(), str)
        assert found.single or isinstance(value, list)
        assert all(set(one) <= {*found.columns, "children"} for one in found.values if found.columns and isinstance(one, dict))


PIECES = st.lists(
    st.sampled_from(["bring", ".json", ".sort", "(", "1", ",", ")", " ", "[", "]", "*", "a", ":", "'x'", '"', "separator", "=",
     "\\n", "prefix", "é", "\ud800", ".", "python"]),
    max_size=30,
).map("".join)  # fmt: skip


@given(PIECES | st.text())
def test_any_text_is_a_bring_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidError):
        parse_bring(Tokens("bring" + text))
