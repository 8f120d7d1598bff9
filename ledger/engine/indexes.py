"""Indexes of attributes: under which values the versions of a kind are found, so that a query need not look at each (docs/query.md).

`attribute_key` files each version of an indexed kind under the keys (`query.plan.key_of`) of the values at the path: `ended` is 0 while
the version stands. An index finds too much, never too little; the query asks the policies themselves. The two tables are made with the
first index, and who has none pays nothing. An index is there because a schema marks its attribute, because it was made by hand, or both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import orjson

from ledger.core.canonical import is_kind
from ledger.core.errors import ConflictError, NotFoundError, UsageError
from ledger.engine.tables import PLACES
from ledger.query import parse_path
from ledger.query.evaluation import values_at
from ledger.query.marks import MOST_INDEXES, marked_paths
from ledger.query.plan import KEY_CHARACTERS, Index, keys_of
from ledger.query.tree import Path

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import apsw

    from ledger.core.state import Record
    from ledger.query.plan import Indexes, Key

TABLES = """
CREATE TABLE attribute_index(
  number INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  names TEXT NOT NULL,
  by_schema INTEGER NOT NULL,
  by_hand INTEGER NOT NULL,
  UNIQUE(kind, names)
);
CREATE TABLE attribute_key(
  number INTEGER NOT NULL,
  ended INTEGER NOT NULL,
  key NOT NULL,
  place INTEGER NOT NULL,
  PRIMARY KEY(number, ended, key, place)
) WITHOUT ROWID;
"""
SHOWN = frozenset({"date", "id", "ledger"})  # what every policy shows, whether or not its body has it
FILE = "INSERT OR IGNORE INTO attribute_key(number, ended, key, place) VALUES(?,?,?,?)"
# Before the version that follows is written: the last place of the id is still that of the version which ends.
END = (
    "UPDATE OR REPLACE attribute_key SET ended=1 WHERE number=? AND ended=0 AND key=? AND place=(SELECT max(place) FROM version WHERE id=?)"
)
_BEGIN_AGAIN = (
    "UPDATE OR REPLACE attribute_key SET ended=0 WHERE number=? AND ended=1 AND key=? AND place=(SELECT max(place) FROM version WHERE id=?)"
)
_VERSIONS = "SELECT place, to_index IS NOT NULL, id, iat, body FROM version WHERE kind=? AND live"


@dataclass(frozen=True, slots=True)
class StoredIndex:
    """An index and why it is there."""

    index: Index
    by_schema: bool
    by_hand: bool

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        why = [name for name, there in (("schema", self.by_schema), ("local", self.by_hand)) if there]
        return {"kind": self.index.kind, "attribute": str(Path(self.index.names)), "by": why}


@dataclass(frozen=True, slots=True)
class IndexChange:
    """An index to make or to drop by hand."""

    kind: str
    names: tuple[str, ...]
    drop: bool = False

    @classmethod
    def of(cls, kind: str, attribute: str, *, drop: bool = False) -> Self:
        """Take a kind and a path as queries write it. Raises UsageError for what is neither."""
        if not is_kind(kind):
            raise UsageError(f"{kind!r} is no kind", advice="A kind is a letter, then letters, digits, _ or -; at most 64.")
        names = parse_path(attribute, kind).names
        if names[0] in {"id", "ledger"}:
            raise UsageError(f"{names[0]} needs no index")
        return cls(kind, names, drop)

    def apply(self, connection: apsw.Connection) -> None:
        """Do it. Raises as `add_index` and `drop_index` do."""
        (drop_index if self.drop else add_index)(connection, self.kind, self.names, by_hand=True)

    def facts(self) -> dict[str, object]:
        """Return it as `parse_change` takes it."""
        return {"kind": self.kind, "attribute": str(Path(self.names)), "drop": self.drop}


def parse_change(text: bytes) -> IndexChange:
    """Return the change that `{"kind", "attribute", "drop"?}` asks for. Raises UsageError."""
    try:
        facts = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UsageError("the body is no JSON") from error
    if not isinstance(facts, dict) or not facts.keys() <= {"kind", "attribute", "drop"}:
        raise UsageError('an index is {"kind", "attribute"}, and "drop" when it is to be dropped')
    kind, attribute, drop = facts.get("kind"), facts.get("attribute"), facts.get("drop", False)
    if not isinstance(kind, str) or not isinstance(attribute, str) or not isinstance(drop, bool):
        raise UsageError("kind and attribute are text, drop is true or false")
    return IndexChange.of(kind, attribute, drop=drop)


def stored_indexes(connection: apsw.Connection) -> list[StoredIndex]:
    """Return every index, sorted by kind and path."""
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name='attribute_index'").fetchone() is None:
        return []
    rows = connection.execute("SELECT number, kind, names, by_schema, by_hand FROM attribute_index ORDER BY kind, names")
    return [
        StoredIndex(Index(number, kind, tuple(orjson.loads(names))), bool(mark), bool(hand)) for number, kind, names, mark, hand in rows
    ]


def indexes_of(connection: apsw.Connection) -> Indexes:
    """Return the indexes as plans look them up."""
    return {(stored.index.kind, stored.index.names): stored.index for stored in stored_indexes(connection)}


class Filing:
    """Says under which keys the versions of a policy are filed. Of one moment: who changes the indexes makes a new one."""

    def __init__(self, indexes: Iterable[Index]) -> None:
        self._of_kind: dict[str, list[Index]] = {}
        for index in indexes:
            self._of_kind.setdefault(index.kind, []).append(index)

    def keys(self, record: Record) -> list[tuple[int, Key]]:
        """Return the number of the index and the key of each value of a live record."""
        found: list[tuple[int, Key]] = []
        body = record.body
        if body is None:
            return found
        for index in self._of_kind.get(record.kind, ()):
            names = index.names
            value = body.get(names[0])
            if value is None and names[0] not in body and names[0] not in SHOWN:  # most attributes that may be indexed are left out
                continue
            if type(value) is str and len(names) == 1:  # as most are
                found.append((index.number, value[:KEY_CHARACTERS]))
                continue
            found.extend([(index.number, key) for key in keys_of(values_at(_shown(record.id, record.iat, body), names))])
        return found


def filing_of(connection: apsw.Connection) -> Filing:
    """Return the filing of the indexes that there are."""
    return Filing(indexes_of(connection).values())


def _shown(policy: str, iat: str, body: Mapping[str, object]) -> dict[str, object]:
    return {"date": iat, **body, "id": policy, "ledger": "global"}


def add_index(connection: apsw.Connection, kind: str, names: tuple[str, ...], *, by_hand: bool) -> None:
    """Make an index, or say that it is wanted for this reason too. Fills it: about ten seconds for a million versions.

    Raises ConflictError when it is there for this reason already, UsageError when the kind has too many.
    """
    stored = stored_indexes(connection)
    if not stored and connection.execute("SELECT 1 FROM sqlite_schema WHERE name='attribute_index'").fetchone() is None:
        connection.execute(TABLES)
    present = next((one for one in stored if (one.index.kind, one.index.names) == (kind, names)), None)
    reason = "by_hand" if by_hand else "by_schema"
    if present is not None:
        if by_hand and present.by_hand:
            raise ConflictError(f"there is an index of {Path(names)} of {kind} already", advice="See `ledger-cli get indexes`.")
        connection.execute(f"UPDATE attribute_index SET {reason}=1 WHERE number=?", (present.index.number,))  # noqa: S608 - one of two words
        return
    if by_hand and sum(one.index.kind == kind for one in stored) >= 2 * MOST_INDEXES:
        raise UsageError(f"{kind} has {2 * MOST_INDEXES} indexes already", advice="Drop one that is not needed.")
    text = orjson.dumps(names).decode()
    sql = "INSERT INTO attribute_index(kind, names, by_schema, by_hand) VALUES(?,?,?,?)"
    connection.execute(sql, (kind, text, not by_hand, by_hand))
    _fill(connection, Index(connection.last_insert_rowid(), kind, names))


def _fill(connection: apsw.Connection, index: Index) -> None:
    def rows() -> Iterator[tuple[int, int, Key, int]]:
        versions: Any = connection.execute(_VERSIONS, (index.kind,))
        for place, ended, policy, iat, body in versions:
            for key in keys_of(values_at(_shown(policy, iat, orjson.loads(body)), index.names)):
                yield index.number, ended, key, place

    # Sorted: rows that come in the order of the table are written several times as fast.
    ordered = sorted(rows(), key=_order_of)
    connection.executemany(FILE, ordered)


def _order_of(row: tuple[int, int, Key, int]) -> tuple[object, ...]:
    _, ended, key, place = row
    return ended, isinstance(key, str), isinstance(key, bytes), key, place


def drop_index(connection: apsw.Connection, kind: str, names: tuple[str, ...], *, by_hand: bool) -> None:
    """Take an index away, unless it is there for another reason too. Raises NotFoundError, or ConflictError when a schema wants it."""
    present = next((one for one in stored_indexes(connection) if (one.index.kind, one.index.names) == (kind, names)), None)
    if present is None:
        raise NotFoundError(f"there is no index of {Path(names)} of {kind}", advice="See `ledger-cli get indexes`.")
    if by_hand and not present.by_hand:
        raise ConflictError(f"the schema of {kind} asks for the index of {Path(names)}", advice="Publish a schema without the mark.")
    if present.by_schema if by_hand else present.by_hand:
        reason = "by_hand" if by_hand else "by_schema"
        connection.execute(f"UPDATE attribute_index SET {reason}=0 WHERE number=?", (present.index.number,))  # noqa: S608 - one of two words
        return
    connection.execute("DELETE FROM attribute_key WHERE number=?", (present.index.number,))
    connection.execute("DELETE FROM attribute_index WHERE number=?", (present.index.number,))


def follow_marks(connection: apsw.Connection, kind: str, schema: Mapping[str, object] | None) -> bool:
    """Make and drop indexes so that they are those that the live schema of the kind marks. Return whether anything changed."""
    wanted = set(() if schema is None else marked_paths(schema))
    present = {one.index.names for one in stored_indexes(connection) if one.index.kind == kind and one.by_schema}
    for names in sorted(present - wanted):
        drop_index(connection, kind, names, by_hand=False)
    for names in sorted(wanted - present):
        add_index(connection, kind, names, by_hand=False)
    return wanted != present


def cut_indexes(connection: apsw.Connection, size: int, again: Iterable[Record]) -> None:
    """Take the indexes back to the first `size` entries. `again`: the records that stand again, after their tables were cut."""
    stored = stored_indexes(connection)
    if not stored:
        return
    connection.execute("DELETE FROM attribute_key WHERE place >= ?", (size * PLACES,))
    filing = Filing(one.index for one in stored)
    connection.executemany(_BEGIN_AGAIN, ((number, key, record.id) for record in again for number, key in filing.keys(record)))
