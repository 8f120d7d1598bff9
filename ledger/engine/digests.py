"""Finding a statement by its digest without an index that every commit pays for.

Digests are random, so a unique index on them costs a page write each once the table is larger than the cache. Here the newest
digests are kept in memory (`Tail`) and written to the table in sorted runs, whole pages at a time; the memory is rebuilt at start from
the entries that came after the last run. Only 64 bits are stored: the entry itself confirms a hit.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ledger.core.merkle import EMPTY_ROOT, tree_root

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

    from ledger.engine.snapshot import Snapshot

RUN = 4_096
META = "digests"  # the size up to which the table is complete


class Tail:
    """Digests of entries that the table does not hold yet. Mutated in the lane, read by all."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._index)

    def places(self, digest: str) -> tuple[int, ...]:
        """Return the index of the first unwritten entry with that digest, if any."""
        index = self._index.get(digest)
        return () if index is None else (index,)

    def add(self, digests: Iterable[tuple[str, int]]) -> None:
        """Remember digests of committed entries; the first index of one counts."""
        for digest, index in digests:
            self._index.setdefault(digest, index)

    def joined(self, digests: Iterable[tuple[str, int]]) -> Tail:
        """Return a tail with more digests."""
        other = Tail()
        other.add(self._index.items())
        other.add(digests)
        return other

    def run(self) -> list[tuple[int, int]]:
        """Return what is remembered as sorted rows of the table."""
        return sorted((int(digest[:16], 16) - 2**63, index) for digest, index in self._index.items())

    def forget(self, below: int) -> None:
        """Drop what the table holds now: entries below that index."""
        self._index = {digest: index for digest, index in self._index.items() if index >= below}

    def cut(self, size: int) -> None:
        """Drop entries from `size` on: they were rolled back."""
        self._index = {digest: index for digest, index in self._index.items() if index < size}


class ReadTail:
    """The digests that the table lacks, for a process that only reads: it reads what came since it last asked. For any thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._tail = Tail()
        self._size = 0
        self._root = EMPTY_ROOT

    def places(self, digest: str, snapshot: Snapshot) -> tuple[int, ...]:
        """Return the index of the first unwritten entry of `snapshot` with that digest, if any."""
        head, written = snapshot.head(), int(snapshot.meta(META) or 0)
        with self._guard:
            if self._size > head.size:  # an older snapshot than another thread had, or the log was cut
                return tuple(index for found, index in snapshot.digests(written) if found == digest)[:1]
            if self._size < written or tree_root(self._size, snapshot) != self._root:  # all written, or cut and grown again
                self._tail, self._size = Tail(), written
            self._tail.add(snapshot.digests(self._size))
            self._size, self._root = head.size, head.root
            return self._tail.places(digest)


def write_run(connection: apsw.Connection, tail: Tail, size: int) -> None:
    """Write the tail, which holds all entries up to `size` that the table lacks. Call `tail.forget(size)` after COMMIT."""
    connection.executemany("INSERT OR IGNORE INTO digest(prefix, idx) VALUES(?,?)", tail.run())
    connection.execute("INSERT INTO meta(name, value) VALUES(?,?) ON CONFLICT(name) DO UPDATE SET value=excluded.value", (META, size))
