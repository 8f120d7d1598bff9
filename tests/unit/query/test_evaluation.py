from __future__ import annotations

import pytest

from ledger.query import matches, parse_where

POLICY = {
    "operator": {
        "id": "acme",
        "port": 32148,
        "ratio": 1.0,
        "main": True,
        "zip": "94105",
        "none": None,
        "net": {"ip": "10.0.0.1", "a.b": 1},
        "tags": ["x", "y", ["z"]],
        "sites": [{"name": "west", "rooms": [{"no": 1}, {"no": 2}]}, {"name": "east"}],
    }
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "id = acme",
        "port = 32148",
        "port = 32148.0",
        "ratio = 1",
        "main = true",
        "zip = '94105'",
        "net.ip = 10.0.0.1",
        "[net][a.b] = 1",
        "tags = x",
        "tags = z",
        "sites.name = east",
        "sites.rooms.no = 2",
        "id = acme and port = 32148",
        "sites.name = west and sites.name = east",
    ],
)
def test_it_holds(text: str) -> None:
    assert matches(parse_where(text), POLICY)


@pytest.mark.parametrize(
    "text",
    [
        "id = ACME",
        "port = '32148'",
        "zip = 94105",
        "main = 1",
        "main = 'true'",
        "ratio = true",
        "main = false",
        "absent = x",
        "none = ''",
        "none = 0",
        "net = x",
        "net.ip.x = 1",
        "net.a.b = 1",
        "tags = w",
        "sites.rooms = 1",
        "operator.id = acme",
        "id = acme and port = 1",
    ],
)
def test_it_does_not_hold(text: str) -> None:
    assert not matches(parse_where(text), POLICY)


def test_other_shapes_meet_only_the_empty_clause() -> None:
    for shape in ({}, {"a": {"id": 1}, "b": {"id": 1}}, {"a": 1}, {"a": None}):
        assert matches(parse_where(""), shape)
        assert not matches(parse_where("id = 1"), shape)
