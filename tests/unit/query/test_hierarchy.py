"""Children, parents, paths and trees; circles, missing parents and limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.core.errors import TooCostlyError
from ledger.core.limits import LIMITS
from ledger.query.hierarchy import Relation, Roots, follow, relative_of, root_policies
from tests.support.kin import ListedKin, policy_id, uns

if TYPE_CHECKING:
    from collections.abc import Collection

    from ledger.query.hierarchy import Policy, Relative

# plant > (hall > (m1, m2), yard);  m2 stands below yard, too;  lost names a parent that is not there;  alone has no relatives
PLANT = [
    uns("plant"), uns("hall", "plant"), uns("yard", "plant"), uns("m1", "hall"), uns("m2", "hall", "yard"),
    uns("lost", "gone"), uns("alone"), uns("east", "west"), uns("west", "north"), uns("north", "east"), uns("hut", "east"),
    uns("c0", kind="cluster"), uns("c1", "c0", kind="cluster"),
]  # fmt: skip


def rows(*ids: str) -> list[Policy]:
    return [policy for one in ids for policy in PLANT if policy_id(policy) == one]


def ids(found: list[dict[str, object]]) -> list[str]:
    return [policy_id(row) for row in found]


@pytest.mark.parametrize(
    ("start", "depth", "expected"),
    [
        (("plant",), 1, ["hall", "yard"]),
        (("plant",), 2, ["hall", "yard", "m1", "m2"]),
        (("plant",), None, ["hall", "yard", "m1", "m2"]),
        (("plant",), 0, []),
        (("hall", "yard"), 1, ["m1", "m2"]),
        (("plant", "hall"), 1, ["hall", "m1", "m2", "yard"]),
        (("m1",), None, []),
        ((), None, []),
        (("gone",), None, []),
    ],
)
def test_children(start: tuple[str, ...], depth: int | None, expected: list[str]) -> None:
    found = follow(rows(*start), Relation("children", depth), ListedKin(PLANT))
    assert (ids(found.rows), found.cycles) == (expected, [])


@pytest.mark.parametrize(
    ("start", "depth", "expected"),
    [
        ("m2", 1, ["hall", "yard"]),
        ("m2", None, ["hall", "yard", "plant"]),
        ("m1", None, ["hall", "plant"]),
        ("plant", None, []),
        ("lost", None, []),
    ],
)
def test_parents(start: str, depth: int | None, expected: list[str]) -> None:
    (row,) = follow(rows(start), Relation("parents", depth), ListedKin(PLANT)).rows
    assert row == {**rows(start)[0], "parents": expected}


def test_paths_lead_from_the_roots_down_by_every_way() -> None:
    (row,) = follow(rows("m2"), Relation("paths", None), ListedKin(PLANT)).rows
    step = {one: {"kind": "uns", "id": one, "name": one.upper()} for one in ("plant", "hall", "yard", "m2")}
    assert row["paths"] == [[step["plant"], step["hall"], step["m2"]], [step["plant"], step["yard"], step["m2"]]]
    (root, lost, short) = follow(rows("plant", "lost", "m1"), Relation("paths", 1), ListedKin(PLANT)).rows
    assert root["paths"] == [[step["plant"]]]
    assert lost["paths"] == [[{"kind": "uns", "id": "lost", "name": "LOST"}]]
    assert short["paths"] == [[step["hall"], {"kind": "uns", "id": "m1", "name": "M1"}]]


def test_a_tree_stands_on_the_highest_of_the_rows_and_goes_down() -> None:
    found = follow(rows("m1", "hall", "plant", "alone"), Relation("tree", None), ListedKin(PLANT))
    leaf = {one: {**rows(one)[0], "children": []} for one in ("m1", "m2", "alone")}
    hall = {**rows("hall")[0], "children": [leaf["m1"], leaf["m2"]]}
    yard = {**rows("yard")[0], "children": [leaf["m2"]]}
    assert found.rows == [{**rows("plant")[0], "children": [hall, yard]}, leaf["alone"]]
    low = follow(rows("plant"), Relation("tree", 1), ListedKin(PLANT))
    assert low.rows == [{**rows("plant")[0], "children": [{**rows(one)[0], "children": []} for one in ("hall", "yard")]}]


def test_a_circle_is_said_and_followed_once() -> None:
    kin = ListedKin(PLANT)
    down = follow(rows("east"), Relation("children", None), kin)
    assert ids(down.rows) == ["hut", "north", "west", "east"]
    assert down.cycles == [("east", "north", "west")]
    up = follow(rows("hut"), Relation("parents", None), kin)
    assert (up.rows[0]["parents"], up.cycles) == (["east", "west", "north"], down.cycles)
    paths = follow(rows("hut"), Relation("paths", None), kin)
    assert (paths.rows[0]["paths"], len(paths.cycles)) == ([], 1)
    tree = follow(rows("west", "hut", "east"), Relation("tree", None), kin)
    assert len(tree.cycles) == 1
    assert ids(tree.rows) == ["west"]


def test_a_policy_that_is_its_own_parent_is_a_circle_of_one() -> None:
    own = [uns("self", "self")]
    for name in ("children", "parents", "paths", "tree"):
        assert follow(own, Relation(name, None), ListedKin(own)).cycles == [("self",)]


def test_root_policies_are_named_as_parents_and_name_none() -> None:
    kin = ListedKin(PLANT)
    assert [policy_id(policy) for policy in root_policies(kin, Roots())] == ["plant"]
    assert [policy_id(policy) for policy in root_policies(kin, Roots(("cluster",)))] == ["c0"]
    assert [policy_id(policy) for policy in root_policies(kin, Roots(("cluster", "uns"), ("uns",)))] == ["c0"]
    assert [policy_id(policy) for policy in root_policies(kin, Roots((), ("uns",)))] == []


@pytest.mark.parametrize("parent", [None, 5, "", True, {"id": "plant"}, [], [None, 7, ["plant"]]])
def test_a_parent_that_is_no_id_is_none(parent: object) -> None:
    odd: Policy = {"uns": {"id": "odd", "parent": parent}}
    assert follow([odd], Relation("parents", None), ListedKin([*PLANT, odd])).rows[0]["parents"] == []


def test_a_level_costs_one_look_up() -> None:
    kin = ListedKin([uns("n0"), *(uns(f"n{number}", f"n{(number - 1) // 10}") for number in range(1, 1_111))])
    found = follow([uns("n0")], Relation("children", None), kin)
    assert (len(found.rows), kin.asked) == (1_110, 4)


def test_a_chain_of_ten_thousand_needs_no_recursion() -> None:
    chain = [uns("n0"), *(uns(f"n{number}", f"n{number - 1}") for number in range(1, 10_000))]
    near = {policy_id(policy): relative_of(policy) for policy in chain}

    class Chain(ListedKin):
        def of_ids(self, ids: Collection[str]) -> list[Relative]:
            return [near[one] for one in ids if one in near]

        def below(self, ids: Collection[str]) -> list[Relative]:
            return [near[low] for one in ids if (low := f"n{int(one[1:]) + 1}") in near]

    kin = Chain(chain)
    assert len(follow(chain[:1], Relation("children", None), kin).rows) == 9_999
    assert len(follow(chain[-1:], Relation("parents", None), kin).rows[0]["parents"]) == 9_999  # type: ignore[arg-type]  # a list
    assert len(follow(chain[-1:], Relation("paths", None), kin).rows[0]["paths"][0]) == 10_000  # type: ignore[index]  # a list
    with pytest.raises(TooCostlyError, match=f"more than {LIMITS.tree_levels} levels"):
        follow(chain[:1], Relation("tree", None), kin)
    with pytest.raises(TooCostlyError, match="relatives"):
        follow(chain, Relation("parents", None), kin)


def test_policies_with_very_many_parents_are_limited() -> None:
    crowd = [uns(f"n{number}", *(f"p{parent}" for parent in range(2_500))) for number in range(101)]
    for name in ("children", "tree"):
        with pytest.raises(TooCostlyError, match="relatives"):
            follow([uns("p1")], Relation(name, None), ListedKin(crowd))
    with pytest.raises(TooCostlyError, match="relatives"):
        follow(crowd, Relation("parents", None), ListedKin([]))


def test_ways_that_double_at_every_level_are_limited() -> None:
    doubling = [uns("a0"), uns("b0")]
    for level in range(1, 30):
        doubling += [uns(f"{side}{level}", f"a{level - 1}", f"b{level - 1}") for side in "ab"]
    for name, start in (("paths", doubling[-1:]), ("tree", doubling[:1])):
        with pytest.raises(TooCostlyError, match="relatives"):
            follow(start, Relation(name, None), ListedKin(doubling))
    assert len(follow(doubling[-1:], Relation("parents", None), ListedKin(doubling)).rows[0]["parents"]) == 58  # type: ignore[arg-type]  # a list
