"""Submissions: what carries operations to a chain, one transaction each, in the journal beside them (DESIGN 7).

A submission is written down, with the identity of its transaction, before that transaction leaves; its operations change their state in
the same commit. So whatever ends the program, the next start knows everything that may have arrived, and looks it up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ledger.core.errors import ConflictError, NotFoundError
from ledger.engine.journal import FOLLOWS, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import apsw

    from ledger.core.ports import Clock
    from ledger.engine.database import Database

# Made when a chain is first used: a journal without them is as it was.
TABLES = """
CREATE TABLE IF NOT EXISTS submission(
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  target TEXT NOT NULL,
  state TEXT NOT NULL,
  place TEXT NOT NULL,
  ticket BLOB NOT NULL,
  reason TEXT,
  created REAL NOT NULL,
  changed REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS submission_state ON submission(target, state);
CREATE TABLE IF NOT EXISTS carried(operation INTEGER PRIMARY KEY, submission INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS carried_by ON carried(submission);
"""
UNSETTLED = (State.SENT, State.INCLUDED)
_COLUMNS = "number, target, state, place, ticket, reason, created, changed"
_SELECT = f"SELECT {_COLUMNS} FROM submission "  # noqa: S608 - made of constants
_CARRIED = "SELECT operation FROM carried WHERE submission=? ORDER BY operation"


@dataclass(frozen=True, slots=True)
class Submission:
    """One transaction and what it carries. `place` names it on its chain; `ticket` is what its adapter needs to send and find it again."""

    number: int
    target: str
    state: State
    place: str
    ticket: bytes
    reason: str | None
    created: float
    changed: float


@dataclass(frozen=True, slots=True)
class Draft:
    """A submission to be: its transaction is signed, and has not left."""

    place: str
    ticket: bytes


class Submissions:
    """The submissions of one target. Durable when a call returns; safe for tasks of one event loop."""

    def __init__(self, database: Database, target: str, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.target = target

    async def prepare(self) -> None:
        """Make the tables if they are not there."""
        await self._database.write(lambda connection: connection.execute(TABLES))

    async def unsettled(self) -> list[Submission]:
        """Return what was sent or included and is not final, oldest first."""
        sql = _SELECT + "WHERE target=? AND state IN (?,?) ORDER BY number"
        bindings = (self.target, *(state.value for state in UNSETTLED))
        return await self._database.read(lambda connection: [_submission(row) for row in connection.execute(sql, bindings)])

    async def waiting(self, most: int) -> list[tuple[int, bytes]]:
        """Return number and payload of the oldest queued operations."""
        sql = "SELECT number, payload FROM operation WHERE state=? AND target=? ORDER BY number LIMIT ?"
        bindings = (State.QUEUED.value, self.target, most)
        return await self._database.read(lambda connection: list(connection.execute(sql, bindings)))

    async def carried(self, number: int) -> list[int]:
        """Return the numbers of the operations that a submission carries."""
        return await self._database.read(lambda connection: [row[0] for row in connection.execute(_CARRIED, (number,))])

    async def record(self, draft: Draft, operations: Sequence[int] = ()) -> Submission:
        """Write a submission down as sent, and its queued operations with it. ConflictError when one is not queued."""

        def work(connection: apsw.Connection) -> Submission:
            now = self._clock.now()
            _require_queued(connection, operations)
            connection.execute(
                "INSERT INTO submission(target, state, place, ticket, created, changed) VALUES(?,?,?,?,?,?)",
                (self.target, State.SENT.value, draft.place, draft.ticket, now, now),
            )
            number = connection.last_insert_rowid()
            connection.executemany(
                "INSERT OR REPLACE INTO carried(operation, submission) VALUES(?,?)", [(one, number) for one in operations]
            )
            self._move(connection, number, State.SENT, place=draft.place)
            return _get(connection, number)

        return await self._database.write(work)

    async def renew(self, number: int, draft: Draft) -> Submission:
        """Replace the transaction of a submission that is not included: the same content, otherwise paid for."""

        def work(connection: apsw.Connection) -> Submission:
            self._put(connection, number, State.SENT, draft)
            sql = "UPDATE operation SET place=? WHERE number IN (SELECT operation FROM carried WHERE submission=?)"
            connection.execute(sql, (draft.place, number))
            return _get(connection, number)

        return await self._database.write(work)

    async def include(self, standing: Sequence[tuple[int, Draft]]) -> list[Submission]:
        """Note that the transactions of these submissions stand in blocks, all in one commit."""

        def work(connection: apsw.Connection) -> list[Submission]:
            return [self._shift(connection, number, (State.INCLUDED, State.INCLUDED), draft) for number, draft in standing]

        return await self._database.write(work)

    async def finish(self, number: int, draft: Draft) -> Submission:
        """Note that its block is final."""

        def work(connection: apsw.Connection) -> Submission:
            if _get(connection, number).state is not State.INCLUDED:
                self._move(connection, number, State.INCLUDED, place=draft.place)
            self._put(connection, number, State.FINAL, draft)
            self._move(connection, number, State.FINAL, place=draft.place)
            return _get(connection, number)

        return await self._database.write(work)

    async def revert(self, number: int, reason: str) -> Submission:
        """Note that the block it stood in is gone: it is sent again, and not more than that."""
        states = (State.SENT, State.REVERTED)
        return await self._database.write(lambda connection: self._shift(connection, number, states, reason=reason))

    async def release(self, number: int, reason: str, *, dead: bool = False) -> None:
        """Give a submission up that can never be included; its operations are queued again, or `dead` with the same reason."""

        def work(connection: apsw.Connection) -> None:
            self._put(connection, number, State.DEAD, reason=reason)
            self._move(connection, number, State.DEAD if dead else State.QUEUED, reason=reason)
            connection.execute("DELETE FROM carried WHERE submission=?", (number,))

        await self._database.write(work)

    async def withdraw(self, number: int, *, drop: bool = False) -> None:
        """Forget a submission that certainly never left. Its operations are queued as before; with `drop`, forgotten as well."""

        def work(connection: apsw.Connection) -> None:
            self._move(connection, number, State.QUEUED)
            carried = [row[0] for row in connection.execute(_CARRIED, (number,))]
            connection.executemany("UPDATE operation SET attempts=attempts-1, place=NULL WHERE number=?", [(one,) for one in carried])
            if drop:
                connection.executemany("DELETE FROM operation WHERE number=?", [(one,) for one in carried])
            connection.execute("DELETE FROM carried WHERE submission=?", (number,))
            connection.execute("DELETE FROM submission WHERE number=?", (number,))

        await self._database.write(work)

    async def bury(self, operations: Iterable[int], reason: str) -> None:
        """Make queued operations dead letters: visible, retryable, in nobody's way."""
        numbers = list(operations)

        def work(connection: apsw.Connection) -> None:
            connection.executemany(
                "UPDATE operation SET state=?, reason=?, changed=? WHERE number=? AND state=?",
                [(State.DEAD.value, reason, self._clock.now(), one, State.QUEUED.value) for one in numbers],
            )

        await self._database.write(work)

    async def forget(self, keep: int) -> None:
        """Forget settled submissions but the newest `keep`."""
        settled = "target=?1 AND state IN (?2, ?3)"
        newest = f"SELECT number FROM submission WHERE {settled} ORDER BY number DESC LIMIT ?4"  # noqa: S608 - made of constants
        sql = f"DELETE FROM submission WHERE {settled} AND number NOT IN ({newest})"  # noqa: S608 - as above
        bindings = (self.target, State.FINAL.value, State.DEAD.value, keep)

        def work(connection: apsw.Connection) -> None:
            connection.execute(sql, bindings)
            connection.execute("DELETE FROM carried WHERE submission NOT IN (SELECT number FROM submission)")

        await self._database.write(work)

    def _shift(
        self, connection: apsw.Connection, number: int, states: tuple[State, State], draft: Draft | None = None, reason: str | None = None
    ) -> Submission:
        """Take a submission to the first state and its operations to the second."""
        self._put(connection, number, states[0], draft, reason)
        self._move(connection, number, states[1], reason=reason, place=None if draft is None else draft.place)
        return _get(connection, number)

    def _put(self, connection: apsw.Connection, number: int, state: State, draft: Draft | None = None, reason: str | None = None) -> None:
        place, ticket = (None, None) if draft is None else (draft.place, draft.ticket)
        connection.execute(
            "UPDATE submission SET state=?, place=coalesce(?, place), ticket=coalesce(?, ticket), reason=?, changed=? WHERE number=?",
            (state.value, place, ticket, reason, self._clock.now(), number),
        )

    def _move(self, connection: apsw.Connection, number: int, state: State, *, reason: str | None = None, place: str | None = None) -> None:
        """Take the operations of a submission to `state`. ConflictError when that cannot follow for one of them."""
        before = "SELECT DISTINCT state FROM operation WHERE number IN (SELECT operation FROM carried WHERE submission=?)"
        for (present,) in list(connection.execute(before, (number,))):
            if state not in FOLLOWS[State(present)]:
                raise ConflictError(f"submission {number} carries an operation that is {present}: it cannot become {state}", number=number)
        connection.execute(
            "UPDATE operation SET state=?, reason=?, place=coalesce(?, place), attempts=attempts+?, changed=?"
            " WHERE number IN (SELECT operation FROM carried WHERE submission=?)",
            (state.value, reason, place, int(state is State.SENT), self._clock.now(), number),
        )


def _require_queued(connection: apsw.Connection, operations: Iterable[int]) -> None:
    for one in operations:
        row = connection.execute("SELECT state FROM operation WHERE number=?", (one,)).fetchone()
        if row is None or row[0] != State.QUEUED.value:
            raise ConflictError(f"operation {one} is not queued: it cannot be sent", number=one)


def _get(connection: apsw.Connection, number: int) -> Submission:
    row = connection.execute(_SELECT + "WHERE number=?", (number,)).fetchone()
    if row is None:
        raise NotFoundError(f"there is no submission {number}")
    return _submission(row)


def _submission(row: Any) -> Submission:
    number, target, state, *rest = row
    return Submission(number, target, State(state), *rest)
