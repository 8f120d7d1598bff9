"""One transaction that extends or cuts the log: entries, tree nodes, verdicts, state and head move together or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ledger.core.errors import CorruptError, ForkRiskError, UsageError
from ledger.core.limits import LIMITS
from ledger.core.merkle import Frontier, leaf_hashes, node_count, peaks
from ledger.engine.digests import META as DIGESTS
from ledger.engine.digests import RUN, Tail, write_run
from ledger.engine.snapshot import Snapshot, StoredHead, entry_digest
from ledger.engine.view import NETWORK, PINNED, StateCache, WritableState, cut_state

if TYPE_CHECKING:
    from collections.abc import Callable

    import apsw

    from ledger.core.state import Accepted, Record
    from ledger.engine.snapshot import Version
    from ledger.engine.view import SqlState

T = TypeVar("T")

KEPT_CHECKPOINTS = 256
MARKED = "marked"  # the size whose state root the newest mark with one carries


class Transaction(Snapshot):
    """The open write transaction. Made by the store; `frontier`, `tail` and `cache` are its memory of the committed log."""

    def __init__(self, connection: apsw.Connection, tail: Tail, frontier: Frontier, cache: StateCache) -> None:
        """Start from what memory holds. ForkRiskError when the head row says otherwise: someone else wrote."""
        super().__init__(connection, tail)
        self.view = WritableState(connection, cache)
        self.before = frontier
        self.frontier = frontier.copy()
        self.completed: list[tuple[int, bytes]] = []  # the nodes that the newest entries completed
        self.cut_to: int | None = None
        self._cache = cache
        self._entries: list[bytes] = []
        self.digests_added: list[tuple[str, int]] = []
        self.spilled: int | None = None
        self.start = self.head()
        if self.start != StoredHead(frontier.size, frontier.root()):
            raise ForkRiskError(
                "the ledger on disk is not the one this process wrote: another process writes to it",
                advice="Find the other process, stop both, and start one.",
                size=self.start.size,
                expected=frontier.size,
            )

    @property
    def size(self) -> int:
        """Return the size with what was added so far."""
        return self.frontier.size + len(self._entries)

    def add(self, entry: bytes, digest: str | None = None) -> int:
        """Add an entry at the end and return its index. `digest`: of its statement, if the caller knows it."""
        index = self.size
        self._entries.append(entry)
        known = entry_digest(entry) if digest is None else digest
        if known is not None:
            self.digests_added.append((known, index))
        return index

    def accept(self, index: int, accepted: Accepted, text: bytes | None = None) -> None:
        """Take what the entry at `index` changes in the state; `text` as in `WritableState.apply`."""
        self.view.apply(accepted, index, text)

    def reject(self, index: int, code: str, reason: str) -> None:
        """Write that the entry at `index` is void."""
        self.connection.execute("INSERT INTO void(idx, code, reason) VALUES(?,?,?)", (index, code, reason))

    def store_tree(self) -> StoredHead:
        """Store the entries added, the tree nodes they complete, and their versions; return the head. Call it again after more."""
        self.view.settle()
        if self._entries:
            first = self.frontier.size
            self.connection.executemany("INSERT INTO entry(idx, bytes) VALUES(?,?)", enumerate(self._entries, first))
            self.completed = self.frontier.append_many(leaf_hashes(self._entries))
            self.connection.executemany("INSERT INTO node(place, hash) VALUES(?,?)", self.completed)
            self._entries = []
            if len(self.digests_added) >= RUN and self.cut_to is None:
                self._spill()
        return StoredHead(self.frontier.size, self.frontier.root())

    def check_stored(self) -> None:
        """Build what is new in the tree again, from entries and old nodes as they lie in the tables. CorruptError if it differs."""
        start, size = self.start.size, self.frontier.size
        again = Frontier(start, self.read_many(peaks(start)))
        rows = self.connection.execute("SELECT bytes FROM entry WHERE idx>=? ORDER BY idx", (start,))
        nodes = again.append_many(leaf_hashes(row[0] for row in rows))
        stored = self.connection.execute("SELECT place, hash FROM node WHERE place>=? ORDER BY place", (node_count(start),)).fetchall()
        if again.size != size or again.root() != self.frontier.root() or nodes != stored:
            raise CorruptError("the entries just stored do not make the root that was computed", size=size)

    def put_checkpoint(self, size: int, note: bytes) -> None:
        """Store the note of a size, in place of one there is. Of old ones some are kept, which are dropped now and then."""
        self.connection.execute("INSERT OR REPLACE INTO checkpoint(size, note) VALUES(?,?)", (size, note))
        if size // KEPT_CHECKPOINTS != self.start.size // KEPT_CHECKPOINTS:
            self.connection.execute(
                "DELETE FROM checkpoint WHERE size < (SELECT size FROM checkpoint ORDER BY size DESC LIMIT 1 OFFSET ?)", (KEPT_CHECKPOINTS,)
            )

    def state(self, size: int | None = None) -> SqlState:
        """See Snapshot."""
        self.view.flush()
        return super().state(size)

    def history(self, policy: str, start: int = 0, *, most: int | None = None) -> list[Version]:
        """See Snapshot."""
        self.view.flush()
        return super().history(policy, start, most=most)

    def changes(self, start: int, *, most: int = LIMITS.page) -> list[Record]:
        """See Snapshot."""
        self.view.flush()
        return super().changes(start, most=most)

    def put_meta(self, name: str, value: str | float | bytes | None) -> None:
        """Store a fact; None forgets it."""
        if value is None:
            self.connection.execute("DELETE FROM meta WHERE name=?", (name,))
        else:
            self.connection.execute("INSERT OR REPLACE INTO meta(name, value) VALUES(?,?)", (name, value))

    def change_indexes(self, change: Callable[[apsw.Connection], T]) -> T:
        """Run `change`, which makes or drops indexes (`engine.indexes`)."""
        self.view.flush()
        self._cache.clear()
        return change(self.connection)

    def pin(self, network: str) -> None:
        """Pin the network id. UsageError when this ledger is of another one."""
        present = self.view.network
        if present not in {None, network}:
            raise UsageError(f"this ledger is of network {present}, not {network}")
        self.put_meta(NETWORK, network)
        self.put_meta(PINNED, 1)
        self._cache.network = network

    def roll_back(self, size: int) -> None:
        """Take log and state back to the first `size` entries. UsageError beyond the end."""
        self.store_tree()
        if not 0 <= size <= self.frontier.size:
            raise UsageError(f"the log has {self.frontier.size} entries: it cannot go back to {size}")
        if size == self.frontier.size:
            return
        cut_state(self.connection, size, self._cache)
        self.connection.execute("DELETE FROM entry WHERE idx >= ?", (size,))
        self.connection.execute("DELETE FROM node WHERE place >= ?", (node_count(size),))
        self.connection.execute("DELETE FROM void WHERE idx >= ?", (size,))
        self.connection.execute("DELETE FROM checkpoint WHERE size > ?", (size,))
        # Rows of `digest` from `size` on stay: a hit there is refuted by the entry. The mark of what is complete goes back.
        self.connection.execute("UPDATE meta SET value=? WHERE name=? AND value>?", (size, DIGESTS, size))
        self.connection.execute("DELETE FROM meta WHERE name=? AND value>?", (MARKED, size))
        self.digests_added = [(digest, index) for digest, index in self.digests_added if index < size]
        self.cut_to = size if self.cut_to is None else min(self.cut_to, size)
        self.frontier = Frontier.load(size, self)

    def finish(self) -> None:
        """Store what is left and advance the head row. ForkRiskError when it is not the one this transaction began with."""
        after = self.store_tree()
        if len(self._tail_digests()) + len(self.digests_added) >= RUN and self.cut_to is None:
            self._spill()
        if after == self.start:
            return
        self.connection.execute(
            "UPDATE head SET size=?, root=? WHERE size=? AND root=?", (after.size, after.root, self.start.size, self.start.root)
        )
        if self.connection.changes() != 1:
            raise ForkRiskError("another writer moved the head of the ledger")

    def _tail_digests(self) -> Tail:
        return self._tail if isinstance(self._tail, Tail) and self.spilled is None else Tail()

    def _spill(self) -> None:
        """Write the digests that memory holds, as one sorted run."""
        whole = self._tail_digests().joined(self.digests_added)
        write_run(self.connection, whole, self.frontier.size)
        self.digests_added = []
        self.spilled = self.frontier.size
