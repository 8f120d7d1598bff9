"""The envelope: a statement with its signatures, in exactly one spelling (FORMATS 4). It is entry and leaf.

One DSSE envelope has many JSON spellings; the log holds only this one, so a template of fixed pieces decides and
no JSON parser is asked. `rebuild_envelope` is for what people send.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from ledger.core.canonical import JSON, is_hex64, load
from ledger.core.errors import FormatError
from ledger.core.limits import LIMITS
from ledger.core.statement import Statement, parse_statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ledger.core.ports import Signer

PAYLOAD_TYPE: Final = "application/vnd.metaledger.statement.v1+json"
SIGNATURE_BYTES: Final = 64

_PREAMBLE: Final = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} ".encode()
_ID: Final = b'"id":"'
_HEAD: Final = b'{"payload":"'
_MIDDLE: Final = f'","payloadType":"{PAYLOAD_TYPE}","signatures":['.encode()
_TAIL: Final = b"]}"
_KEYID: Final = b'{"keyid":"'
_SIG: Final = b'","sig":"'
_END: Final = b'"}'
_KEYID_AT: Final = len(_KEYID)
_SIG_AT: Final = _KEYID_AT + 64
_VALUE_AT: Final = _SIG_AT + len(_SIG)
_END_AT: Final = _VALUE_AT + 88
_LENGTH: Final = _END_AT + len(_END)
_REQUEST_LIMIT: Final = 4 * LIMITS.entry  # any spelling of one envelope; escapes and spaces cost


class Signature(NamedTuple):
    """One signature and the key it claims."""

    keyid: str
    sig: bytes


@dataclass(frozen=True)
class Envelope:
    """A payload, its signatures in ascending order of keyid, and the bytes of both. Made by this module only."""

    payload: bytes
    signatures: tuple[Signature, ...]
    entry: bytes

    @cached_property
    def statement(self) -> Statement:
        """Return the statement. Raises FormatError: an envelope may hold anything."""
        return parse_statement(self.payload)


def pae(payload: bytes) -> bytes:
    """Return what is signed: DSSE's pre-authentication encoding of the payload."""
    return b"%s%d %s" % (_PREAMBLE, len(payload), payload)


def parse_envelope(entry: bytes) -> Envelope:
    """Return the envelope of an entry's bytes. Raises FormatError unless they have the one spelling."""
    if len(entry) > LIMITS.entry:
        raise FormatError(f"an entry has at most {LIMITS.entry} bytes")
    split = entry.find(b'"', len(_HEAD))
    if split < 0 or not entry.startswith(_HEAD) or not entry.startswith(_MIDDLE, split) or not entry.endswith(_TAIL):
        raise FormatError("not the one spelling of an envelope")
    payload = _unbase64(entry[len(_HEAD) : split])
    if len(payload) > LIMITS.statement:
        raise FormatError(f"a statement has at most {LIMITS.statement} bytes")
    return Envelope(payload, _parse_signatures(entry[split + len(_MIDDLE) : -len(_TAIL)]), entry)


def parse_entry(entry: bytes) -> Envelope:
    """Return the envelope of an entry's bytes with its statement read too. Raises FormatError for either."""
    envelope = parse_envelope(entry)
    vars(envelope)["statement"] = parse_statement(envelope.payload)
    return envelope


def entry_id(entry: bytes) -> str:
    """Return the policy id of an entry that was accepted, without reading what else it says.

    In the canonical form of a statement only `kind`, `ledger`, `op`, `prev` and `v` follow its `id`, and no string holds a bare quote:
    so the last `"id":"` is the one.
    """
    payload = binascii.a2b_base64(entry[len(_HEAD) : entry.index(b'"', len(_HEAD))])
    start = payload.rindex(_ID) + len(_ID)
    return payload[start : payload.index(b'"', start)].decode()


def seal(payload: bytes, signatures: Iterable[Signature]) -> Envelope:
    """Return the envelope of a payload and its signatures, in any order. Raises FormatError."""
    ordered = tuple(sorted(signatures))
    parts = []
    for keyid, sig in ordered:
        if not is_hex64(keyid) or len(sig) != SIGNATURE_BYTES:
            raise FormatError("a signature has a keyid of 64 hex digits and 64 bytes")
        parts.append(b"".join((_KEYID, keyid.encode(), _SIG, _base64(sig), _END)))
    _check_order(ordered)
    entry = b"".join((_HEAD, _base64(payload), _MIDDLE, b",".join(parts), _TAIL))
    if len(payload) > LIMITS.statement or len(entry) > LIMITS.entry:
        raise FormatError(f"an entry has at most {LIMITS.entry} bytes, its statement {LIMITS.statement}")
    return Envelope(payload, ordered, entry)


def sign(statement: Statement, signers: Sequence[Signer]) -> Envelope:
    """Return the statement signed by each signer. Raises FormatError for none, too many or one twice."""
    message = pae(statement.payload)
    envelope = seal(statement.payload, [Signature(signer.public.keyid, signer.sign(message)) for signer in signers])
    vars(envelope)["statement"] = statement
    return envelope


def rebuild_envelope(text: bytes) -> Envelope:
    """Return the envelope of a DSSE envelope in any JSON spelling. Raises FormatError.

    DSSE lets members that are not known stand, and base64 be of either alphabet. A signature without keyid is
    refused, for the entry must name the key.
    """
    if len(text) > _REQUEST_LIMIT:
        raise FormatError(f"an envelope has at most {_REQUEST_LIMIT} bytes in any spelling")
    outer = load(text)
    if not isinstance(outer, dict) or outer.get("payloadType") != PAYLOAD_TYPE:
        raise FormatError(f"not a DSSE envelope of type {PAYLOAD_TYPE}")
    signatures = outer.get("signatures")
    if not isinstance(signatures, list) or len(signatures) > LIMITS.signatures:
        raise FormatError(f"signatures is a list of 1 to {LIMITS.signatures}")
    payload = _loose_base64(outer.get("payload"))
    return seal(payload, {_loose_signature(member) for member in signatures})


def _parse_signatures(text: bytes) -> tuple[Signature, ...]:
    count, rest = divmod(len(text) + 1, _LENGTH + 1)
    if rest or count > LIMITS.signatures:
        raise FormatError("not the one spelling of 1 to 16 signatures")
    if count > 1 and any(text[start - 1] != ord(",") for start in range(_LENGTH + 1, len(text), _LENGTH + 1)):
        raise FormatError("not the one spelling of signatures")
    ordered = tuple([_parse_signature(text[start : start + _LENGTH]) for start in range(0, len(text), _LENGTH + 1)])
    _check_order(ordered)
    return ordered


def _parse_signature(text: bytes) -> Signature:
    if not text.startswith(_KEYID) or text[_SIG_AT:_VALUE_AT] != _SIG or text[_END_AT:] != _END:
        raise FormatError("not the one spelling of a signature")
    keyid = text[_KEYID_AT:_SIG_AT].decode("latin-1")
    if not is_hex64(keyid):
        raise FormatError("a keyid has 64 hex digits")
    sig = _unbase64(text[_VALUE_AT:_END_AT])
    if len(sig) != SIGNATURE_BYTES:
        raise FormatError("a signature has 64 bytes")
    return Signature(keyid, sig)


def _check_order(signatures: Sequence[Signature]) -> None:
    if not 1 <= len(signatures) <= LIMITS.signatures:
        raise FormatError(f"an envelope has 1 to {LIMITS.signatures} signatures")
    if len(signatures) > 1 and any(left.keyid >= right.keyid for left, right in pairwise(signatures)):
        raise FormatError("signatures stand in strictly ascending order of keyid")


def _base64(raw: bytes) -> bytes:
    return binascii.b2a_base64(raw, newline=False)


def _unbase64(text: bytes) -> bytes:
    try:
        raw = binascii.a2b_base64(text)
    except binascii.Error as error:
        raise FormatError("not base64") from error
    if _base64(raw) != text:
        raise FormatError("base64 that is not equal to its re-encoding")
    return raw


def _loose_base64(text: JSON) -> bytes:
    if not isinstance(text, str) or not text.isascii():
        raise FormatError("base64 is text")
    return _unbase64(text.translate({ord("-"): "+", ord("_"): "/"}).encode())


def _loose_signature(member: JSON) -> Signature:
    if not isinstance(member, dict):
        raise FormatError("a signature is an object")
    keyid = member.get("keyid")
    if not is_hex64(keyid):
        raise FormatError("a signature names its key: keyid has 64 hex digits")
    return Signature(keyid, _loose_base64(member.get("sig")))
