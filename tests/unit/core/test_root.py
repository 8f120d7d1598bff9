"""The root: its seventeen members, typed."""

from __future__ import annotations

from typing import Any

import pytest

from ledger.core.canonical import dump
from ledger.core.errors import FormatError
from ledger.core.root import MEMBERS, admins_of, parse_root
from tests.support.fold_story import key, root_body

FULL = root_body(
    admins=[{"name": "a", "key": key("a").public.text}, {"name": "a", "key": key("b").public.text}],
    threshold=2,
    log_keys=[{"vkey": "v", "until": None}, {"vkey": "v", "until": 0}],
    clock_keys=["c"],
    witnesses=["w1", "w2"],
    expires="2030-01-01T00:00:00Z",
    order={"type": "ethereum", "chain": 1},
)


def test_root_has_every_member_typed() -> None:
    root = parse_root(FULL)
    assert len(MEMBERS) == 17
    assert [admin.name for admin in root.admins] == ["a", "a"]
    assert list(root.admin_keys) == [key("a").public.keyid, key("b").public.keyid]
    assert admins_of(FULL) == (dict(root.admin_keys), 1)
    assert [(log_key.vkey, log_key.until) for log_key in root.log_keys] == [("v", None), ("v", 0)]
    assert root.mark_keys == (key("mark").public,)
    assert (root.threshold, root.authority_threshold, root.quorum, root.state_every) == (2, 1, 0, 4)
    assert dump(root.body) == dump(FULL)


def test_note_is_allowed_and_dropped() -> None:
    assert parse_root({**FULL, "note": {"why": 1}}) == parse_root(FULL)


ADMIN = {"name": "a", "key": key("a").public.text}
BAD: list[dict[str, Any]] = [
    {"extra": 1},
    {"note": []},
    {"name": "A"},
    {"name": 1},
    {"origin": 1},
    {"version": 0},
    {"version": True},
    {"version": 1.5},
    {"fold": 0},
    {"order": []},
    {"order": {}},
    {"order": {"type": 1}},
    {"admins": []},
    {"admins": {}},
    {"admins": [ADMIN, ADMIN]},
    {"admins": [{"name": "a", "key": key(str(n)).public.text} for n in range(17)]},
    {"admins": ["a"]},
    {"admins": [{"name": "a"}]},
    {"admins": [{**ADMIN, "x": 1}]},
    {"admins": [{**ADMIN, "name": "A"}]},
    {"admins": [{**ADMIN, "key": "k"}]},
    {"threshold": 0},
    {"threshold": 3},
    {"authority_threshold": 0},
    {"authority_threshold": 3},
    {"log_keys": {}},
    {"log_keys": ["v"]},
    {"log_keys": [{"vkey": "v"}]},
    {"log_keys": [{"vkey": 1, "until": None}]},
    {"log_keys": [{"vkey": "v", "until": -1}]},
    {"log_keys": [{"vkey": "v", "until": "1"}]},
    {"clock_keys": ["c", "c"]},
    {"clock_keys": [1]},
    {"witnesses": None},
    {"mark_keys": ["k"]},
    {"mark_keys": [key("mark").public.text] * 2},
    {"mark_keys": [key("a").public.text]},
    {"quorum": -1},
    {"fresh_for": None},
    {"stale_after": "1"},
    {"state_every": 0},
    {"expires": 0},
    {"expires": "2030-01-01"},
]


@pytest.mark.parametrize("changes", BAD, ids=str)
def test_member_of_another_form_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        parse_root({**FULL, **changes})


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_every_member_is_needed(name: str) -> None:
    with pytest.raises(FormatError, match="seventeen"):
        parse_root({member: value for member, value in FULL.items() if member != name})


@pytest.mark.parametrize("body", [None, [], "root", 1])
def test_root_is_an_object(body: Any) -> None:
    with pytest.raises(FormatError):
        parse_root(body)
