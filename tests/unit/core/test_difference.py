"""What differs between two values, and that it leads from one to the other."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.canonical import same
from ledger.core.difference import ADD, REMOVE, Difference, differences, pointer

if TYPE_CHECKING:
    from ledger.core.canonical import JSON

SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.text("a~/é", max_size=2)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab~/", max_size=2), inner, max_size=4))


def applied(value: JSON, changes: list[Difference]) -> JSON:
    """Follow the differences by their pointers alone: removals first and from the end, as their places are those of the value before."""
    whole: Any = [copy.deepcopy(value)]
    removed = [change for change in changes if change.op == REMOVE]
    for change in [*reversed(removed), *(one for one in changes if one.op != REMOVE)]:
        steps = ["0", *(step.replace("~1", "/").replace("~0", "~") for step in change.path.split("/")[1:])]
        holder = whole
        for step in steps[:-1]:
            holder = holder[int(step)] if isinstance(holder, list) else holder[step]
        last: Any = int(steps[-1]) if isinstance(holder, list) else steps[-1]
        if change.op == REMOVE:
            del holder[last]
        elif change.op == ADD and isinstance(holder, list):
            holder.insert(last, change.after)
        else:
            holder[last] = change.after
    found: JSON = whole[0]
    return found


@given(VALUES, VALUES)
def test_differences_lead_from_one_value_to_the_other(before: JSON, after: JSON) -> None:
    changes = differences(before, after)
    assert same(applied(before, changes), after)
    assert (changes == []) == same(before, after)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": 1}, {"a": True}, [("replace", "/a", 1, True)]),
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": [1, 2, 3]}, {"a": [1, 9, 2, 3]}, [("add", "/a/1", None, 9)]),
        ({"a": [1, 2, 3]}, {"a": [3]}, [("remove", "/a/0", 1, None), ("remove", "/a/1", 2, None)]),
        ({"a": [{"x": 1}]}, {"a": [{"x": 2}]}, [("replace", "/a/0/x", 1, 2)]),
        ({"a": {}}, {"a": []}, [("replace", "/a", {}, [])]),
        ({"a": None}, {}, [("remove", "/a", None, None)]),
        ({}, {"a/b~c": None}, [("add", "/a~1b~0c", None, None)]),
        (1, 2, [("replace", "", 1, 2)]),
    ],
)
def test_each_difference_names_its_place(before: JSON, after: JSON, expected: list[tuple[str, str, JSON, JSON]]) -> None:
    assert [(one.op, one.path, one.before, one.after) for one in differences(before, after)] == expected


def test_facts_have_the_sides_that_are_there() -> None:
    assert [one.facts() for one in differences({"a": 1, "b": 1}, {"b": 2, "c": None})] == [
        {"op": "remove", "path": "/a", "before": 1},
        {"op": "replace", "path": "/b", "before": 1, "after": 2},
        {"op": "add", "path": "/c", "after": None},
    ]
    assert pointer(["a", 0, "b"]) == "/a/0/b"
