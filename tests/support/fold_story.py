"""A log that grows statement by statement, with the state beside it: tests of the fold read as stories.

Keys come from fixed seeds by name, so that the same bytes come out every time.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING, Any

from ledger.core.envelope import Envelope, Signature, pae, seal
from ledger.core.fold import Void, judge
from ledger.core.keys import PrivateKey
from ledger.core.merkle import Frontier, leaf_hash
from ledger.core.state import DictState
from ledger.core.statement import Statement, derive_id

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.core.canonical import JSONObject

IAT = "2026-11-21T10:00:00Z"


def key(name: str) -> PrivateKey:
    """Return the key of a name."""
    return PrivateKey(hashlib.sha256(f"holes {name}".encode()).digest())


class Story:
    """A log that grows by cases, with the state beside it."""

    def __init__(self, about: str) -> None:
        self.about = about
        self.state = DictState()
        self.rows: list[dict[str, Any]] = []
        self.entries: list[bytes] = []

    def case(self, note: str, envelope: Envelope | bytes, *, void: bool = False) -> None:
        """Append an entry whose verdict is known."""
        index = len(self.rows)
        raw = envelope.entry if isinstance(envelope, Envelope) else envelope
        outcome = judge(self.state, raw, index)
        if isinstance(outcome, Void) is not void:
            raise AssertionError(f"{note}: expected {'void' if void else 'accepted'}, got {outcome}")
        if not isinstance(outcome, Void):
            self.state.apply(outcome)
        verdict = "void" if void else "accepted"
        entry = base64.b64encode(raw).decode()
        self.rows.append({"index": index, "entry": entry, "verdict": verdict, "note": note, "state_root": self.state.state_root()})
        self.entries.append(raw)

    def signed(self, op: str, where: str, body: JSONObject | None, *signers: str, **other: Any) -> Envelope:
        """Return a statement on `kind/id` after the present version, by the first signer (`root`: by the admin)."""
        kind, _, policy_id = where.partition("/")
        policy_id = policy_id or derive_id(kind, body or {})
        last = self.state.record(policy_id)
        by = "root" if signers[0] == "root" else key(signers[0]).public.keyid
        members = {"ledger": self.state.network or "", "prev": last.digest if last else None, "by": by, "iat": IAT, **other}
        statement = Statement(op=op, kind=kind, id=policy_id, body=body, **members)
        return sign_payload(statement.payload, *signers)

    def ok(self, note: str, op: str, where: str, body: JSONObject | None = None, *signers: str) -> None:
        """Append a statement that is accepted; by root unless signers are given."""
        self.case(note, self.signed(op, where, body, *(signers or ("root",))))

    def no(self, note: str, op: str, where: str, body: JSONObject | None = None, *signers: str) -> None:
        """Append a statement that is void; by root unless signers are given."""
        self.case(note, self.signed(op, where, body, *(signers or ("root",))), void=True)

    def write(self, path: Path) -> None:
        """Write the vector file."""
        tree = Frontier()
        for entry in self.entries:
            tree.append(leaf_hash(entry))
        vectors = {"about": self.about, "network": self.state.network, "log_root": tree.root().hex(), "entries": self.rows}
        path.write_text(json.dumps(vectors, indent=1) + "\n")


def sign_payload(payload: bytes, *signers: str) -> Envelope:
    """Return the payload signed by keys of those names."""
    message = pae(payload)
    return seal(payload, [Signature(key(name).public.keyid, key(name).sign(message)) for name in signers])


def root_body(**changes: Any) -> JSONObject:
    """Return the body of a root with one admin, its key that of the name `root`, and one mark key."""
    body: JSONObject = {
        "name": "holes", "origin": "o", "version": 1, "fold": 1, "order": {"type": "log"}, "threshold": 1, "authority_threshold": 1,
        "admins": [{"name": "a", "key": key("root").public.text}], "mark_keys": [key("mark").public.text], "log_keys": [],
        "clock_keys": [], "witnesses": [], "quorum": 0, "fresh_for": 300, "stale_after": 86400, "state_every": 4, "expires": None,
    }  # fmt: skip
    return {**body, **changes}


def permissions(name: str, kinds: list[Any], grant: list[Any], ops: list[Any] | None = None) -> JSONObject:
    """Return the body of permissions with one `allow`."""
    return {"name": name, "allow": [{"ops": ops or ["put", "patch", "drop"], "kinds": kinds, "scope": {}}], "grant": grant}


def member(name: str, *names: str, key_of: str = "", **other: Any) -> JSONObject:
    """Return the body of a member (or, with `expires`, an invite)."""
    return {"name": name, "type": "user", "key": key(key_of or name).public.text, "permissions": list(names), **other}
