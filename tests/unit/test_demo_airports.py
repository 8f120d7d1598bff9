"""The demo's input: real, deterministic, and in an order in which every reference points backwards."""

from __future__ import annotations

import json

import pytest

from ledger.core import canonical
from tests.demo.airports import HUBS, policies, site_schema


def bodies(kind: str, sites: int | None) -> list[dict[str, object]]:
    return [body for policy in policies(sites) for found, body in policy.items() if found == kind]


@pytest.mark.parametrize(("asked", "given"), [(0, 12), (12, 12), (300, 300), (20_000, 20_000)])
def test_policies_count_asked_gives_that_many_sites(asked: int, given: int) -> None:
    assert len(bodies("site", asked)) == given


def test_policies_all_gives_every_airport_once() -> None:
    codes = [body["icao"] for body in bodies("site", None)]
    assert len(codes) > 28_000
    assert len(set(codes)) == len(codes)
    assert set(HUBS) <= set(codes)


def test_policies_twice_are_the_same_bytes() -> None:
    first, second = ([canonical.dump(canonical.load(json.dumps(policy))) for policy in policies(300)] for _ in range(2))
    assert first == second


def test_policies_reference_only_what_stands_before_them() -> None:
    clusters: set[object] = set()
    operators = 0
    for policy in policies(300):
        ((kind, body),) = policy.items()
        if kind == "cluster":
            clusters.add(body["id"])
        if kind == "operator":
            operators += 1
            assert body["cluster"] in clusters
            assert body["site"] in HUBS
    assert (len(clusters), operators) == (12, 24)


def test_policies_break_no_uniqueness_of_anylog() -> None:
    operators = bodies("operator", 0)
    for rule in (("name",), ("ip", "port"), ("cluster", "member")):
        assert len({tuple(body[attribute] for attribute in rule) for body in operators}) == len(operators)
    assert site_schema()["schema"]["unique"] == [["icao"]]
