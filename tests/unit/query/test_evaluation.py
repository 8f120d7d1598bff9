from __future__ import annotations

import pytest

from ledger.query import matches, parse_where

NOW = 1_763_800_000  # 2025-11-22T08:26:40Z
POLICY = {
    "operator": {
        "id": "acme",
        "port": 32148,
        "ratio": 1.0,
        "load": 0.75,
        "main": True,
        "spare": False,
        "zip": "94105",
        "none": None,
        "name": "ACME Straße",
        "ip": "10.1.2.3",
        "ip6": "fe80::1",
        "date": "2025-11-20T10:00:00.250000Z",
        "local": "2025-11-20 12:00:00+02:00",
        "net": {"ip": "10.0.0.1", "a.b": 1},
        "tags": ["x", "Yes", ["z", []]],
        "empty": [],
        "nulls": [None],
        "mixed": [None, 1, "1", True],
        "namespace": "Root/Plant/Line",
        "operator": {"port": 1},
        "sites": [{"name": "west", "rooms": [{"no": 1}, {"no": 20}]}, {"name": "east"}],
    }
}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "id = acme",
        "port = 32148",
        "port = 32148.0",
        "port > 9",
        "port < 100000",
        "port >= 32148 and port <= 32148",
        "port in (80, 32148)",
        "ratio = 1",
        "load > 0.5",
        "load < 1",
        "main = true",
        "spare != true",
        "zip = '94105'",
        "zip startswith 94",
        "name = 'acme STRASSE' ci",
        "name contains STRASSE ci",
        "name contains Stra",
        "name endswith ße",
        "name >= ACME",
        "name in (x, 'acme strasse') ci",
        "net.ip = 10.0.0.1",
        "[net][a.b] = 1",
        "tags = x",
        "tags = z",
        "tags with Yes",
        "tags = yes ci",
        "tags contains e",
        "sites.name = east",
        "sites.rooms.no = 20",
        "[sites][][rooms][][no] > 9",
        "id = acme and port = 32148",
        "sites.name = west and sites.name = east",
        "ip in 10.0.0.0/8",
        "ip in (192.168.0.0/16, 10.1.0.0/16)",
        "ip in (10.1.2.3)",
        "ip6 in fe80::/10",
        "not ip6 in 0.0.0.0/0",
        "date > now - 7d",
        "not date > now - 1d",
        "date >= 2025-11-20",
        "date = 2025-11-20T11:00:00.25+01:00",
        "local = 2025-11-20T10:00:00Z",
        "local in (2025-11-20T10:00:00Z)",
        "exists none",
        "exists empty",
        "exists sites.rooms",
        "exists sites.rooms.no",
        "none is null",
        "absent is null",
        "empty is null",
        "nulls is null",
        "mixed is not null",
        "net is not null",
        "spare is not null",
        "mixed = true",
        "mixed = 1",
        "mixed = '1'",
        "port != 1",
        "absent != 1",
        "not exists absent",
        "not absent > 1",
        "namespace childfrom Root/Plant/",
        "[operator][port] = 32148",
        "operator.port = 1",
        "[*][port] = 32148",
        "port = 1 or port = 32148",
        "not (port = 1 and id = acme)",
    ],
)
def test_it_holds(text: str) -> None:
    assert matches(parse_where(text), POLICY, now=NOW)
    assert not matches(parse_where(f"not ({text})" if text else "not exists id"), POLICY, now=NOW)


@pytest.mark.parametrize(
    "text",
    [
        "id = ACME",
        "port = '32148'",
        "port > '9'",
        "port startswith 32",
        "zip = 94105",
        "zip > 5",
        "main = 1",
        "main = 'true'",
        "main >= 0",
        "ratio = true",
        "main = false",
        "absent = x",
        "absent < 1",
        "none = ''",
        "none = 0",
        "none < 1",
        "net = x",
        "net.ip.x = 1",
        "net.a.b = 1",
        "tags = w",
        "tags = yes",
        "tags != x",
        "sites.rooms = 1",
        "operator.id = acme",
        "id = acme and port = 1",
        "ip in 11.0.0.0/8",
        "ip in ('10.0.0.0/8')",
        "name in 0.0.0.0/0",
        "date > now",
        "zip > now - 7d",
        "exists absent",
        "exists net.absent",
        "exists zip.absent",
        "exists tags.absent",
        "port is null",
        "absent is not null",
        "namespace childfrom Root/",
        "namespace childfrom Root/Plant/Line/",
        "namespace childfrom /",
        "port in ('32148', 1, true)",
        "main in (1)",
    ],
)
def test_it_does_not_hold(text: str) -> None:
    assert not matches(parse_where(text), POLICY, now=NOW)
    assert matches(parse_where(f"not ({text})"), POLICY, now=NOW)


def test_a_child_may_end_in_the_separator() -> None:
    policy = {"uns": {"path": "Root/Plant/"}}
    assert matches(parse_where("path childfrom Root/"), policy)
    assert not matches(parse_where("path childfrom Root/Plant/"), policy)
    rooted = {"uns": {"path": "/Root"}}
    assert not matches(parse_where("path childfrom /"), rooted)  # a separator alone names no parent
    assert matches(parse_where("path startswith /"), rooted)


def test_a_path_from_outside_is_of_one_kind() -> None:
    condition = parse_where("[site][name] = x")
    assert matches(condition, {"site": {"name": "x"}})
    assert matches(condition, {"tag": {"site": [{"name": "x"}]}})
    assert not matches(condition, {"tag": {"name": "x"}})


def test_other_shapes_meet_only_the_empty_clause() -> None:
    for shape in ({}, {"a": {"id": 1}, "b": {"id": 1}}, {"a": 1}, {"a": None}):
        assert matches(parse_where(""), shape)
        assert not matches(parse_where("id = 1"), shape)
