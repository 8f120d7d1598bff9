"""State lines, the trie, look-ups, and the reference view."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from ledger.core.canonical import parse, sha256_hex
from ledger.core.state import (
    Accepted,
    DictState,
    KeyRecord,
    Record,
    lookup_given,
    lookup_name,
    lookup_referrer,
    lookup_schema,
    lookup_unique,
    lookups,
    schema_of,
    state_root,
    texts_of,
    trie_root,
)

IAT = "2026-11-21T10:00:00Z"
DIGEST, KEYID = "d" * 64, "e" * 64


def record(kind: str, policy_id: str, body: dict[str, Any] | None, **changes: Any) -> Record:
    return replace(Record(kind, policy_id, body is not None, DIGEST, 7, 3, "root", KEYID, IAT, body), **changes)


def slow_trie(leaves: list[tuple[str, bytes]], depth: int = 0) -> bytes:
    """Return T as FORMATS 8 says it, by the bits of the place as text."""
    if not leaves:
        return bytes(32)
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0][1]).digest()
    halves = [slow_trie([leaf for leaf in leaves if leaf[0][depth] == bit], depth + 1) for bit in "01"]
    return hashlib.sha256(b"\x01" + halves[0] + halves[1]).digest()


def bits(raw: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in raw)


def test_lines_are_the_canonical_lists() -> None:
    line = record("node", "n1", {"b": 1, "a": [None]}).line()
    assert line == b'["node","n1","live","' + b"d" * 64 + b'",7,3,"root","' + b"e" * 64 + b'","2026-11-21T10:00:00Z",{"a":[null],"b":1}]'
    assert parse(record("node", "n1", None).line()) == ["node", "n1", "dropped", DIGEST, 7, 3, "root", KEYID, IAT, None]
    assert KeyRecord(KEYID, "m1", 9).line() == b'["","' + b"e" * 64 + b'","m1",9]'


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 8, 33, 200])
def test_trie_places_by_hash_of_id(count: int) -> None:
    lines = [(f"id{number}", record("node", f"id{number}", {"n": number}).line()) for number in range(count)]
    expected = slow_trie([(bits(hashlib.sha256(name.encode()).digest()), line) for name, line in lines])
    Random(count).shuffle(lines)
    assert trie_root(lines) == expected


@pytest.mark.parametrize("seed", range(40))
def test_trie_places_keys_by_keyid_however_close(seed: int) -> None:
    random = Random(seed)
    keyids: set[str] = set()
    for _ in range(random.randrange(1, 12)):
        raw = bytearray(random.choice([bytes(32), b"\xff" * 32, b"\x55" * 32]))
        for _ in range(random.randrange(3)):
            raw[random.choice([0, 15, 31])] ^= 1 << random.randrange(8)
        keyids.add(raw.hex())
    lines = [(keyid, KeyRecord(keyid, "m", 1).line()) for keyid in sorted(keyids, reverse=True)]
    assert trie_root(lines) == slow_trie([(bits(bytes.fromhex(keyid)), line) for keyid, line in lines])


def test_state_root_lists_kinds_that_have_records() -> None:
    assert state_root({}) == state_root({"": [], "node": []}) == sha256_hex(b"[]")
    assert DictState().state_root() == sha256_hex(b"[]")
    key_lines = [(KEYID, KeyRecord(KEYID, "m", 1).line())]
    lines = [("a", record("node", "a", {}).line())]
    expected = json.dumps(
        [["", 1, trie_root(key_lines).hex()], ["Node", 1, trie_root(lines).hex()], ["node", 1, trie_root(lines).hex()]],
        separators=(",", ":"),
    )
    assert state_root({"node": lines, "Node": lines, "": key_lines}) == sha256_hex(expected.encode())


SCHEMA: dict[str, Any] = {
    "kind": "node",
    "unique": [["name"], ["ip", "port"]],
    "refs": [
        {"attr": "cluster", "kind": "cluster", "drop": "refuse"},
        {"attr": "cluster", "kind": "group", "drop": "refuse"},
        {"attr": "owner", "kind": "member", "drop": "keep"},
    ],
}


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("member", {"name": "alice"}, {lookup_name("alice")}),
        ("assignment", {"members": ["m1", "m2"], "permissions": ["p"]}, {lookup_given("m1", "p"), lookup_given("m2", "p")}),
        ("schema", {"kind": "node"}, {lookup_schema("node")}),
        ("permissions", {"name": "p"}, {"permissions"}),
        ("node", None, set()),
        ("member", None, set()),
        ("node", {"x": 1}, set()),
        ("node", {"name": None}, {lookup_unique("node", ["name"], {"name": None})}),
        ("node", {"ip": "1"}, set()),
        ("node", {"ip": "1", "port": 2, "owner": "m"}, {lookup_unique("node", ["ip", "port"], {"ip": "1", "port": 2})}),
        ("node", {"cluster": "c"}, {lookup_referrer("cluster", "c"), lookup_referrer("group", "c")}),
        ("node", {"cluster": ["c", 1, ["d"]]}, {lookup_referrer("cluster", "c"), lookup_referrer("group", "c")}),
        ("node", {"cluster": {"c": "c"}}, set()),
    ],
)
def test_lookups_are_all_that_a_record_is_found_by(kind: str, body: dict[str, Any] | None, expected: set[str]) -> None:
    assert lookups(record(kind, "x", body), SCHEMA if kind == "node" else None) == expected
    if kind == "node":
        assert lookups(record(kind, "x", body), None) == set()


def test_unique_lookups_differ_by_kind_names_and_values() -> None:
    bodies: list[dict[str, Any]] = [{"a": 1, "b": "1"}, {"a": "1", "b": 1}, {"a": True, "b": "1"}]
    found = {lookup_unique(kind, names, body) for kind in ("k", "K") for names in (["a"], ["b"], ["a", "b"], ["b", "a"]) for body in bodies}
    assert len(found) == 2 * (3 + 2 + 3 + 3)
    assert lookup_unique("k", ["a", "c"], bodies[0]) is None


@pytest.mark.parametrize(("value", "texts"), [("a", ["a"]), (["a", 1, None, "b"], ["a", "b"]), (1, []), (None, []), ({"a": "b"}, [])])
def test_texts_of_a_value_or_list(value: Any, texts: list[str]) -> None:
    assert list(texts_of(value)) == texts


def test_dict_state_files_and_unfiles() -> None:
    state = DictState()
    node = record("node", "n1", {"name": "a", "cluster": "c1"})
    state.apply(Accepted((node,), (KeyRecord(KEYID, "m", 1),), network="f" * 64))
    assert (state.network, state.key(KEYID), state.record("n1")) == ("f" * 64, KeyRecord(KEYID, "m", 1), node)
    name, referrer = lookup_unique("node", ["name"], {"name": "a"}), lookup_referrer("cluster", "c1")
    assert name is not None
    assert list(state.filed(name)) == []
    schema = record("schema", "s1", SCHEMA)
    state.apply(Accepted((schema,), reindex=("node",)))
    assert schema_of(state, "node") == schema
    assert [list(state.filed(lookup)) for lookup in (name, referrer)] == [["n1"], ["n1"]]
    state.apply(Accepted((replace(node, body={"name": "b"}),)))
    assert [list(state.filed(lookup)) for lookup in (name, referrer)] == [[], []]
    state.apply(Accepted((node,)))
    state.apply(Accepted((replace(schema, live=False, body=None),), reindex=("node",)))
    assert schema_of(state, "node") is None
    assert list(state.filed(name)) == []
    assert list(state.of_kind("node")) == [node]
    gone = replace(node, live=False, body=None)
    state.apply(Accepted((gone,)))
    assert list(state.of_kind("node")) == []
    assert state.record("n1") == gone
    assert gone.content == {}
    assert {kind: len(lines) for kind, lines in state.state_lines().items()} == {"": 1, "node": 1, "schema": 1}


def test_two_that_share_a_lookup_are_filed_apart() -> None:
    state = DictState()
    one, two = (record("assignment", name, {"members": ["m"], "permissions": ["p"]}) for name in ("a1", "a2"))
    state.apply(Accepted((one, two)))
    assert list(state.filed(lookup_given("m", "p"))) == ["a1", "a2"]
    state.apply(Accepted((replace(one, live=False, body=None),)))
    assert list(state.filed(lookup_given("m", "p"))) == ["a2"]


def test_schema_is_confirmed_by_its_body() -> None:
    class Loose(DictState):
        def filed(self, lookup: str) -> tuple[str, ...]:
            return ("nowhere", "gone", "n1", "s2", "s1") if lookup else ()

    state = Loose()
    rows = [
        record("schema", "gone", None),
        record("node", "n1", {"kind": "node"}),
        record("schema", "s2", {**SCHEMA, "kind": "x"}),
        record("schema", "s1", SCHEMA),
    ]
    for row in rows:
        state._records[row.id] = row
    assert schema_of(state, "node") == rows[-1]
    assert schema_of(state, "y") is None
