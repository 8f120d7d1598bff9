"""A small world for the trust rules: masters, sources that lag or lie, and nodes. Real Ed25519, real trees, no network, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from typing import Protocol

from ledger.core import envelope
from ledger.core.checkpoint import Checkpoint
from ledger.core.keys import PrivateKey
from ledger.core.merkle import EMPTY_ROOT, Frontier, HashList, consistency_proof, leaf_hash, leaf_hashes
from ledger.core.note import CLOCK_KIND, LOG_KIND, Note, VerifierKey, clock_line, log_line
from ledger.core.root import Admin, LogKey, Root
from ledger.core.statement import Statement
from ledger.core.trust import (
    Fetch,
    FetchAll,
    Judged,
    NeedRoot,
    PlacedRoot,
    Taken,
    TreeCheck,
    TrustState,
    Verdict,
    judge_entries,
    judge_note,
    judge_root,
    judge_tree,
)
from ledger.core.trust.roots import parse_next_root

ORIGIN = "ledger.internal/sim/0123456789abcdef"


@cache
def signer(name: str) -> PrivateKey:
    """Return the one private key of that name."""
    return PrivateKey(sha256(name.encode()).digest())


def log_key(name: str, origin: str = ORIGIN) -> str:
    """Return the vkey of a log key."""
    return VerifierKey(origin, LOG_KIND, signer(name).public).text


def clock_key(name: str, origin: str = ORIGIN) -> str:
    """Return the vkey of a clock key."""
    return VerifierKey(f"{origin}/clock", CLOCK_KIND, signer(name).public).text


def witness_key(name: str) -> str:
    """Return the vkey of a witness."""
    return VerifierKey(f"witness.example/{name}", CLOCK_KIND, signer(name).public).text


def first_root(**changes: object) -> Root:
    """Return a root of version 1 with log key `L1`, clock key `C1` and admin `A1`, but for `changes`."""
    plain = Root(
        name="sim",
        origin=ORIGIN,
        version=1,
        fold=1,
        order={"type": "log"},
        admins=(Admin("a1", signer("A1").public),),
        threshold=1,
        authority_threshold=1,
        log_keys=(LogKey(log_key("L1"), None),),
        clock_keys=(clock_key("C1"),),
        mark_keys=(),
        witnesses=(),
        quorum=0,
        fresh_for=60,
        stale_after=300,
        state_every=65536,
        expires=None,
    )
    return replace(plain, **changes)  # type: ignore[arg-type] # any field


def next_root(root: Root, **changes: object) -> Root:
    """Return the root after `root`."""
    return replace(root, version=root.version + 1, **changes)  # type: ignore[arg-type] # any field


def root_entry(root: Root, before: PlacedRoot | None = None, network: str = "", admins: tuple[str, ...] = ("A1",)) -> bytes:
    """Return the signed entry that makes `root` follow `before`."""
    prev = before.digest if before else None
    statement = Statement(network, "put", "root", "root", prev, "root", "2026-11-21T10:00:00Z", root.body)
    return envelope.sign(statement, [signer(name) for name in admins]).entry


class Tree:
    """Entries with their root at every size and the roots that the fold accepts: a ReplicaView."""

    def __init__(self, network: str | None = None) -> None:
        self.network = network
        self.entries: list[bytes] = []
        self._frontier = Frontier()
        self._hashes = [EMPTY_ROOT]
        self._roots: list[PlacedRoot] = []
        self.root_entries: list[bytes] = []

    @property
    def size(self) -> int:
        return len(self.entries)

    def root_at(self, size: int) -> bytes | None:
        return self._hashes[size] if size <= self.size else None

    def extension(self, old: int, new: int) -> tuple[bytes, ...]:
        nodes = Frontier().append_many(leaf_hashes(self.entries[:new]))
        return consistency_proof(old, new, HashList([node for _, node in nodes]))

    def roots(self) -> list[PlacedRoot]:
        return self._roots

    def append(self, entry: bytes) -> None:
        """Append and fold: all but roots is void here, and changes nothing that trust looks at."""
        self._frontier.append(leaf_hash(entry))
        self._hashes.append(self._frontier.root())
        self.entries.append(entry)
        if self.network is None:
            self.network = envelope.parse_envelope(entry).statement.digest
        found = parse_next_root(entry, self._roots[-1] if self._roots else None, self.network)
        if found is not None:
            self._roots.append(PlacedRoot(self.size - 1, found.digest, found.root))
            self.root_entries.append(entry)

    def cut(self, size: int) -> Tree:
        """Return a copy of the first `size` entries."""
        copy = Tree(self.network)
        for entry in self.entries[:size]:
            copy.append(entry)
        return copy

    @property
    def last(self) -> PlacedRoot:
        return self._roots[-1]

    def is_prefix_of(self, other: Tree) -> bool:
        return self.root_at(self.size) == other.root_at(self.size)


class Source(Protocol):
    """Whom a node may ask."""

    name: str

    def note(self) -> bytes: ...

    def root(self, version: int) -> bytes | None: ...

    def entries(self, start: int, end: int) -> list[bytes]: ...


def sign_note(tree: Tree, size: int, keys: tuple[str, ...], clocks: dict[str, int], witnesses: tuple[str, ...] = ()) -> bytes:
    """Return a note of the first `size` entries by the named log keys, clock keys (with times) and witnesses."""
    root = next(one.root for one in reversed(tree.roots()) if one.index < size)
    hashed = tree.root_at(size)
    assert hashed is not None
    text = Checkpoint(root.origin, size, hashed).text
    lines = [log_line(text, root.origin, signer(name)) for name in keys]
    lines += [clock_line(text, f"witness.example/{name}", signer(name), 1) for name in witnesses]
    lines += [clock_line(text, f"{root.origin}/clock", signer(name), time) for name, time in clocks.items()]
    return Note(text, tuple(lines)).encode()


@dataclass
class Master:
    """A sequencer that signs its tree with the keys it holds; honest unless its tree was tampered with."""

    name: str = "master"
    tree: Tree = field(default_factory=Tree)
    log_keys: tuple[str, ...] = ("L1",)
    clock: str = "C1"
    witnesses: tuple[str, ...] = ()
    time: int = 0
    serves: bool = True
    left: bytes = b""

    @classmethod
    def create(cls, **changes: object) -> Master:
        """Return a master whose log begins with `first_root(**changes)`."""
        master = cls()
        master.tree.append(root_entry(first_root(**changes)))
        return master

    @property
    def network(self) -> str:
        assert self.tree.network is not None
        return self.tree.network

    def add(self, *texts: str) -> Master:
        for text in texts:
            self.tree.append(text.encode())
        return self

    def change_root(self, **changes: object) -> Master:
        """Append the next root, signed by the first admin."""
        before = self.tree.last
        self.tree.append(root_entry(next_root(before.root, **changes), before, self.network))
        return self

    def sign(self, time: int) -> bytes:
        """Return the note of the whole tree at `time`, which never goes back."""
        self.time = max(self.time, time)
        self.left = sign_note(self.tree, self.tree.size, self.log_keys, {self.clock: self.time}, self.witnesses)
        return self.left

    def fork(self, size: int, name: str = "fork", **changes: object) -> Master:
        """Return a second master with the same keys whose tree is the first `size` entries."""
        return replace(self, name=name, tree=self.tree.cut(size), **changes)  # type: ignore[arg-type] # any field

    def note(self) -> bytes:
        return self.left

    def root(self, version: int) -> bytes | None:
        return self.tree.root_entries[version - 1] if 0 < version <= len(self.tree.root_entries) else None

    def entries(self, start: int, end: int) -> list[bytes]:
        return self.tree.entries[start:end] if self.serves else []


@dataclass
class Cache:
    """Shows a note of its own choice, and what lies behind it from another source."""

    name: str
    held: bytes
    behind: Source
    serves: bool = True

    def note(self) -> bytes:
        return self.held

    def root(self, version: int) -> bytes | None:
        return self.behind.root(version)

    def entries(self, start: int, end: int) -> list[bytes]:
        return self.behind.entries(start, end) if self.serves else []


class Node:
    """A replica with its trust state; a Source too (a relay). Every step goes through the stored form, as after a restart."""

    def __init__(self, network: str, name: str = "node") -> None:
        self.name = name
        self.tree = Tree(network)
        self.state = TrustState(network)
        self.verdicts: list[Verdict] = []

    def hear(self, source: Source, now: int = 2000, note: bytes | None = None) -> Verdict:
        """Judge a note of `source` to its end. The last verdict is Fetch or FetchAll if the source gave no entries."""
        raw = source.note() if note is None else note
        judged = judge_note(self.state, self.tree, raw, source.name, now)
        while True:
            self.state = TrustState.from_json(judged.state.to_json())
            self.verdicts.append(judged.verdict)
            step = self._next(judged.verdict, source, now)
            if step is None:
                return judged.verdict
            judged = step

    def _next(self, verdict: Verdict, source: Source, now: int) -> Judged | None:
        match verdict:
            case NeedRoot(version=version):
                return judge_root(self.state, self.tree, verdict, source.root(version), now)
            case Fetch(start=start, end=end):
                return self._apply(verdict, source.entries(start, end), now)
            case FetchAll(end=end):
                entries = source.entries(0, end)
                if len(entries) < end:
                    return None
                check = TreeCheck(verdict, self.state)
                check.add(entries)
                return judge_tree(self.state, self.tree, check, now)
            case _:
                return None

    def _apply(self, step: Fetch, entries: list[bytes], now: int) -> Judged | None:
        if len(entries) < step.end - step.start:
            return None
        after = self.tree.cut(step.start)
        for entry in entries:
            after.append(entry)
        judged = judge_entries(self.state, after, step, now)
        if isinstance(judged.verdict, Taken):
            self.tree = after
        return judged

    def backup(self) -> Node:
        """Return a copy: what a restore brings back."""
        copy = Node(self.state.network, self.name)
        copy.tree, copy.state = self.tree.cut(self.tree.size), self.state
        return copy

    def note(self) -> bytes:
        return self.state.note or b""

    def root(self, version: int) -> bytes | None:
        return self.tree.root_entries[version - 1] if 0 < version <= len(self.tree.root_entries) else None

    def entries(self, start: int, end: int) -> list[bytes]:
        return self.tree.entries[start:end]
