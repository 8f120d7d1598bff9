"""Hierarchies equal a naive reference on random graphs, circles, missing parents and several parents among them."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import TooCostlyError
from ledger.query.hierarchy import Policy, Relation, Roots, cycles_in, follow, root_policies
from tests.support.kin import ListedKin, policy_id, uns

NODES = "abcdefgh"
GRAPHS = st.fixed_dictionaries({one: st.lists(st.sampled_from(NODES + "xy"), max_size=3, unique=True) for one in NODES})
STARTS = st.lists(st.sampled_from(NODES), max_size=3, unique=True)
DEPTHS = st.none() | st.integers(0, 4)


def policies_of(graph: dict[str, list[str]]) -> list[Policy]:
    return [uns(one, *parents) for one, parents in graph.items()]


def below(graph: dict[str, list[str]], one: str, depth: int | None) -> set[str]:
    found: set[str] = set()
    level = {one}
    for _ in range(len(NODES) + 1 if depth is None else depth):
        level = {low for low, parents in graph.items() if level & set(parents)}
        found |= level
    return found


def above(graph: dict[str, list[str]], one: str, depth: int | None) -> set[str]:
    found: set[str] = set()
    level = {one}
    for _ in range(len(NODES) + 1 if depth is None else depth):
        level = {up for low in level for up in graph[low] if up in graph}
        found |= level
    return found - {one}


def ways(graph: dict[str, list[str]], one: str, way: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    parents = [up for up in graph[one] if up in graph]
    if not parents:
        return [(one, *way)]
    return [found for up in parents if up not in (one, *way) for found in ways(graph, up, (one, *way))]


@given(GRAPHS, STARTS, DEPTHS)
def test_children_are_what_a_naive_search_finds(graph: dict[str, list[str]], start: list[str], depth: int | None) -> None:
    policies = policies_of(graph)
    chosen = [policy for policy in policies if policy_id(policy) in start]
    found = follow(chosen, Relation("children", depth), ListedKin(policies))
    ids = [policy_id(row) for row in found.rows]
    assert sorted(ids) == sorted(set().union(*(below(graph, one, depth) for one in start)))


@given(GRAPHS, st.sampled_from(NODES), DEPTHS)
def test_parents_are_what_a_naive_search_finds(graph: dict[str, list[str]], start: str, depth: int | None) -> None:
    policies = policies_of(graph)
    chosen = [policy for policy in policies if policy_id(policy) == start]
    (row,) = follow(chosen, Relation("parents", depth), ListedKin(policies)).rows
    found = row["parents"]
    assert isinstance(found, list)
    assert sorted(found) == sorted(above(graph, start, depth))


@given(GRAPHS, st.sampled_from(NODES))
def test_paths_are_all_ways_without_a_circle(graph: dict[str, list[str]], start: str) -> None:
    policies = policies_of(graph)
    chosen = [policy for policy in policies if policy_id(policy) == start]
    (row,) = follow(chosen, Relation("paths", None), ListedKin(policies)).rows
    found = row["paths"]
    assert isinstance(found, list)
    assert sorted(tuple(step["id"] for step in way) for way in found) == sorted(ways(graph, start))


@given(GRAPHS, STARTS, DEPTHS)
def test_a_tree_holds_what_stands_below_and_is_json(graph: dict[str, list[str]], start: list[str], depth: int | None) -> None:
    policies = policies_of(graph)
    chosen = [policy for policy in policies if policy_id(policy) in start]
    found = follow(chosen, Relation("tree", depth), ListedKin(policies))
    assert json.loads(json.dumps(found.rows)) == found.rows
    met: set[str] = set()
    waiting: list[tuple[dict[str, object], str | None]] = [(row, None) for row in found.rows]
    while waiting:
        node, parent = waiting.pop()
        one = policy_id(node)
        met.add(one)
        assert parent is None or parent in graph[one]
        assert isinstance(node["children"], list)
        waiting.extend((low, one) for low in node["children"])
    reach = set(start).union(*(below(graph, one, depth) for one in start))
    assert met <= reach
    assert set(start) <= met or depth is not None
    assert met == reach or depth is not None


@given(GRAPHS)
def test_a_circle_is_found_exactly_when_there_is_one(graph: dict[str, list[str]]) -> None:
    inside = {one: [up for up in parents if up in graph] for one, parents in graph.items()}
    cycles = cycles_in(inside)
    assert cycles == sorted(set(cycles))
    assert bool(cycles) is any(one in below(graph, one, None) for one in graph)
    for cycle in cycles:
        assert all(up in inside[low] for low, up in zip(cycle, [*cycle[1:], cycle[0]], strict=True))


@given(GRAPHS)
def test_root_policies_are_by_definition(graph: dict[str, list[str]]) -> None:
    named = {up for parents in graph.values() for up in parents}
    found = [policy_id(policy) for policy in root_policies(ListedKin(policies_of(graph)), Roots())]
    assert found == [one for one in NODES if one in named and not graph[one]]


@given(GRAPHS, STARTS)
def test_only_the_limit_can_stop_a_hierarchy(graph: dict[str, list[str]], start: list[str]) -> None:
    policies = policies_of(graph)
    for name in ("children", "parents", "paths", "tree"):
        try:
            follow([policy for policy in policies if policy_id(policy) in start], Relation(name, None), ListedKin(policies))
        except TooCostlyError:
            raise AssertionError from None
