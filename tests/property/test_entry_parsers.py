"""Any bytes to the parsers of envelopes, statements, keys and roots: what they take is what they write, or FormatError."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ledger.core.bodies import check_body
from ledger.core.canonical import AUTHORITY_KINDS, dump
from ledger.core.envelope import Envelope, parse_envelope, rebuild_envelope, sign
from ledger.core.errors import FormatError
from ledger.core.keys import PrivateKey, PublicKey
from ledger.core.root import parse_root
from ledger.core.statement import Statement, parse_statement
from tests.support.fold_story import key, member, permissions, root_body

KEYS = [PrivateKey(bytes([n]) * 32) for n in range(3)]
STATEMENT = Statement("0" * 64, "put", "operator", "op1", None, "root", "2026-11-21T10:00:00Z", {"name": "n", "list": [1, 0.5, None]})
ENVELOPE = sign(STATEMENT, KEYS)
JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def bent(draw: st.DrawFn, text: bytes) -> bytes:
    """Return bytes with a few of them cut, doubled or changed."""
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        until = min(len(text), at + draw(st.integers(0, 3)))
        text = text[:at] + draw(st.binary(max_size=3)) + text[until:]
    return text


@given(bent(ENVELOPE.entry) | st.binary(max_size=300))
def test_parse_envelope_takes_one_spelling(entry: bytes) -> None:
    with suppress(FormatError):
        envelope = parse_envelope(entry)
        outer = json.loads(entry)
        assert json.dumps(outer, separators=(",", ":"), sort_keys=True).encode() == entry
        assert base64.b64decode(outer["payload"], validate=True) == envelope.payload
        assert [row["keyid"] for row in outer["signatures"]] == sorted({keyid for keyid, _ in envelope.signatures})


@given(bent(ENVELOPE.entry) | st.binary(max_size=300))
def test_rebuild_envelope_gives_an_entry_that_parses(text: bytes) -> None:
    with suppress(FormatError):
        assert parse_envelope(rebuild_envelope(text).entry) == rebuild_envelope(text)


@given(st.dictionaries(st.sampled_from(["payload", "payloadType", "signatures"]), JSON_VALUES))
def test_rebuild_envelope_of_any_members(members: dict[str, Any]) -> None:
    with suppress(FormatError):
        assert isinstance(rebuild_envelope(json.dumps(members).encode()), Envelope)


@given(bent(STATEMENT.payload) | st.binary(max_size=300))
def test_parse_statement_takes_what_it_writes(payload: bytes) -> None:
    with suppress(FormatError):
        parsed = parse_statement(payload)
        members = [parsed.ledger, parsed.op, parsed.kind, parsed.id, parsed.prev, parsed.by, parsed.iat, parsed.body]
        again = Statement(*members)  # type: ignore[arg-type] # the members in their order
        assert again.payload == payload
        assert again.digest == parsed.digest


@given(st.sampled_from(["v", "ledger", "op", "kind", "id", "prev", "by", "iat", "body"]), JSON_VALUES)
def test_statement_of_any_member_is_one_or_a_format_error(name: str, value: Any) -> None:
    members: dict[str, Any] = {**json.loads(STATEMENT.payload), name: value}
    with suppress(FormatError):
        payload = dump(members)
        assert parse_statement(payload).payload == payload


@given(st.text(max_size=60) | bent(KEYS[0].public.text.encode()).map(lambda text: text.decode("latin-1")) | JSON_VALUES)
def test_key_has_one_text(text: Any) -> None:
    with suppress(FormatError):
        assert PublicKey.parse(text).text == text


@given(st.sampled_from(sorted(root_body())), JSON_VALUES)
def test_root_of_any_member_is_one_or_a_format_error(name: str, value: Any) -> None:
    with suppress(FormatError):
        body = {**root_body(), name: value}
        assert parse_root(body).body == body


BODIES: dict[str, Any] = {
    "root": root_body(),
    "mark": {"time": "2026-11-21T10:00:00Z", "state": {"size": 0, "root": "0" * 64}},
    "permissions": permissions("p", ["*"], ["a"])
    | {"allow": [{"ops": ["put"], "kinds": ["*"], "scope": {"own": True, "attr": {"a": ["b"]}}}]},
    "member": member("m", "p", invite="i"),
    "invite": member("m", "p", expires="2026-11-21T10:00:00Z"),
    "assignment": {"members": ["m"], "permissions": ["p"], "note": {}},
    "schema": {"kind": "node", "unique": [["a"]], "refs": [{"attr": "a", "kind": "b", "drop": "refuse"}], "json_schema": 1},
}


@st.composite
def altered(draw: st.DrawFn, value: Any) -> Any:
    """Return the value with one part of it, at any depth, taken out or replaced."""
    if isinstance(value, dict) and value and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(value)))
        return {**value, name: draw(altered(value[name]))}
    if isinstance(value, list) and value and draw(st.booleans()):
        return [draw(altered(value[0])), *value[1:]]
    return draw(JSON_VALUES)


@given(st.sampled_from(sorted(AUTHORITY_KINDS)).flatmap(lambda kind: st.tuples(st.just(kind), altered(BODIES[kind]))))
def test_body_of_any_shape_passes_or_is_a_format_error(case: tuple[str, Any]) -> None:
    kind, body = case
    if isinstance(body, dict):
        with suppress(FormatError):
            check_body(kind, body)


def test_bodies_above_are_good() -> None:
    for kind, body in BODIES.items():
        check_body(kind, body)
    assert key("m").public.text == BODIES["member"]["key"]
