"""The statement: what an author signs (FORMATS 3)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from ledger.core.canonical import JSON, JSONObject, dump, encode, is_hex40, is_hex64, is_id, is_kind, is_time, parse, sha256_hex
from ledger.core.errors import FormatError
from ledger.core.limits import LIMITS

OPS: Final = ("put", "patch", "drop")
ROOT: Final = "root"  # a kind, its only id, the author `by` may name, and an owner
MARK: Final = "mark"  # a kind, its only id, and an owner

_MEMBERS: Final = frozenset({"v", "ledger", "op", "kind", "id", "prev", "by", "iat", "body"})
_BODY_AT: Final = len('{"body":')
_NO_PREV: Final = len(',"by":"","iat":"","id":"","kind":"","ledger":"","op":"","prev":null,"v":1}')
_PREV: Final = _NO_PREV - len("null") + len('""') + 64


@dataclass(frozen=True)
class Statement:
    """One put, patch or drop of one policy. Raises FormatError at once if a member has not its form."""

    ledger: str
    op: str
    kind: str
    id: str
    prev: str | None
    by: str
    iat: str
    body: JSONObject | None

    def __post_init__(self) -> None:
        if self.ledger != "" and not is_hex64(self.ledger):
            raise FormatError("ledger is a network id, or empty")
        if self.op not in OPS:
            raise FormatError("op is put, patch or drop")
        if not is_kind(self.kind):
            raise FormatError("not a kind, or an authority kind in another case")
        if not is_id(self.id):
            raise FormatError("not an id")
        if (self.id in (ROOT, MARK) or self.kind in (ROOT, MARK)) and self.id != self.kind:
            raise FormatError("the ids root and mark and the kinds root and mark belong together")
        if self.prev is not None and not is_hex64(self.prev):
            raise FormatError("prev is a digest or null")
        if self.by != ROOT and not is_hex64(self.by):
            raise FormatError("by is a keyid or root")
        if not is_time(self.iat):
            raise FormatError("iat is a time")
        if not isinstance(self.body, dict if self.op != "drop" else type(None)):
            raise FormatError("body is an object, and null in a drop")

    @cached_property
    def payload(self) -> bytes:
        """Return the bytes that are signed. Raises FormatError if they are too many or too deep."""
        members: JSONObject = {"v": 1, "ledger": self.ledger, "op": self.op, "kind": self.kind, "id": self.id}
        members |= {"prev": self.prev, "by": self.by, "iat": self.iat, "body": self.body}
        payload = dump(members)
        if len(payload) > LIMITS.statement:
            raise FormatError(f"a statement has at most {LIMITS.statement} bytes")
        return payload

    @cached_property
    def digest(self) -> str:
        """Return H(payload), the name of the version it makes."""
        return sha256_hex(self.payload)

    @property
    def body_text(self) -> bytes:
        """Return the canonical form of the body: in the payload it comes first, and what follows it has no escapes."""
        rest = len(self.by) + len(self.iat) + len(self.id) + len(self.kind) + len(self.ledger) + len(self.op)
        rest += _NO_PREV if self.prev is None else _PREV
        return self.payload[_BODY_AT : len(self.payload) - rest]


def parse_statement(payload: bytes) -> Statement:
    """Return the statement of a payload. Raises FormatError."""
    if len(payload) > LIMITS.statement:
        raise FormatError(f"a statement has at most {LIMITS.statement} bytes")
    members = parse(payload)
    if not isinstance(members, dict) or members.keys() != _MEMBERS:
        raise FormatError("a statement is an object of its nine members")
    version = members.pop("v")
    if type(version) is not int or version != 1:
        raise FormatError("v is 1")
    # Not through __init__: a frozen dataclass sets its fields one by one.
    statement = object.__new__(Statement)
    vars(statement).update(members, payload=payload, digest=sha256_hex(payload))
    statement.__post_init__()
    return statement


def derive_id(kind: str, body: JSONObject | bytes) -> str:
    """Return the id of a policy whose author gives none: the first 40 hex digits of H({kind: body}). `body` may be its canonical form."""
    text = body if isinstance(body, bytes) else encode(body)
    return sha256_hex(b"{%b:%b}" % (encode(kind), text))[:40]


def is_derived(policy_id: str) -> bool:
    """Tell whether an id has the shape of derived ids."""
    return is_hex40(policy_id)


def merge_patch(target: JSON, patch: JSON) -> JSON:
    """Return MergePatch(target, patch), RFC 7396 section 2. Neither argument changes."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
