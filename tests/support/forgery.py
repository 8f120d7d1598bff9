"""A log in the hands of its dishonest keeper: the network's true keys, and every entry and note that they can make."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from auth.keystore import KeyStore
from ledger.core.canonical import format_time
from ledger.core.checkpoint import Checkpoint
from ledger.core.envelope import parse_envelope, seal, sign
from ledger.core.fold import Void, judge, present_root
from ledger.core.keys import PrivateKey
from ledger.core.merkle import Frontier, leaf_hashes
from ledger.core.note import Note, clock_line, log_line
from ledger.core.state import DictState
from ledger.core.statement import Statement
from ledger.engine.signing import clock_name, clock_vkey, log_vkey
from ledger.engine.store import Store
from ledger.home.clock import SystemClock
from ledger.home.home import Home

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ledger.core.canonical import JSONObject
    from ledger.core.root import Root


@dataclass(slots=True)
class Forgery:
    """Entries that a master with the keys in `keys` could have logged, honest or not; it folds them as a reader does."""

    keys: Mapping[str, PrivateKey]
    entries: list[bytes] = field(default_factory=list)
    state: DictState = field(default_factory=DictState)

    @classmethod
    def read(cls, master: Path, replica: Path) -> Forgery:
        """Return the honest log that a replica holds, with the keys in the home of its master (blocking)."""
        kept = KeyStore(Home(master).keys)
        store = Store.open(Home(replica).database, writable=False)
        try:
            entries = store.read_now(lambda snapshot: snapshot.entries(0, snapshot.head().size))
        finally:
            store.close()
        return cls({name: kept.load(name) for name in ("log", "clock", "mark", "member", "admin")}).log(*entries)

    def fork(self, size: int | None = None) -> Forgery:
        """Return a log of its own with the first entries of this one."""
        return Forgery(self.keys).log(*self.entries[:size])

    def log(self, *entries: bytes) -> Forgery:
        """Log entries, whatever they are."""
        for entry in entries:
            verdict = judge(self.state, entry, len(self.entries))
            if not isinstance(verdict, Void):
                self.state.apply(verdict)
            self.entries.append(entry)
        return self

    @property
    def size(self) -> int:
        return len(self.entries)

    @property
    def root(self) -> Root:
        """Return the root in force."""
        root = present_root(self.state)
        assert root is not None
        return root

    @property
    def trusted(self) -> list[str]:
        """Return what a third party trusts: log keys, clock keys and admins' keys of the root in force."""
        root = self.root
        return [*(one.vkey for one in root.log_keys), *root.clock_keys, *(key.text for key in root.admin_keys.values())]

    def signed(self, kind: str, policy: str, body: JSONObject, key: PrivateKey, **changes: Any) -> bytes:
        """Return the entry of a put, signed by `key`, after the last accepted version of its id."""
        last = self.state.record(policy)
        now = format_time(int(SystemClock().now()))
        statement = Statement(
            self.state.network or "", "put", kind, policy, None if last is None else last.digest, key.public.keyid, now, body
        )
        return sign(replace(statement, **changes), [key]).entry

    def site(self, name: str) -> bytes:
        """Return a policy of the first admin's."""
        return self.signed("site", f"site-{name}", {"name": name}, self.keys["member"])

    def sites(self, *names: str) -> Forgery:
        """Log honest policies."""
        return self.log(*(self.site(name) for name in names))

    def next_root(self, **changes: Any) -> bytes:
        """Return the next root, signed by the admin, with `changes`."""
        body = {**self.root.body, "version": self.root.version + 1, **changes}
        return self.signed("root", "root", body, self.keys["admin"], by="root")

    def renewed(self) -> Forgery:
        """Return this log continued by a root that closes its keys: as an honest operator does after they were stolen."""
        fresh = {name: PrivateKey(sha256(f"{name} {self.root.version}".encode()).digest()) for name in ("log", "clock")}
        later = Forgery({**self.keys, **fresh}).log(*self.entries)
        tree = Frontier()
        tree.append_many(leaf_hashes(self.entries))
        origin = f"{self.root.origin}-{self.root.version + 1}"
        order: JSONObject = {"type": "log", "continues": {"size": tree.size, "root": tree.root().hex()}}
        log_keys = [{"vkey": log_vkey(origin, fresh["log"]), "until": None}]
        return later.log(later.next_root(origin=origin, order=order, log_keys=log_keys, clock_keys=[clock_vkey(origin, fresh["clock"])]))

    def mark(self, state: JSONObject | None = None) -> bytes:
        """Return a mark by the mark key."""
        last = self.state.record("mark")
        now = format_time(int(SystemClock().now())) if last is None else str(last.content["time"])
        return self.signed("mark", "mark", {"time": now, "state": state}, self.keys["mark"])

    def note(self, *, size: int | None = None, seconds: int = 0, key: PrivateKey | None = None, entries: Sequence[bytes] = ()) -> bytes:
        """Return a note of the first `size` entries, its clock line `seconds` from now; `key` signs in place of the log key."""
        tree = Frontier()
        tree.append_many(leaf_hashes((entries or self.entries)[:size]))
        origin = self.root.origin
        text = Checkpoint(origin, tree.size, tree.root()).text
        now = int(SystemClock().now()) + seconds
        lines = (
            log_line(text, origin, key or self.keys["log"]),
            clock_line(text, clock_name(origin), self.keys["clock"], now),
        )
        return Note(text, lines).encode()

    def vkey(self, key: PrivateKey) -> str:
        """Return the vkey of a log key of this log's origin."""
        return log_vkey(self.root.origin, key)


def rewritten(entry: bytes) -> bytes:
    """Return the entry with one byte of its statement's body changed and its signatures kept."""
    envelope = parse_envelope(entry)
    place = envelope.payload.rindex(b'"body":') + len(b'"body":{"name":"')
    payload = bytearray(envelope.payload)
    payload[place] = ord("x") if payload[place] != ord("x") else ord("y")
    return seal(bytes(payload), envelope.signatures).entry
