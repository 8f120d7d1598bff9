"""What was read of one contract or chaincode, in a file: blocks, batches as they came, and where reading stands.

One file a contract, in the home that reads it; losing it costs reading again. Several processes of one home may keep it: a move is made
only from where it started (`ConflictError`), in one transaction. Batches stay packed: they are a third of what they hold.

    size      of a batch: the tree size that its note claims, 0 without a note
    place     of an entry: how many entries of well-formed batches stand before it in the contract
    segment   a range of the mirrored log that was found to extend its tree, and the batch that holds it
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from blockchain_adapters.codec import decode
from blockchain_adapters.follow import Advance, Batch, Cursor
from ledger.core.errors import BadSourceError, ConflictError, CorruptError, FormatError
from ledger.core.limits import MIB
from ledger.core.trust.good import parse_claim
from ledger.core.trust.heads import Block, Heads
from ledger.engine.database import Database, Schema

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import apsw

T = TypeVar("T")

SCHEMA = Schema(
    application=0x4D4C4331,
    version=1,
    name="chain file",
    advice="It is made again by reading the chain.",
    statements="""
CREATE TABLE fact(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE block(height INTEGER PRIMARY KEY, hash TEXT NOT NULL, parent TEXT NOT NULL);
CREATE TABLE batch(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  number INTEGER NOT NULL,
  block INTEGER NOT NULL,
  block_hash TEXT NOT NULL,
  tx TEXT NOT NULL,
  event INTEGER NOT NULL,
  submitter TEXT NOT NULL,
  start INTEGER NOT NULL,
  size INTEGER NOT NULL,
  root BLOB NOT NULL,
  payload BLOB NOT NULL,
  note BLOB NOT NULL,
  mark BLOB NOT NULL,
  entries INTEGER NOT NULL,
  place INTEGER NOT NULL,
  gone INTEGER NOT NULL DEFAULT 0,
  judged INTEGER
);
CREATE INDEX batch_place ON batch(place) WHERE NOT gone AND entries;
CREATE INDEX batch_block ON batch(block);
CREATE INDEX batch_start ON batch(start) WHERE entries;
CREATE INDEX batch_note ON batch(size) WHERE size;
CREATE TABLE root_copy(batch INTEGER NOT NULL, place INTEGER NOT NULL, entry BLOB NOT NULL, PRIMARY KEY(batch, place)) WITHOUT ROWID;
CREATE TABLE segment(start INTEGER PRIMARY KEY, stop INTEGER NOT NULL, batch INTEGER NOT NULL, skip INTEGER NOT NULL);
CREATE TABLE node(place INTEGER PRIMARY KEY, hash BLOB NOT NULL);
CREATE TABLE digest(key INTEGER NOT NULL, batch INTEGER NOT NULL, place INTEGER NOT NULL);
CREATE INDEX digest_key ON digest(key);
CREATE INDEX digest_batch ON digest(batch);
""",
)
READ = ("block", "batch", "root_copy", "segment", "node", "digest")  # tables of what was read
AGREED = "agreed"  # the note of what the providers agree on
ROOT = b'"kind":"root"'
PAYLOAD = len(b'{"payload":"')
CACHED = 32 * MIB


@dataclass(frozen=True, slots=True)
class Held:
    """A batch that is kept: its row, how many entries it holds (0 for none), and the place of the first."""

    id: int
    batch: Batch
    entries: int
    place: int


class Unpacked:
    """The entries of batches, the newest used ones kept in memory. For threads of one file."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, list[bytes]] = OrderedDict()
        self._size = 0

    def entries(self, connection: apsw.Connection, batch: int) -> list[bytes]:
        """Return the entries of the batch of that row. CorruptError when it is not there."""
        known = self._known.get(batch)
        if known is None:
            row = connection.execute("SELECT payload FROM batch WHERE id=?", (batch,)).fetchone()
            if row is None:
                raise CorruptError(f"the chain file lacks batch {batch}")
            known = unpack(row[0])
            self.keep(batch, known)
        return known

    def keep(self, batch: int, entries: list[bytes]) -> None:
        """Keep the entries of a batch for a while: those that came last, up to `CACHED` bytes."""
        self._known[batch] = entries
        self._size += sum(map(len, entries))
        while self._size > CACHED and len(self._known) > 1:
            _, gone = self._known.popitem(last=False)
            self._size -= sum(map(len, gone))


class ChainFile:
    """The file of one contract. For tasks of one event loop."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.unpacked = Unpacked()
        self._cursor: Cursor | None = None

    @classmethod
    def open(cls, path: Path) -> ChainFile:
        """Open the file at `path`, made if there is none (blocking)."""
        create = not path.exists()
        if create:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return cls(Database(path, SCHEMA, create=create))
        except ConflictError:  # another process of this home made it just now
            return cls(Database(path, SCHEMA))

    async def read(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` on one snapshot."""
        return await self.database.read(work)

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` in one transaction."""
        return await self.database.write(work)

    async def cursor(self) -> Cursor | None:
        """Return where reading stands, None before it began."""
        return await self.read(read_cursor)

    async def rewound(self, cursor: Cursor, fork: int | None) -> Cursor:
        """Return `cursor` with the number and the mark that it had at height `fork`."""
        return cursor if fork is None else Cursor(cursor.heads, cursor.final, *await self.standing_at(fork))

    async def standing_at(self, height: int) -> tuple[int, bytes | None]:
        """Return how many batches stand in blocks up to a height, and the mark over them."""
        sql = "SELECT number + 1, mark FROM batch WHERE NOT gone AND block<=? ORDER BY id DESC LIMIT 1"
        found = await self.read(lambda connection: connection.execute(sql, (height,)).fetchone())
        return (0, None) if found is None else (int(found[0]), bytes(found[1]))

    async def advance(self, move: Advance) -> None:
        """Make one move. ConflictError when another process moved meanwhile."""
        for batch, entries in await self.write(lambda connection: _advance(connection, move)):
            self.unpacked.keep(batch, entries)

    async def fact(self, name: str) -> str | None:
        """Return what was noted under a name."""
        return await self.read(lambda connection: read_fact(connection, name))

    async def note(self, name: str, value: str) -> None:
        """Note something under a name."""
        await self.write(lambda connection: write_fact(connection, name, value))

    async def forget(self) -> None:
        """Forget everything that was read; what was noted stays."""

        def work(connection: apsw.Connection) -> None:
            for table in READ:
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - constants
            connection.execute("DELETE FROM fact WHERE name='final'")

        await self.write(work)
        self.unpacked = Unpacked()

    async def close(self) -> None:
        """Close the file; idempotent."""
        await asyncio.to_thread(self.database.close)


def read_fact(connection: apsw.Connection, name: str) -> str | None:
    """Return what was noted under a name."""
    row = connection.execute("SELECT value FROM fact WHERE name=?", (name,)).fetchone()
    return None if row is None else str(row[0])


def write_fact(connection: apsw.Connection, name: str, value: str) -> None:
    """Note something under a name."""
    connection.execute("INSERT INTO fact VALUES(?,?) ON CONFLICT DO UPDATE SET value=excluded.value", (name, value))


def read_cursor(connection: apsw.Connection) -> Cursor | None:
    """Return where reading stands, None before it began."""
    blocks = [Block(*row) for row in connection.execute("SELECT height, hash, parent FROM block ORDER BY height")]
    if not blocks:
        return None
    last = connection.execute("SELECT number, mark FROM batch WHERE NOT gone ORDER BY id DESC LIMIT 1").fetchone()
    number, mark = (0, None) if last is None else (last[0] + 1, last[1])
    return Cursor(Heads(blocks[0], tuple(blocks[1:])), int(read_fact(connection, "final") or blocks[0].height), number, mark)


def select(connection: apsw.Connection, where: str, bindings: tuple[int | str | bytes, ...] = ()) -> list[Held]:
    """Return the batches that meet a condition, which may end with an order."""
    columns = "number, block, block_hash, tx, event, submitter, start, size, root, payload, note, mark"
    sql = f"SELECT id, entries, place, {columns} FROM batch WHERE {where}"  # noqa: S608 - conditions are constants of this package
    return [Held(row[0], Batch(*row[3:]), row[1], row[2]) for row in connection.execute(sql, bindings)]


def total(connection: apsw.Connection, height: int | None = None) -> int:
    """Return how many entries the contract holds, in blocks up to `height` if given."""
    limit = "" if height is None else "AND block<=?"
    sql = f"SELECT place+entries FROM batch WHERE NOT gone {limit} ORDER BY id DESC LIMIT 1"  # noqa: S608 - one of two constants
    row = connection.execute(sql, () if height is None else (height,)).fetchone()
    return 0 if row is None else int(row[0])


def unpack(payload: bytes) -> list[bytes]:
    """Return the entries of a batch; none when it is not exactly one, whatever it is (FORMATS 11)."""
    try:
        return decode(payload) if payload else []
    except FormatError:
        return []


def holds_root(entry: bytes) -> bool:
    """Tell whether an entry may hold a root statement: a cheap look; who uses it parses it."""
    end = entry.find(b'"', PAYLOAD)
    try:
        return ROOT in base64.b64decode(entry[PAYLOAD:end])
    except (binascii.Error, ValueError):
        return False


def _advance(connection: apsw.Connection, move: Advance) -> list[tuple[int, list[bytes]]]:
    """Make a move; return the rows of the batches that came, with their entries."""
    present = tip_hash(connection)
    if present != (None if move.before is None else move.before.heads.tip.hash):
        raise ConflictError("another process read the chain meanwhile")
    if move.fork is not None:
        _undo(connection, move.fork)
    heads = move.after.heads
    connection.execute("DELETE FROM block WHERE height<? OR height>?", (heads.final.height, heads.tip.height))
    rows = [(one.height, one.hash, one.parent) for one in (heads.final, *heads.above)]
    connection.executemany("INSERT OR REPLACE INTO block VALUES(?,?,?)", _changed(connection, rows))
    write_fact(connection, "final", str(move.after.final))
    return _insert(connection, move.batches)


def tip_hash(connection: apsw.Connection) -> str | None:
    """Return the hash of the highest block that is kept; whatever changes the batches changes it."""
    row = connection.execute("SELECT hash FROM block ORDER BY height DESC LIMIT 1").fetchone()
    return None if row is None else str(row[0])


def _changed(connection: apsw.Connection, rows: Sequence[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    known = dict(connection.execute("SELECT height, hash FROM block"))
    return [row for row in rows if known.get(row[0]) != row[1]]


def _undo(connection: apsw.Connection, fork: int) -> None:
    """Take away what came in blocks above `fork`. What extends a mirrored log stays: its note proves it, whatever the chain says."""
    connection.execute("DELETE FROM digest WHERE batch IN (SELECT id FROM batch WHERE block>?)", (fork,))
    connection.execute("UPDATE batch SET gone=1 WHERE block>?", (fork,))
    unused = "SELECT id FROM batch WHERE gone AND id NOT IN (SELECT batch FROM segment)"
    connection.execute(f"DELETE FROM root_copy WHERE batch IN ({unused})")  # noqa: S608 - a constant
    connection.execute(f"DELETE FROM batch WHERE id IN ({unused})")  # noqa: S608 - a constant


def _insert(connection: apsw.Connection, batches: Sequence[Batch]) -> list[tuple[int, list[bytes]]]:
    place, came = total(connection), list[tuple[int, list[bytes]]]()
    for one in batches:
        entries = unpack(one.payload)
        connection.execute(
            "INSERT INTO batch(number, block, block_hash, tx, event, submitter, start, size, root, payload, note, mark, entries, place)"
            " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (one.number, one.block, one.block_hash, one.transaction, one.event, one.submitter, _least(one.start), _claimed(one.note),
             one.root, one.payload, one.note, one.mark, len(entries), place),
        )  # fmt: skip
        row = connection.last_insert_rowid()
        copies = [(row, number, entry) for number, entry in enumerate(entries) if holds_root(entry)]
        connection.executemany("INSERT INTO root_copy VALUES(?,?,?)", copies)
        came.append((row, entries))
        place += len(entries)
    return came


def _claimed(note: bytes) -> int:
    """Return the tree size that a note claims, 0 when it is none. What the contract was told of it proves nothing."""
    try:
        return _least(parse_claim(note).size) if note else 0
    except BadSourceError:
        return 0


def _least(number: int) -> int:
    """Return a number of the contract, 64 bits without a sign, as one that SQLite takes: what is beyond means nothing."""
    return min(number, 2**63 - 1)
