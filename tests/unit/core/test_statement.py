"""The statement: its forms, its limits, its name, and merge patches."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ledger.core.canonical import dump, sha256_hex
from ledger.core.errors import FormatError
from ledger.core.statement import Statement, derive_id, is_derived, merge_patch, parse_statement

MEMBERS: dict[str, Any] = {
    "ledger": "0" * 64,
    "op": "put",
    "kind": "operator",
    "id": "op1",
    "prev": None,
    "by": "root",
    "iat": "2026-11-21T10:00:00Z",
    "body": {"name": "n1"},
}


def made(**changes: Any) -> Statement:
    return Statement(**{**MEMBERS, **changes})


def payload(**changes: Any) -> bytes:
    return dump({"v": 1, **MEMBERS, **changes})


def test_statement_writes_what_parse_reads() -> None:
    statement = made()
    assert statement.payload == payload()
    assert statement.digest == sha256_hex(statement.payload)
    parsed = parse_statement(statement.payload)
    assert parsed == statement
    assert parsed.payload is statement.payload
    assert parsed.digest == statement.digest


@pytest.mark.parametrize(
    "changes",
    [
        {"body": {"name": 'é,"by":"root"', "list": [1, {"body": {}}]}},
        {"by": "a" * 64, "prev": "b" * 64, "op": "patch", "body": {"x": None}},
        {"ledger": "", "kind": "root", "id": "root", "body": {}},
        {"op": "drop", "prev": "b" * 64, "body": None},
    ],
)
def test_body_text_is_the_canonical_body(changes: dict[str, Any]) -> None:
    for statement in (made(**changes), parse_statement(payload(**changes))):
        assert statement.body_text == dump(statement.body)
        if isinstance(statement.body, dict):
            assert derive_id(statement.kind, statement.body_text) == derive_id(statement.kind, statement.body)


BAD: list[tuple[str, Any]] = [
    ("ledger", "x"),
    ("ledger", "0" * 63),
    ("ledger", None),
    ("op", "PUT"),
    ("op", ["put"]),
    ("kind", "Root"),
    ("kind", ""),
    ("kind", None),
    ("id", ""),
    ("id", "a\n"),
    ("id", 1),
    ("id", "root"),
    ("id", "mark"),
    ("kind", "root"),
    ("kind", "mark"),
    ("prev", ""),
    ("prev", "A" * 64),
    ("prev", 0),
    ("by", "Root"),
    ("by", "A" * 64),
    ("by", None),
    ("iat", "2026-11-21"),
    ("iat", None),
    ("body", None),
    ("body", []),
    ("body", "x"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_member_of_another_form_is_refused(name: str, value: Any) -> None:
    with pytest.raises(FormatError):
        made(**{name: value})
    with pytest.raises(FormatError):
        parse_statement(payload(**{name: value}))


def test_drop_has_no_body_and_others_have_one() -> None:
    assert made(op="drop", body=None, prev="1" * 64).body is None
    with pytest.raises(FormatError, match="null in a drop"):
        made(op="drop")


def test_ids_root_and_mark_go_with_their_kinds() -> None:
    for kind in ("root", "mark"):
        assert made(kind=kind, id=kind).id == kind
        with pytest.raises(FormatError, match="belong together"):
            made(kind=kind, id="root" if kind == "mark" else "mark")


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b"{}",
        b"null",
        dump({**MEMBERS, "v": 2}),
        dump({**MEMBERS, "v": True}),
        dump({**MEMBERS, "v": "1"}),
        dump({**MEMBERS, "w": 1}),
        dump({**MEMBERS, "v": 1, "w": 1}),
        dump({name: value for name, value in {**MEMBERS, "v": 1, "w": 1}.items() if name != "by"}),
        json.dumps({**MEMBERS, "v": 1}).encode(),
        payload() + b"\n",
    ],
)
def test_payload_of_other_members_or_spelling_is_refused(text: bytes) -> None:
    with pytest.raises(FormatError):
        parse_statement(text)


def test_statement_has_a_most_of_bytes() -> None:
    space = 32_768 - len(payload(body={"t": ""}))
    assert len(made(body={"t": "x" * space}).payload) == 32_768
    too_long = made(body={"t": "x" * (space + 1)})
    with pytest.raises(FormatError, match="32768 bytes"):
        _ = too_long.payload
    assert parse_statement(payload(body={"t": "x" * space})).body is not None
    with pytest.raises(FormatError, match="32768 bytes"):
        parse_statement(payload(body={"t": "x" * (space + 1)}))


def test_statement_nests_32_deep() -> None:
    body: dict[str, Any] = {}
    for _ in range(30):
        body = {"b": body}
    assert made(body=body).payload
    with pytest.raises(FormatError, match="nested"):
        _ = made(body={"b": body}).payload


def test_derived_id_ignores_the_order_of_names() -> None:
    assert derive_id("operator", {"a": 1, "b": 2}) == derive_id("operator", {"b": 2, "a": 1})
    assert derive_id("operator", {"a": 1}) == sha256_hex(b'{"operator":{"a":1}}')[:40]
    assert is_derived(derive_id("operator", {}))
    assert not is_derived("op1")


# RFC 7396, appendix A, and what it says of members that are not there.
MERGES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("target", "patch", "result"), MERGES)
def test_merge_patch_follows_the_rfc(target: Any, patch: Any, result: Any) -> None:
    before = json.dumps([target, patch])
    assert merge_patch(target, patch) == result
    assert json.dumps([target, patch]) == before
