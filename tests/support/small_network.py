"""A small network that signs its own log: keys from names, a root, one author who may write anything, a clock that tests turn."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ledger.core.envelope import Envelope, sign
from ledger.core.keys import PrivateKey
from ledger.core.statement import Statement, derive_id
from ledger.engine.signing import SequencerKeys, clock_vkey, log_vkey

if TYPE_CHECKING:
    from ledger.core.canonical import JSON, JSONObject

IAT = "2026-11-21T10:00:00Z"
START = 1_795_000_000.0
ORIGIN = "ledger.internal/small/0011223344556677"


def key(name: str) -> PrivateKey:
    """Return the key of a name."""
    return PrivateKey(hashlib.sha256(f"small {name}".encode()).digest())


@dataclass
class TurnedClock:
    """A `ports.Clock` that moves only when a test turns it."""

    wall: float = START
    steady: float = 1_000.0

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.steady

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self.wall += seconds
        self.steady += seconds


@dataclass
class Heard:
    """A `ports.Observer` that remembers."""

    events: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def event(self, name: str, /, **facts: object) -> None:
        self.events.append((name, facts))

    def names(self) -> list[str]:
        return [name for name, _ in self.events]


def root_body(**changes: Any) -> JSONObject:
    """Return the body of root version 1, with `changes`."""
    body: JSONObject = {
        "name": "small", "origin": ORIGIN, "version": 1, "fold": 1, "order": {"type": "log"}, "threshold": 1, "authority_threshold": 1,
        "admins": [{"name": "admin", "key": key("admin").public.text}], "mark_keys": [key("mark").public.text],
        "log_keys": [{"vkey": log_vkey(ORIGIN, key("log")), "until": None}], "clock_keys": [clock_vkey(ORIGIN, key("clock"))],
        "witnesses": [], "quorum": 0, "fresh_for": 300, "stale_after": 86400, "state_every": 65536, "expires": None,
    }  # fmt: skip
    return {**body, **changes}


class SmallNetwork:
    """Signs statements. It remembers the last digest of each id that it signed, so `put` may be called again and again."""

    def __init__(self, **changes: Any) -> None:
        self.root = sign(Statement("", "put", "root", "root", None, "root", IAT, root_body(**changes)), [key("admin")])
        self.id = self.root.statement.digest
        self.keys = SequencerKeys((key("log"),), key("clock"), key("mark"))
        self.last: dict[str, str] = {"root": self.id}
        kinds: list[JSON] = ["*", "member", "invite", "assignment"]
        allow: list[JSON] = [{"ops": ["put", "patch", "drop"], "kinds": kinds, "scope": {}}]
        everything: JSONObject = {"name": "everything", "allow": allow, "grant": ["everything"]}
        author: JSONObject = {"name": "author", "type": "user", "key": key("author").public.text, "permissions": ["everything"]}
        self.first = [
            self.root,
            self.signed("put", "permissions", "everything", everything, "root"),
            self.signed("put", "member", "member-author", author, "root", extra=("author",)),
        ]

    def signed(
        self,
        op: str,
        kind: str,
        policy: str,
        body: JSONObject | None,
        by: str = "author",
        *,
        extra: tuple[str, ...] = (),
        prev: str | None = "",
    ) -> Envelope:
        """Return a signed statement on a policy, after the last one signed here unless `prev` is given."""
        signer = "admin" if by == "root" else by
        author = "root" if by == "root" else key(by).public.keyid
        before = self.last.get(policy) if prev == "" else prev
        statement = Statement(self.id, op, kind, policy, before, author, IAT, body)
        if prev == "":
            self.last[policy] = statement.digest
        return sign(statement, [key(name) for name in (signer, *extra)])

    def put(self, name: str, **body: Any) -> Envelope:
        """Return a put of the `thing` of that id."""
        return self.signed("put", "thing", name, {"name": name, **body})

    def things(self, count: int, start: int = 0) -> list[Envelope]:
        """Return puts of as many new things, with derived ids."""
        bodies: list[JSONObject] = [{"name": f"thing {number}", "number": number} for number in range(start, start + count)]
        return [self.signed("put", "thing", derive_id("thing", body), body) for body in bodies]

    def next_root(self, version: int, *extra: str, **changes: Any) -> Envelope:
        """Return the next root."""
        return self.signed("put", "root", "root", root_body(version=version, **changes), "root", extra=extra)
