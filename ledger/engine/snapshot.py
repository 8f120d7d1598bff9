"""Reading `ledger.db`: everything that can be asked of one snapshot of it.

A Snapshot lives as long as the read that made it. It is a `merkle.HashReader`.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

import orjson

from ledger.core.errors import CorruptError, NotFoundError
from ledger.core.limits import LIMITS
from ledger.core.merkle import inclusion_proof, stored_index
from ledger.core.receipt import Receipt
from ledger.engine.digests import META as DIGESTS
from ledger.engine.digests import ReadTail, Tail
from ledger.engine.tables import PLACES
from ledger.engine.view import SqlState, record_of, select_versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import apsw

    from ledger.core.state import Record

PAYLOAD_START = b'{"payload":"'


@dataclass(frozen=True, slots=True)
class StoredHead:
    """The end of the stored log."""

    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class StoredVoid:
    """An entry without effect, and why."""

    index: int
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a policy: it stood until index `until` (None: it is the last)."""

    record: Record
    until: int | None


def entry_digest(entry: bytes) -> str | None:
    """Return the digest of the statement in `entry`, None if the entry has no payload where one stands."""
    if not entry.startswith(PAYLOAD_START):
        return None
    end = entry.find(b'"', len(PAYLOAD_START))
    try:
        return sha256(b64decode(entry[len(PAYLOAD_START) : end], validate=True)).hexdigest()
    except (Base64Error, ValueError):
        return None


class Snapshot:
    """One consistent sight of the store."""

    def __init__(self, connection: apsw.Connection, tail: Tail | ReadTail | None = None) -> None:
        """See `connection`; `tail` knows the digests that its table lacks, without one they are read from the entries."""
        self.connection = connection
        self._tail = tail

    # -- the log -------------------------------------------------------------------------------------------------

    def head(self) -> StoredHead:
        """Return the end of the log."""
        row = self.connection.execute("SELECT size, root FROM head").fetchone()
        if row is None:
            raise CorruptError("the ledger has no head")
        return StoredHead(*row)

    def read(self, level: int, index: int) -> bytes:
        """Return the hash of a complete tree node. NotFoundError if it is not stored."""
        row = self.connection.execute("SELECT hash FROM node WHERE place=?", (stored_index(level, index),)).fetchone()
        if row is None:
            raise NotFoundError(f"tree node {index} of level {level} is not stored", level=level, index=index)
        found: bytes = row[0]
        return found

    def read_many(self, nodes: Iterable[tuple[int, int]]) -> list[bytes]:
        """Return the hashes of complete tree nodes, given from left to right, in one query. NotFoundError if one is not stored."""
        places = [stored_index(level, index) for level, index in nodes]
        sql = "SELECT hash FROM node WHERE place IN (SELECT value FROM json_each(?)) ORDER BY place"
        found = [row[0] for row in self.connection.execute(sql, (orjson.dumps(places).decode(),))]
        if len(found) != len(places):
            raise NotFoundError("a tree node is not stored")
        return found

    def entry(self, index: int) -> bytes:
        """Return one entry. NotFoundError beyond the end."""
        row = self.connection.execute("SELECT bytes FROM entry WHERE idx=?", (index,)).fetchone()
        if row is None:
            raise NotFoundError(f"the log has no entry {index}", index=index)
        found: bytes = row[0]
        return found

    def entries(self, start: int, end: int, *, most: int = LIMITS.page, most_bytes: int = LIMITS.batch_bytes) -> list[bytes]:
        """Return entries `start … end-1`, at most `most` and about `most_bytes`, but always one if there is one."""
        found: list[bytes] = []
        total = 0
        rows = self.connection.execute("SELECT bytes FROM entry WHERE idx>=? AND idx<? ORDER BY idx LIMIT ?", (start, end, most))
        for (entry,) in rows:
            total += len(entry)
            if found and total > most_bytes:
                break
            found.append(entry)
        return found

    def checkpoint(self, size: int | None = None) -> bytes | None:
        """Return the stored note of that size (of the largest tree, without one), or None. It may lack its clock line."""
        sql = "SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1" if size is None else "SELECT note FROM checkpoint WHERE size=?"
        row = self.connection.execute(sql, () if size is None else (size,)).fetchone()
        return None if row is None else row[0]

    def receipt(self, index: int, size: int, note: bytes) -> bytes:
        """Return the receipt of entry `index` under `note`, which signs the tree of `size`. ProofError if it is not in it."""
        return Receipt(index, inclusion_proof(index, size, self), note, self.entry(index)).encode()

    def find(self, digest: str) -> int | None:
        """Return the first index whose entry carries the statement of that digest."""
        try:
            prefix = int(digest[:16], 16) - 2**63
        except ValueError:
            return None
        size = self.head().size
        rows = self.connection.execute("SELECT idx FROM digest WHERE prefix=?", (prefix,))
        places = {row[0] for row in rows}.union(self._recent(digest))
        for index in sorted(places):
            if index < size and entry_digest(self.entry(index)) == digest:
                return index
        return None

    def _recent(self, digest: str) -> Iterable[int]:
        if isinstance(self._tail, Tail):
            return self._tail.places(digest)
        if self._tail is not None:
            return self._tail.places(digest, self)
        return (index for found, index in self.digests(int(self.meta(DIGESTS) or 0)) if found == digest)

    def digests(self, start: int) -> Iterator[tuple[str, int]]:
        """Yield `(digest, index)` of the entries from index `start` on that hold a payload."""
        for index, entry in self.connection.execute("SELECT idx, bytes FROM entry WHERE idx>=? ORDER BY idx", (start,)):
            digest = entry_digest(entry)
            if digest is not None:
                yield digest, index

    # -- verdicts and state --------------------------------------------------------------------------------------

    def void(self, index: int) -> StoredVoid | None:
        """Return why entry `index` is void, None if it is not."""
        row = self.connection.execute("SELECT idx, code, reason FROM void WHERE idx=?", (index,)).fetchone()
        return None if row is None else StoredVoid(*row)

    def voids(self, start: int = 0, *, most: int = LIMITS.page) -> list[StoredVoid]:
        """Return void entries from index `start` on."""
        rows = self.connection.execute("SELECT idx, code, reason FROM void WHERE idx>=? ORDER BY idx LIMIT ?", (start, most))
        return [StoredVoid(*row) for row in rows]

    def state(self, size: int | None = None) -> SqlState:
        """Return the state after the first `size` entries; the present state without one."""
        return SqlState(self.connection, size)

    def history(self, policy: str, start: int = 0, *, most: int | None = None) -> list[Version]:
        """Return the versions of a policy that the entries from index `start` on made, oldest first; at most `most`, or all."""
        where = "WHERE id=? AND place>=? ORDER BY place LIMIT ?"
        rows = self.connection.execute(select_versions("to_index", where), (policy, start * PLACES, -1 if most is None else most))
        return [Version(record_of(row[1:]), row[0]) for row in rows]

    def changes(self, start: int, *, most: int = LIMITS.page) -> list[Record]:
        """Return the versions that the entries from index `start` on made, oldest first."""
        where = "WHERE place>=? ORDER BY place LIMIT ?"
        rows = self.connection.execute(select_versions("to_index", where), (start * PLACES, most))
        return [record_of(row[1:]) for row in rows]

    # -- facts ---------------------------------------------------------------------------------------------------

    def meta(self, name: str) -> str | int | float | bytes | None:
        """Return a stored fact, None if there is none of that name."""
        row = self.connection.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()
        return None if row is None else row[0]
