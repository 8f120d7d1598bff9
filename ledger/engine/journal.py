"""The journal: durable intents, `journal.db` of a home (DESIGN 2, 7).

An operation is one signed envelope on its way to one target: queued → sent → included → final | reverted | dead.
It is written down before anything is sent, so a crash forgets nothing. *Unknown is not failed*: what was sent stays `sent` until it
is found by its digest, or known not to be there. A dead letter stays visible and can be retried; it holds nobody up.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ledger.core.errors import ConflictError, NotFoundError
from ledger.core.limits import LIMITS
from ledger.engine.database import Database, Schema
from ledger.engine.lanes import Threads
from ledger.home.files import sync_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import apsw

    from ledger.core.ports import Clock

SCHEMA = Schema(
    application=0x4D4C4A31,
    version=1,
    name="journal",
    advice="Use a home that `ledger-cli create network` or `ledger-cli join` made.",
    statements="""
CREATE TABLE operation(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  target TEXT NOT NULL,
  digest TEXT NOT NULL,
  payload BLOB NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  place TEXT,
  attempts INTEGER NOT NULL,
  created REAL NOT NULL,
  changed REAL NOT NULL,
  UNIQUE(target, digest)
);
CREATE INDEX operation_state ON operation(state);
""",
)


class State(StrEnum):
    """Where an operation stands."""

    QUEUED = "queued"
    SENT = "sent"
    INCLUDED = "included"
    FINAL = "final"
    REVERTED = "reverted"
    DEAD = "dead"


# From each state the states that may follow. `sent` to `queued`: it is known not to have arrived.
FOLLOWS: Mapping[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.SENT, State.INCLUDED, State.FINAL, State.DEAD}),
    State.SENT: frozenset({State.QUEUED, State.SENT, State.INCLUDED, State.FINAL, State.DEAD}),
    State.INCLUDED: frozenset({State.FINAL, State.REVERTED}),
    State.REVERTED: frozenset({State.QUEUED, State.INCLUDED, State.DEAD}),
    State.DEAD: frozenset({State.QUEUED, State.INCLUDED, State.FINAL}),
    State.FINAL: frozenset(),
}
OPEN = (State.QUEUED, State.SENT, State.INCLUDED, State.REVERTED)
_SELECT = "SELECT number, target, digest, payload, state, reason, place, attempts, created, changed FROM operation "


@dataclass(frozen=True, slots=True)
class Operation:
    """One intent. `place` is whatever the target calls the place of what was sent, a transaction hash for instance."""

    number: int
    target: str
    digest: str
    payload: bytes
    state: State
    reason: str | None
    place: str | None
    attempts: int
    created: float
    changed: float


class Journal:
    """The operations of one home. Durable when a call returns; safe for tasks of one event loop."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    @classmethod
    def open(cls, path: Path, clock: Clock, *, create: bool = False) -> Journal:
        """Open the journal at `path`; with `create`, make it. Raises as `Database` does."""
        return cls(Database(path, SCHEMA, create=create, threads=Threads(readers=1)), clock)

    @classmethod
    def at(cls, path: Path, clock: Clock) -> Journal:
        """Open the journal at `path`, made whole if there is none yet: two processes that make it at once get one."""
        if not path.exists():
            draft = path.with_name(f".{path.stem}.{secrets.token_hex(8)}")
            try:
                cls.open(draft, clock, create=True).close()
                with suppress(FileExistsError):
                    os.link(draft, path)
            finally:
                draft.unlink(missing_ok=True)
            sync_directory(path.parent)
        return cls.open(path, clock)

    @property
    def database(self) -> Database:
        """Return the file, for the `Submissions` that stand in it too."""
        return self._database

    async def add(self, target: str, digest: str, payload: bytes) -> Operation:
        """Write an intent down. Adding the same digest for the same target again gives the operation there is."""
        (operation,) = await self.add_many(target, [(digest, payload)])
        return operation

    async def add_many(self, target: str, intents: Sequence[tuple[str, bytes]], *, sent: str | None = None) -> list[Operation]:
        """Write intents down, digest and payload each: all of them or none. Returns the operations in the same order.

        With `sent`, as sent already, for that reason.
        """
        state = State.QUEUED if sent is None else State.SENT

        def work(connection: apsw.Connection) -> list[Operation]:
            now = self._clock.now()
            connection.executemany(
                "INSERT INTO operation(target, digest, payload, state, reason, attempts, created, changed) VALUES(?,?,?,?,?,?,?,?)"
                " ON CONFLICT(target, digest) DO NOTHING",
                [(target, digest, payload, state.value, sent, int(sent is not None), now, now) for digest, payload in intents],
            )
            sql = _SELECT + "WHERE target=? AND digest=?"
            return [_operation(connection.execute(sql, (target, digest)).fetchone()) for digest, _ in intents]

        return await self._database.write(work)

    async def move(self, number: int, state: State, *, reason: str | None = None, place: str | None = None) -> Operation:
        """Take an operation to `state`. ConflictError if that cannot follow, NotFoundError if there is none of that number."""

        def work(connection: apsw.Connection) -> Operation:
            present = _get(connection, number)
            if state not in FOLLOWS[present.state]:
                raise ConflictError(f"operation {number} is {present.state}: it cannot become {state}", number=number)
            connection.execute(
                "UPDATE operation SET state=?, reason=?, place=coalesce(?, place), attempts=attempts+?, changed=? WHERE number=?",
                (state.value, reason, place, int(state is State.SENT), self._clock.now(), number),
            )
            return _get(connection, number)

        return await self._database.write(work)

    async def renew(self, number: int, digest: str, payload: bytes) -> Operation:
        """Give a dead operation another statement, signed anew, and queue it. ConflictError if it is not dead."""

        def work(connection: apsw.Connection) -> Operation:
            present = _get(connection, number)
            if present.state is not State.DEAD:
                raise ConflictError(f"operation {number} is {present.state}: only a dead one is signed anew", number=number)
            connection.execute(
                "UPDATE operation SET digest=?, payload=?, state=?, reason=NULL, place=NULL, changed=? WHERE number=?",
                (digest, payload, State.QUEUED.value, self._clock.now(), number),
            )
            return _get(connection, number)

        return await self._database.write(work)

    async def forget(self, keep: int) -> None:
        """Forget final operations but the newest `keep`."""
        newest = "SELECT number FROM operation WHERE state=?1 ORDER BY number DESC LIMIT ?2"
        sql = f"DELETE FROM operation WHERE state=?1 AND number NOT IN ({newest})"  # noqa: S608 - made of constants
        await self._database.write(lambda connection: connection.execute(sql, (State.FINAL.value, keep)))

    async def strike(self, target: str, digests: Iterable[str]) -> None:
        """Forget the operations of a target with these digests, whatever their state."""
        rows = [(target, digest) for digest in digests]
        await self._database.write(lambda connection: connection.executemany("DELETE FROM operation WHERE target=? AND digest=?", rows))

    async def redirect(self, number: int, target: str) -> Operation:
        """Give an operation another target, in the place of one there with the same statement. NotFoundError if there is none."""

        def work(connection: apsw.Connection) -> Operation:
            connection.execute("UPDATE OR REPLACE operation SET target=?, changed=? WHERE number=?", (target, self._clock.now(), number))
            return _get(connection, number)

        return await self._database.write(work)

    async def drop(self, number: int, *, sent: bool = False) -> None:
        """Forget an operation that is not on its way: queued or dead; with `sent`, one that was sent too. ConflictError for others."""
        allowed = {State.QUEUED, State.DEAD, *([State.SENT] if sent else [])}

        def work(connection: apsw.Connection) -> None:
            present = _get(connection, number)
            if present.state not in allowed:
                raise ConflictError(f"operation {number} is {present.state}: only queued and dead ones can be dropped", number=number)
            connection.execute("DELETE FROM operation WHERE number=?", (number,))

        await self._database.write(work)

    async def get(self, number: int) -> Operation:
        """Return the operation of that number. NotFoundError if there is none."""
        return await self._database.read(lambda connection: _get(connection, number))

    async def find(self, digest: str) -> list[Operation]:
        """Return the operations that carry the statement of that digest."""
        return await self._select("WHERE digest=?", (digest,))

    async def select(self, states: Iterable[State] = tuple(State), *, target: str | None = None) -> list[Operation]:
        """Return operations in those states, oldest first; with `target`, those of that target only."""
        wanted = [state.value for state in states]
        marks = ",".join("?" * len(wanted))
        if target is None:
            return await self._select(f"WHERE state IN ({marks})", tuple(wanted))
        return await self._select(f"WHERE state IN ({marks}) AND target=?", (*wanted, target))

    async def _select(self, where: str, bindings: tuple[str, ...]) -> list[Operation]:
        sql = _SELECT + where + " ORDER BY number"
        return await self._database.read(lambda connection: [_operation(row) for row in connection.execute(sql, bindings)])

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._database.close()


def _get(connection: apsw.Connection, number: int) -> Operation:
    row = connection.execute(_SELECT + "WHERE number=?", (number,)).fetchone() if number <= LIMITS.number else None
    if row is None:
        raise NotFoundError(f"there is no operation {number}", advice="`ledger-cli get operations` lists them.")
    return _operation(row)


def _operation(row: Any) -> Operation:
    number, target, digest, payload, state, *rest = row
    return Operation(number, target, digest, payload, State(state), *rest)
