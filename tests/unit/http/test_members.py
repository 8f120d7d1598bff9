"""Which entries may change rights: too many at most, never too few."""

from __future__ import annotations

import pytest

from ledger.core.envelope import sign
from ledger.core.statement import Statement
from ledger.http.members import payload_of, touched, touches_rights
from tests.support.identities import key_of

KEY = key_of("author")


def entry(kind: str, body: dict[str, object] | None, op: str = "put") -> bytes:
    policy_id = kind if kind in {"root", "mark"} else "some-id"
    prev = None if op == "put" else "0" * 64
    statement = Statement("ab" * 32, op, kind, policy_id, prev, KEY.public.keyid, "2026-11-22T10:00:00Z", body)  # type: ignore[arg-type] # JSON
    return sign(statement, [KEY]).entry


@pytest.mark.parametrize("kind", ["assignment", "invite", "member", "permissions", "root"])
def test_touches_rights_of_every_kind_that_gives_them(kind: str) -> None:
    assert touches_rights([entry("site", {"a": 1}), entry(kind, {"name": "x"})])
    if kind != "root":
        assert touches_rights([entry(kind, None, "drop")])


def test_touched_names_the_identities() -> None:
    found = touched([entry("site", {"a": 1}), entry("member", {"name": "x", "invite": "invite-7"}), entry("permissions", {"name": "p"})])
    assert found.rights
    assert found.identities == {"some-id", "invite-7"}
    assert not touched([entry("site", {"invite": "invite-7"})]).rights


@pytest.mark.parametrize("body", [{"kind": "member"}, {"note": '"kind":"member"'}, {"a": {"kind": "root", "ledgers": ""}}])
def test_touches_rights_of_ordinary_policies_is_no(body: dict[str, object]) -> None:
    assert not touches_rights([entry("site", body), entry("mark", body)])


def test_touches_rights_of_a_body_that_imitates_costs_a_look_up_only() -> None:
    assert touches_rights([entry("site", {"a": {"id": "i", "kind": "member", "ledger": "x"}})])


@pytest.mark.parametrize("raw", [b"", b"x", b'{"payload":"', b'{"payload":"===="', b'{"payload":"\xff"'])
def test_payload_of_what_holds_none_is_empty(raw: bytes) -> None:
    assert payload_of(raw) == b""
