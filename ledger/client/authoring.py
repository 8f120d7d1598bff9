"""From a policy as people write it to a signed envelope.

Pure: the caller gives the version that the statement follows, the time and the keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.core.canonical import JSON, is_id, is_kind
from ledger.core.envelope import sign
from ledger.core.errors import FormatError, NotAllowedError
from ledger.core.statement import Statement, derive_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.core.envelope import Envelope
    from ledger.core.ports import Signer
    from ledger.core.state import Record

ROOT_KINDS = frozenset({"root", "permissions", "schema"})
ROOT = "root"
ELSEWHERE = "Do it in the home that holds the key, or name that home with --home."


@dataclass(frozen=True, slots=True)
class Author:
    """Who signs: the member key of a home, and the root admin's key where the home holds one."""

    member: Signer | None = None
    admin: Signer | None = None

    def for_kind(self, kind: str, *, as_root: bool = False) -> tuple[str, Signer]:
        """Return `by` and the key for a statement about `kind`. NotAllowedError when the home holds no such key."""
        if kind in ROOT_KINDS or as_root:
            if self.admin is None:
                raise NotAllowedError(f"only the network's root admins write {kind}, and this home holds no admin key", advice=ELSEWHERE)
            return ROOT, self.admin
        if self.member is None:
            raise NotAllowedError("this home holds no member key, so it cannot sign", advice=ELSEWHERE)
        return self.member.public.keyid, self.member

    def may_sign_as(self, by: str) -> bool:
        """Tell whether a statement by `by` is by a key that this home signs with now."""
        return by == ROOT or (self.member is not None and self.member.public.keyid == by)


@dataclass(frozen=True, slots=True)
class Draft:
    """A policy taken apart: `id` is None when its author leaves it to the content."""

    kind: str
    id: str | None
    body: dict[str, JSON]

    @property
    def policy_id(self) -> str:
        """Return the id given, else the one that follows from the content (FORMATS 3)."""
        return self.id if self.id is not None else derive_id(self.kind, self.body)


def parse_draft(policy: JSON) -> Draft:
    """Take apart `{"kind": {…}}` as shown or as written by hand. FormatError says what is wrong.

    `id` names the policy and `ledger` is how AnyLog shows where it stands: neither is part of the body.
    """
    if not isinstance(policy, dict) or len(policy) != 1:
        raise FormatError('a policy is an object with one root key, its kind: {"operator": {…}}')
    ((kind, content),) = policy.items()
    if not is_kind(kind):
        raise FormatError(f"{kind!r} is no kind: a letter, then at most 63 letters, digits, _ or -")
    if not isinstance(content, dict):
        raise FormatError(f"the policy {kind!r} holds no object")
    body = {name: value for name, value in content.items() if name not in {"id", "ledger"}}
    policy_id = content.get("id")
    if policy_id is None:
        return Draft(kind, None, body)
    if not isinstance(policy_id, str) or not is_id(policy_id):
        raise FormatError(f"{policy_id!r} is no id: 1 to 128 letters, digits or . _ : @ -, the first a letter or digit")
    return Draft(kind, policy_id, body)


@dataclass(frozen=True, slots=True)
class Wish:
    """What the author wants done, before it is bound to a version."""

    op: str
    kind: str
    id: str
    body: dict[str, JSON] | None


def put(draft: Draft) -> Wish:
    """Return the wish that this policy stands as drafted."""
    return Wish("put", draft.kind, draft.policy_id, draft.body)


def bind(wish: Wish, *, ledger: str, prev: str | None, by: str, iat: str) -> Statement:
    """Return the statement of `wish` after version `prev`."""
    return Statement(ledger=ledger, op=wish.op, kind=wish.kind, id=wish.id, prev=prev, by=by, iat=iat, body=wish.body)


def seal(statement: Statement, signers: Sequence[Signer]) -> Envelope:
    """Sign the statement with every key (a new member's own key signs too)."""
    return sign(statement, signers)


def show(record: Record, *, ledger: str = "global") -> dict[str, JSON]:
    """Return a live record as people see it (FORMATS 3): with id, date and ledger."""
    body = record.body or {}
    return {record.kind: {**body, "id": record.id, "date": body.get("date", record.iat), "ledger": ledger}}
