"""The envelope: one spelling in the log, any on the way in."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from ledger.core.envelope import PAYLOAD_TYPE, Envelope, Signature, entry_id, pae, parse_envelope, rebuild_envelope, seal, sign
from ledger.core.errors import FormatError
from ledger.core.keys import PrivateKey
from ledger.core.statement import Statement

if TYPE_CHECKING:
    from ledger.core.canonical import JSONObject

KEYS = sorted((PrivateKey(bytes([n]) * 32) for n in range(17)), key=lambda key: key.public.keyid)
STATEMENT = Statement("0" * 64, "put", "operator", "op1", None, "root", "2026-11-21T10:00:00Z", {"name": "\u00fc\u00ff\u00fe"})
ONE = sign(STATEMENT, KEYS[:1])
TWO = sign(STATEMENT, [KEYS[1], KEYS[0]])


def loose(envelope: Envelope, **changes: Any) -> dict[str, Any]:
    return {**json.loads(envelope.entry), **changes}


def test_pae_is_that_of_dsse() -> None:
    assert pae(b"\x00abc") == f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} 4 \x00abc".encode()


def test_sign_signs_the_pae_and_orders_by_keyid() -> None:
    assert [signature.keyid for signature in TWO.signatures] == [key.public.keyid for key in KEYS[:2]]
    for key, signature in zip(KEYS, TWO.signatures, strict=False):
        assert key.public.verify(signature.sig, pae(STATEMENT.payload))
    assert TWO.statement is STATEMENT


@pytest.mark.parametrize("envelope", [ONE, TWO, sign(STATEMENT, KEYS[:16])])
def test_parse_reads_what_seal_writes(envelope: Envelope) -> None:
    parsed = parse_envelope(envelope.entry)
    assert parsed == envelope
    assert parsed.statement == STATEMENT
    outer = json.loads(envelope.entry)
    assert base64.b64decode(outer["payload"]) == STATEMENT.payload
    assert outer["payloadType"] == PAYLOAD_TYPE


@pytest.mark.parametrize("op", ["put", "drop"])
def test_entry_id_is_that_of_the_statement_whatever_its_body_imitates(op: str) -> None:
    body: JSONObject | None = {"id": "other", "x": '","id":"other","kind":"y","ledger":"', "y": [{"id": "other"}]} if op == "put" else None
    statement = Statement("0" * 64, op, "operator", "op-1.2_3", "a" * 64, "root", "2026-11-21T10:00:00Z", body)
    assert entry_id(sign(statement, KEYS[:2]).entry) == statement.id


def test_envelope_may_hold_anything_until_its_statement_is_asked_for() -> None:
    envelope = parse_envelope(seal(b"", ONE.signatures).entry)
    assert envelope.payload == b""
    with pytest.raises(FormatError):
        _ = envelope.statement


def swapped(entry: bytes) -> bytes:
    outer = json.loads(entry)
    outer["signatures"].reverse()
    return json.dumps(outer, separators=(",", ":")).encode()


def other_base64(entry: bytes) -> bytes:
    """Set the spare bits of the first signature's base64: it ends in A, Q, g or w, then `==`."""
    at = entry.index(b'=="}')
    return entry[: at - 1] + bytes([entry[at - 1] + 1]) + entry[at:]


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"{}",
        b'{"payload":"',
        b'{"payload":""',
        b'{"payload":"","payloadType":"' + PAYLOAD_TYPE.encode() + b'","signatures":[]}',
        ONE.entry + b"\n",
        b" " + ONE.entry,
        b"\xef\xbb\xbf" + ONE.entry,
        ONE.entry[:-1],
        ONE.entry[:-3] + b"]}",
        ONE.entry[:-2] + b",]}",
        ONE.entry.replace(b"payload", b"Payload", 1),
        ONE.entry.replace(b".v1+json", b".v2+json"),
        ONE.entry.replace(b'"keyid"', b'"keyId"'),
        ONE.entry.replace(b'"sig"', b'"sgi"'),
        ONE.entry.replace(b'"}]}', b"'}]}"),
        ONE.entry.replace(ONE.signatures[0].keyid.encode(), ONE.signatures[0].keyid.upper().encode()),
        ONE.entry.replace(ONE.signatures[0].keyid.encode(), b"\xff" * 64),
        ONE.entry.replace(ONE.signatures[0].keyid.encode(), b"g" * 64),
        other_base64(ONE.entry),
        ONE.entry.replace(b'","payloadType', b'=","payloadType'),
        ONE.entry.replace(b'{"payload":"', b'{"payload":"!'),
        ONE.entry.replace(b'{"payload":"', b'{"payload":"A'),
        TWO.entry.replace(b'"},{"', b'"} {"'),
        TWO.entry.replace(b'"},{"', b'"};{"'),
        swapped(TWO.entry),
        seal(STATEMENT.payload, [ONE.signatures[0]]).entry[:-2] + b"," + ONE.entry[-175:],
        ONE.entry[:-90] + b"A" * 86 + b'"}]}',
        ONE.entry[:-92] + b"A" * 87 + b'="}]}',
        b"[" * 16_000,
        b'{"payload":"' + b"A" * 65_536 + b'"',
    ],
)
def test_parse_any_other_spelling_is_a_format_error(entry: bytes) -> None:
    with pytest.raises(FormatError):
        parse_envelope(entry)


def test_one_signature_twice_is_refused() -> None:
    entry = ONE.entry[:-2] + b"," + ONE.entry[-175:]
    assert json.loads(entry)["signatures"] == json.loads(ONE.entry)["signatures"] * 2
    with pytest.raises(FormatError, match="ascending"):
        parse_envelope(entry)


def test_seventeen_signatures_are_refused() -> None:
    many = [Signature(key.public.keyid, key.sign(b"")) for key in KEYS]
    with pytest.raises(FormatError, match="1 to 16"):
        seal(b"", many)
    rows = [{"keyid": keyid, "sig": base64.b64encode(sig).decode()} for keyid, sig in many]
    with pytest.raises(FormatError, match="1 to 16"):
        rebuild_envelope(json.dumps({"payload": "", "payloadType": PAYLOAD_TYPE, "signatures": rows}).encode())
    with pytest.raises(FormatError, match="16 signatures"):
        parse_envelope(json.dumps({"payload": "", "payloadType": PAYLOAD_TYPE, "signatures": rows}, separators=(",", ":")).encode())


@pytest.mark.parametrize("signature", [Signature("0" * 63, bytes(64)), Signature("G" * 64, bytes(64)), Signature("0" * 64, bytes(63))])
def test_seal_refuses_signatures_of_another_form(signature: Signature) -> None:
    with pytest.raises(FormatError, match="64"):
        seal(b"", [signature])


def test_seal_refuses_none_and_too_long_a_payload() -> None:
    with pytest.raises(FormatError, match="1 to 16"):
        seal(b"", [])
    assert len(seal(bytes(32_768), ONE.signatures).payload) == 32_768
    with pytest.raises(FormatError, match="32768"):
        seal(bytes(32_769), ONE.signatures)
    with pytest.raises(FormatError, match="32768"):
        parse_envelope(seal(bytes(32_768), ONE.signatures).entry.replace(b'AA=","payloadType', b'AAA","payloadType'))


def test_entry_has_a_most_of_bytes() -> None:
    with pytest.raises(FormatError, match="65535"):
        parse_envelope(bytes(65_536))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(loose(TWO), indent=3),
        json.dumps(loose(TWO, signatures=loose(TWO)["signatures"][::-1])),
        json.dumps(loose(TWO, signatures=loose(TWO)["signatures"] * 2)),
        json.dumps(loose(TWO, extra=[1.0])),
        json.dumps(loose(TWO, payload=base64.urlsafe_b64encode(TWO.payload).decode())),
        json.dumps(dict(reversed(loose(TWO).items()))).replace("/", "\\/"),
    ],
)
def test_rebuild_gives_the_one_spelling(text: str) -> None:
    assert rebuild_envelope(text.encode()) == TWO


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"payloadType": "text/plain"}, "not a DSSE envelope"),
        ({"payload": None}, "base64 is text"),
        ({"payload": "\u00e9"}, "base64 is text"),
        ({"payload": "A"}, "not base64"),
        ({"payload": "AB=="}, "re-encoding"),
        ({"signatures": None}, "a list of 1 to 16"),
        ({"signatures": []}, "1 to 16 signatures"),
        ({"signatures": ["a"]}, "a signature is an object"),
        ({"signatures": [{"sig": "AAAA"}]}, "names its key"),
        ({"signatures": [{"keyid": "0" * 64, "sig": "AAAA"}]}, "64 bytes"),
        ({"signatures": [{"keyid": "0" * 64}]}, "base64 is text"),
    ],
)
def test_rebuild_refuses_what_it_cannot_spell(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        rebuild_envelope(json.dumps(loose(ONE, **changes)).encode())


def test_rebuild_refuses_two_signatures_of_one_key() -> None:
    rows = loose(ONE)["signatures"]
    other = {**rows[0], "sig": base64.b64encode(bytes(64)).decode()}
    with pytest.raises(FormatError, match="ascending"):
        rebuild_envelope(json.dumps(loose(ONE, signatures=[*rows, other])).encode())


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"payload":"","payload":""}', b" " * 300_000])
def test_rebuild_of_no_envelope_is_a_format_error(text: bytes) -> None:
    with pytest.raises(FormatError):
        rebuild_envelope(text)
