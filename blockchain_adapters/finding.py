"""Where a statement stands in what was read, by its digest. The index is made when it is first asked for, and then kept up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blockchain_adapters.chainfile import read_fact, write_fact
from ledger.core.canonical import is_hex64
from ledger.core.envelope import parse_envelope
from ledger.core.errors import FormatError

if TYPE_CHECKING:
    import apsw

    from blockchain_adapters.chainfile import ChainFile, Unpacked

FACT = "digests"
PAGE = 50


@dataclass(frozen=True, slots=True)
class Spot:
    """An entry that carries the statement: row of its batch, number in it, and place in the contract; `gone` if a fork took it."""

    batch: int
    number: int
    place: int
    gone: bool


async def find_spots(kept: ChainFile, digest: str) -> list[Spot]:
    """Return where the statement of that digest stands, first one first."""
    if not is_hex64(digest):
        return []
    while await kept.write(lambda connection: _extend(connection, kept.unpacked)):
        pass
    return await kept.read(lambda connection: _look_up(connection, kept.unpacked, digest))


def _key(digest: str) -> int:
    return int.from_bytes(bytes.fromhex(digest[:16]), "big", signed=True)


def _extend(connection: apsw.Connection, unpacked: Unpacked) -> bool:
    """Take some more batches into the index. Returns whether there may be more."""
    done = int(read_fact(connection, FACT) or 0)
    rows = [row[0] for row in connection.execute("SELECT id FROM batch WHERE id>? AND entries ORDER BY id LIMIT ?", (done, PAGE))]
    if not rows:
        return False
    for row in rows:
        found = [(digest, number) for number, entry in enumerate(unpacked.entries(connection, row)) if (digest := digest_of(entry))]
        connection.executemany("INSERT INTO digest VALUES(?,?,?)", [(_key(digest), row, number) for digest, number in found])
    write_fact(connection, FACT, str(rows[-1]))
    return len(rows) == PAGE


def _look_up(connection: apsw.Connection, unpacked: Unpacked, digest: str) -> list[Spot]:
    sql = (
        "SELECT d.batch, d.place, b.place + d.place, b.gone FROM digest d JOIN batch b ON b.id=d.batch"
        " WHERE d.key=? ORDER BY b.gone, b.place, d.place"
    )
    spots = [Spot(batch, number, place, bool(gone)) for batch, number, place, gone in connection.execute(sql, (_key(digest),))]
    return [one for one in spots if digest_of(unpacked.entries(connection, one.batch)[one.number]) == digest]


def digest_of(entry: bytes) -> str | None:
    """Return the digest of the statement in an entry, None for what holds none."""
    try:
        return parse_envelope(entry).statement.digest
    except FormatError:
        return None
