"""The state in SQL: `core.state.StateView` over the intervals of `version`, `keyrec` and `lookup`.

At the head, inside the commit transaction, the fold judges with it and `WritableState.apply` writes what was accepted; at any past size
it only reads. It shows exactly what the dict view shows (tests/conformance). Nothing here decides anything: rules live in `core.fold`.
"""

from __future__ import annotations

from hashlib import sha256
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson

from ledger.core.canonical import AUTHORITY_KINDS, encode, sha256_hex
from ledger.core.errors import CorruptError
from ledger.core.state import Accepted, KeyRecord, Record, lookups, schema_in_force, schema_of, trie_root
from ledger.engine.indexes import END, FILE, cut_indexes, filing_of, follow_marks, stored_indexes
from ledger.engine.tables import PLACES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import apsw

    from ledger.core.canonical import JSON, JSONObject
    from ledger.query.plan import Key

T = TypeVar("T")

NETWORK = "network"
PINNED = "pinned"  # the network id was given, not found in the log

# Of the assignments that give a member the same permissions the fold needs one, and there may be thousands: row by row, and not remembered.
_GIVEN: Final = "given "
_REMEMBERED: Final = ("schema ", _GIVEN, "permissions")
_REMEMBERED_KINDS: Final = frozenset({"schema", "assignment", "permissions"})
_MOST_REMEMBERED: Final = 64

_COLUMNS = "kind, id, live, digest, from_index, first, owner, by, iat, body"
_LAST = f"SELECT {_COLUMNS} FROM version WHERE id=? AND place<? ORDER BY place DESC LIMIT 1"  # noqa: S608 - all ours
_INSERT = f"INSERT INTO version(place, {_COLUMNS}) VALUES(?,?,?,?,?,?,?,?,?,?,?)"
# By the last place, not by "to_index IS NULL": the mark has as many versions as the network has minutes.
_CLOSE = "UPDATE version SET to_index=? WHERE place=(SELECT max(place) FROM version WHERE id=?)"
_LAST_OF_MANY = (
    f"SELECT {_COLUMNS} FROM version"  # noqa: S608 - all ours
    " WHERE place IN (SELECT (SELECT max(place) FROM version WHERE id=wanted.value) FROM json_each(?) AS wanted)"
)
_FILE = "INSERT INTO lookup(key, id, from_index) VALUES(?,?,?)"
_UNFILE = "UPDATE lookup SET to_index=? WHERE key=? AND id=? AND to_index IS NULL"
# A state line straight from the columns: every text in it but the body is of a form that needs no escape in JSON.
_LINE = (
    """'["'||kind||'","'||id||'","'||iif(live,'live','dropped')||'","'||digest||'",'||from_index||','||first"""
    """||',"'||owner||'","'||by||'","'||iat||'",'||coalesce(body,'null')||']'"""
)


class StateCache:
    """What the writer's view remembers between entries: records, keys and the filing of schemas, assignments and permissions.

    Every write goes through the view that holds it, so it never tells an old truth; who rolls back must `clear` it.
    """

    MOST: Final = 16_384

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.keys: dict[str, KeyRecord] = {}
        self.filed: dict[str, tuple[str, ...]] = {}
        self.network: str | None = None
        self.derived: dict[str, Any] = {}

    def clear(self) -> None:
        """Forget everything."""
        self.records.clear()
        self.keys.clear()
        self.filed.clear()
        self.network = None
        self.derived.clear()

    def trim(self) -> None:
        """Forget everything when there is too much of it."""
        if len(self.records) + len(self.keys) + len(self.filed) + len(self.derived) > self.MOST:
            self.clear()


def select_versions(extra: str, where: str) -> str:
    """Return the query for `record_of` rows, with the column `extra` before them."""
    return f"SELECT {extra}, {_COLUMNS} FROM version {where}"  # noqa: S608 - both are ours


def record_of(row: Sequence[Any]) -> Record:
    """Return the record of a row of `version`."""
    kind, policy, live, digest, index, first, owner, by, iat, body = row
    return Record(kind, policy, bool(live), digest, index, first, owner, by, iat, None if body is None else orjson.loads(body))


def lookup_key(lookup: str) -> bytes:
    """Return the 16 bytes under which a look-up is filed. Two that collide find too much, which views may."""
    return sha256(lookup.encode()).digest()[:16]


class SqlState:
    """The state after the first `size` entries; the present one without `size`. Lives as long as its transaction."""

    def __init__(self, connection: apsw.Connection, size: int | None = None) -> None:
        self._connection = connection
        self._size = size
        self._bind: tuple[int, ...] = () if size is None else (size,)
        self._next = f"?{len(self._bind) + 1}"
        self._now = "to_index IS NULL" if size is None else "from_index < ?1 AND (to_index IS NULL OR to_index >= ?1)"
        self._before = 2**58 if size is None else size

    @property
    def network(self) -> str | None:
        """Return the network id: pinned, or fixed by root version 1."""
        row = self._connection.execute("SELECT value FROM meta WHERE name=?", (NETWORK,)).fetchone()
        return None if row is None else row[0]

    def record(self, policy_id: str) -> Record | None:
        """See StateView."""
        row = self._connection.execute(_LAST, (policy_id, self._before * PLACES)).fetchone()
        return None if row is None else record_of(row)

    def key(self, keyid: str) -> KeyRecord | None:
        """See StateView."""
        row = self._connection.execute("SELECT keyid, id, idx FROM keyrec WHERE keyid=? AND idx<?", (keyid, self._before)).fetchone()
        return None if row is None else KeyRecord(*row)

    def filed(self, lookup: str) -> Iterable[str]:
        """See StateView."""
        sql = f"SELECT id FROM lookup WHERE key={self._next} AND {self._now}"  # noqa: S608 - all ours
        found = (row[0] for row in self._connection.execute(sql, (*self._bind, lookup_key(lookup))))
        return found if lookup.startswith(_GIVEN) else list(found)

    def of_kind(self, kind: str) -> Iterable[Record]:
        """See StateView. In the order of their last change."""
        sql = f"SELECT {_COLUMNS} FROM version WHERE kind={self._next} AND live AND {self._now} ORDER BY place"  # noqa: S608 - all ours
        return [record_of(row) for row in self._connection.execute(sql, (*self._bind, kind))]

    def remember(self, name: str, make: Callable[[], T]) -> T:  # noqa: ARG002 - a reader asks too seldom
        """See StateView."""
        return make()

    # -- beyond StateView ----------------------------------------------------------------------------------------

    def kinds(self) -> list[str]:
        """Return the kinds that ever had a policy in the log, sorted bytewise. Some may have none in this state."""
        return sorted(row[0] for row in self._connection.execute("SELECT DISTINCT kind FROM version"))

    def newest(self, most: int) -> Iterable[Record]:
        """Return live records, those that changed last first."""
        sql = f"SELECT {_COLUMNS} FROM version WHERE live AND {self._now} ORDER BY place DESC LIMIT {self._next}"  # noqa: S608 - all ours
        return [record_of(row) for row in self._connection.execute(sql, (*self._bind, most))]

    def clusters_named(self, name: str) -> Iterable[Record]:
        """Return the live clusters of that name."""
        found = f"kind='cluster' AND live AND {self._now} AND json_extract(body, '$.name')={self._next}"
        sql = f"SELECT {_COLUMNS} FROM version WHERE {found}"  # noqa: S608 - all ours
        return [record_of(row) for row in self._connection.execute(sql, (*self._bind, name))]

    def state_lines(self, kind: str) -> Iterator[tuple[str, bytes]]:
        """Yield (id, state line) of a kind, dropped policies too; of the key records for kind ""."""
        if kind == "":
            for row in self._connection.execute("SELECT keyid, id, idx FROM keyrec WHERE idx<?", (self._before,)):
                yield row[0], KeyRecord(*row).line()
            return
        sql = f"SELECT id, {_LINE} FROM version WHERE kind={self._next} AND {self._now}"  # noqa: S608 - all ours
        for policy, line in self._connection.execute(sql, (*self._bind, kind)):
            yield policy, line.encode()

    def state_root(self) -> str:
        """Return the state root of FORMATS 8, computed from all lines: seconds when there are many, so never in a commit."""
        rows: list[JSON] = []
        for kind in ["", *self.kinds()]:
            lines = list(self.state_lines(kind))
            if lines:
                rows.append([kind, len(lines), trie_root(lines).hex()])
        return sha256_hex(encode(rows))


class _Pending:
    """Rows that wait to be written, many with one statement: at most one version of an id, so that their order does not matter."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.keys: set[bytes] = set()
        self.closed: list[tuple[int, str]] = []
        self.versions: list[tuple[object, ...]] = []
        self.unfiled: list[tuple[int, bytes, str]] = []
        self.filed: list[tuple[bytes, str, int]] = []
        self.ended: list[tuple[int, Key, str]] = []
        self.indexed: list[tuple[int, int, Key, int]] = []

    def write(self, connection: apsw.Connection) -> None:
        """Write the rows: what ends before what begins."""
        before = ((_CLOSE, self.closed), (END, self.ended), (_INSERT, self.versions))
        for sql, rows in (*before, (_UNFILE, self.unfiled), (_FILE, self.filed), (FILE, self.indexed)):
            if rows:
                connection.executemany(sql, rows)


class WritableState(SqlState):
    """The present state inside the commit transaction: what the fold judges with, and what it changes.

    Changes of kinds that give no rights wait in memory until `flush`, or until a look-up could miss them.
    """

    def __init__(self, connection: apsw.Connection, cache: StateCache) -> None:
        super().__init__(connection)
        self._cache = cache
        self._absent: set[str] = set()
        self._pending = _Pending()
        cache.trim()

    @property
    def network(self) -> str | None:
        """See StateView."""
        if self._cache.network is None:
            self._cache.network = super().network
        return self._cache.network

    def record(self, policy_id: str) -> Record | None:
        """See StateView. What waits to be written is in the cache."""
        found = self._cache.records.get(policy_id)
        if found is None and policy_id not in self._absent:
            found = super().record(policy_id)
            if found is not None:
                self._cache.records[policy_id] = found
        return found

    def prefetch(self, policies: Iterable[str]) -> None:
        """Read the records of these ids with one query, also which of them have none."""
        wanted = [policy for policy in policies if policy not in self._cache.records]
        if not wanted:
            return
        for row in self._connection.execute(_LAST_OF_MANY, (orjson.dumps(wanted).decode(),)):
            self._cache.records[row[1]] = record_of(row)
        self._absent.update(policy for policy in wanted if policy not in self._cache.records)

    def key(self, keyid: str) -> KeyRecord | None:
        """See StateView."""
        found = self._cache.keys.get(keyid)
        if found is None:
            found = super().key(keyid)
            if found is not None:
                self._cache.keys[keyid] = found
        return found

    def filed(self, lookup: str) -> Iterable[str]:
        """See StateView."""
        if not lookup.startswith(_REMEMBERED):
            return self._stored(lookup)
        found = self._cache.filed.get(lookup)
        if found is not None:
            return found
        rows = iter(self._stored(lookup))
        first = tuple(islice(rows, _MOST_REMEMBERED))
        if len(first) == _MOST_REMEMBERED:
            return chain(first, rows)
        self._cache.filed[lookup] = first
        return first

    def _stored(self, lookup: str) -> Iterable[str]:
        if self._pending.keys and lookup_key(lookup) in self._pending.keys:
            self.flush()
        return super().filed(lookup)

    def of_kind(self, kind: str) -> Iterable[Record]:
        """See StateView."""
        self.flush()
        return super().of_kind(kind)

    def clusters_named(self, name: str) -> Iterable[Record]:
        """See SqlState."""
        self.flush()
        return super().clusters_named(name)

    def remember(self, name: str, make: Callable[[], T]) -> T:
        """See StateView."""
        found: T | None = self._cache.derived.get(name)
        if found is None:
            found = self._cache.derived[name] = make()
        return found

    def kinds(self) -> list[str]:
        """See SqlState."""
        self.flush()
        return super().kinds()

    def state_lines(self, kind: str) -> Iterator[tuple[str, bytes]]:
        """See SqlState."""
        self.flush()
        return super().state_lines(kind)

    def settle(self) -> None:
        """Write what waits, and remember no more than the cache may hold: for long transactions, between entries."""
        self.flush()
        self._absent.clear()
        self._cache.trim()

    def flush(self) -> None:
        """Write what waits."""
        pending = self._pending
        if pending.ids:
            self._pending = _Pending()
            pending.write(self._connection)

    def apply(self, accepted: Accepted, index: int, text: bytes | None = None) -> None:
        """Take what the accepted entry at `index` changes. `text`: the canonical body of its first record, if the caller has it."""
        if accepted.network is not None:
            self._connection.execute("INSERT OR REPLACE INTO meta(name, value) VALUES(?,?)", (NETWORK, accepted.network))
            self._cache.network = accepted.network
        for key in accepted.keys:
            self._connection.execute(
                "INSERT INTO keyrec(keyid, id, idx) VALUES(?,?,?) ON CONFLICT(keyid) DO NOTHING", (key.keyid, key.id, key.index)
            )
        schemas = {kind: self._schema(kind) for kind in accepted.reindex}
        for place, record in enumerate(accepted.records):
            self._replace(record, index * PLACES + place, text if place == 0 else None)
        if accepted.records[0].kind in AUTHORITY_KINDS:
            self._cache.derived.clear()
            self.flush()
        for kind, before in schemas.items():
            self._refile(kind, before, index)
            self.flush()
            follow_marks(self._connection, kind, self._schema(kind))
            self._cache.derived.clear()  # the filing is another one now

    def _replace(self, record: Record, place: int, text: bytes | None) -> None:
        if place // PLACES != record.index:
            raise CorruptError(f"entry {place // PLACES} was judged as entry {record.index}")
        before = None if record.first == record.index else self.record(record.id)
        if record.id in self._pending.ids:
            self.flush()
        pending = self._pending
        pending.ids.add(record.id)
        if before is not None:
            pending.closed.append((record.index, record.id))
        body = None if record.body is None else (encode(record.body) if text is None else text).decode()
        row = (record.kind, record.id, record.live, record.digest, record.index, record.first, record.owner, record.by, record.iat, body)
        pending.versions.append((place, *row))
        self._cache.records[record.id] = record
        self._absent.discard(record.id)
        schema = self._schema(record.kind)
        filing = self.remember("filing", lambda: filing_of(self._connection))
        if before is not None:
            pending.ended.extend([(number, key, record.id) for number, key in filing.keys(before)])
        pending.indexed.extend([(number, 0, key, place) for number, key in filing.keys(record)])
        if record.kind in _REMEMBERED_KINDS:
            self._cache.filed.clear()
        old = frozenset[str]() if before is None else lookups(before, schema)
        self._file(record.id, old, lookups(record, schema), record.index)

    def _refile(self, kind: str, before: JSONObject | None, index: int) -> None:
        after = self._schema(kind)
        for record in self.of_kind(kind):
            self._file(record.id, lookups(record, before), lookups(record, after), index)

    def _file(self, policy: str, old: frozenset[str], new: frozenset[str], index: int) -> None:
        if old == new:
            return
        pending = self._pending
        pending.ids.add(policy)
        for lookup in old - new:
            key = lookup_key(lookup)
            pending.keys.add(key)
            pending.unfiled.append((index, key, policy))
        for lookup in new - old:
            key = lookup_key(lookup)
            pending.keys.add(key)
            pending.filed.append((key, policy, index))

    def _schema(self, kind: str) -> JSONObject | None:
        return _content(schema_in_force(self, kind))


def _content(record: Record | None) -> JSONObject | None:
    return None if record is None else record.content


def cut_state(connection: apsw.Connection, size: int, cache: StateCache) -> None:
    """Take the state back to the first `size` entries: an edit of the intervals."""
    cache.clear()
    changed = connection.execute("SELECT DISTINCT id FROM version WHERE place >= ?", (size * PLACES,)).fetchall()
    connection.execute("DELETE FROM version WHERE place >= ?", (size * PLACES,))
    connection.executemany(_CLOSE, ((None, row[0]) for row in changed))
    connection.execute("DELETE FROM keyrec WHERE idx >= ?", (size,))
    connection.execute("DELETE FROM lookup WHERE from_index >= ?", (size,))
    connection.execute("UPDATE lookup SET to_index=NULL WHERE to_index >= ?", (size,))
    connection.execute(
        "DELETE FROM meta WHERE name=?1 AND NOT EXISTS (SELECT 1 FROM meta WHERE name=?2)"
        " AND NOT EXISTS (SELECT 1 FROM version WHERE id='root')",
        (NETWORK, PINNED),
    )
    state = SqlState(connection)
    cut_indexes(connection, size, [record for row in changed if (record := state.record(str(row[0]))) is not None])
    marked = {stored.index.kind for stored in stored_indexes(connection) if stored.by_schema}
    for kind in sorted(marked.union(str(record.content["kind"]) for record in state.of_kind("schema"))):
        follow_marks(connection, kind, _content(schema_of(state, kind)))
