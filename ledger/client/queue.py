"""The local queue of a home: what its author signed and the ledger does not have yet (CONTRACT 2, `publish --queue`).

Everything is written to the journal before anything is sent, so whatever ends the program, what was signed is delivered later, by
the next command of the home or by its agent. Statements of one id follow each other in the queue as they will in the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ledger.client.answers import Published
from ledger.client.authoring import ROOT, ROOT_KINDS, Wish
from ledger.client.delivery import TARGET, WAITING, Delivery
from ledger.client.outstanding import UNQUEUED, settle
from ledger.client.publishing import ATTEMPTS, stands
from ledger.core.canonical import encode, format_time
from ledger.core.envelope import parse_envelope
from ledger.core.errors import ConflictError, InternalError, UnavailableError, VersionMismatchError
from ledger.engine.journal import OPEN, State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ledger.client.publishing import Manner, Pen
    from ledger.client.reader import Reader
    from ledger.core.envelope import Envelope
    from ledger.core.state import Record
    from ledger.core.statement import Statement
    from ledger.engine.journal import Journal, Operation


class _Bound(NamedTuple):
    """A wish with its signed statement, or what makes one needless: a version that stands, an operation that says the same."""

    wish: Wish
    envelope: Envelope | None = None
    stands: Record | None = None
    waits: Operation | None = None


@dataclass(frozen=True, slots=True)
class Ways:
    """How a queue reaches the ledger: `deliver` what waits, `refresh` the copy. Both raise UnavailableError when it is away."""

    deliver: Callable[[], Awaitable[Delivery]]
    refresh: Callable[[], Awaitable[object]]


def statement_of(operation: Operation) -> Statement:
    """Return the statement that an operation carries."""
    return parse_envelope(operation.payload).statement


def operation_facts(operation: Operation, state: str | None = None) -> dict[str, object]:
    """Return what `-o json` shows of an operation."""
    statement = statement_of(operation)
    return {
        "operation": operation.number,
        "state": operation.state.value if state is None else state,
        "op": statement.op,
        "kind": statement.kind,
        "id": statement.id,
        "digest": operation.digest,
        "target": operation.target,
        "place": operation.place,
        "attempts": operation.attempts,
        "reason": operation.reason,
        "created": format_time(int(operation.created)),
        "changed": format_time(int(operation.changed)),
    }


class Queue:
    """The queue in one journal, read beside one copy."""

    def __init__(self, journal: Journal, reader: Reader) -> None:
        self.journal = journal
        self._reader = reader

    async def operations(self, *, everything: bool = False) -> list[Operation]:
        """Return what is on its way, unanswered or refused, oldest first; with `everything`, also what was delivered lately."""
        await settle(self.journal, self._reader.store)
        return await self.journal.select(tuple(State) if everything else (*OPEN, State.DEAD))

    async def statements(self) -> list[Statement]:
        """Return the statements that the copy does not show yet: those that wait, and those delivered beyond its end."""
        return [statement_of(one) for one in await self._unseen()]

    async def _unseen(self) -> list[Operation]:
        size = (await self._reader.store.read(lambda snapshot: snapshot.head())).size
        found = await self.journal.select((*WAITING, State.FINAL), target=TARGET)
        return [one for one in found if one.state is not State.FINAL or int(one.place or 0) >= size]

    # -- publishing ----------------------------------------------------------------------------------------------

    async def publish(self, wishes: Sequence[Wish], manner: Manner, pen: Pen, ways: Ways) -> list[Published]:
        """Keep the wishes, then deliver what can be; one result each, in order. Only the form of a statement is an exception."""
        bound = await self._bind(wishes, manner, pen, online=True)
        if any(one.stands is not None for one in bound):
            bound = await self._bind(wishes, manner, pen, online=await _reached(ways.refresh))
        intents = [(one.envelope.statement.digest, one.envelope.entry) for one in bound if one.envelope is not None]
        kept = iter(await self.journal.add_many(TARGET, intents))
        operations = [next(kept) if one.envelope is not None else one.waits for one in bound]
        done = await self._deliver({one.number for one in operations if one is not None}, manner, pen, ways)
        return [
            _standing(one) if operation is None else await self._result(operation, done)
            for one, operation in zip(bound, operations, strict=True)
        ]

    async def _deliver(self, numbers: set[int], manner: Manner, pen: Pen, ways: Ways) -> Delivery:
        """Deliver; sign those anew that another version outran, as a publish without a queue does. What is refused is not kept."""
        whole = Delivery()
        for attempt in range(ATTEMPTS):
            try:
                done = await ways.deliver()
                whole.placed += done.placed
                whole.receipts.update(done.receipts)
                mine = [(one, error) for one, error in done.refused if one.number in numbers]
                again = manner.expect is None and attempt < ATTEMPTS - 1
                outrun = [one for one, error in mine if again and isinstance(error, VersionMismatchError)]
                if outrun:
                    await ways.refresh()
            except UnavailableError:
                break
            for one, error in mine:
                if one not in outrun:
                    whole.refused.append((one, error))
                    await self.journal.drop(one.number)
            if not outrun:
                break
            for one in outrun:
                await self._again(one, pen)
        return whole

    async def _bind(self, wishes: Sequence[Wish], manner: Manner, pen: Pen, *, online: bool) -> list[_Bound]:
        """Bind each wish to the version it follows: the last one in the queue, else the stored one.

        Only a copy that is fresh can say that a policy stands already: `online` says that it is.
        """
        records = await self._reader.records({wish.id for wish in wishes})
        unseen = {statement_of(one).id: one for one in await self._unseen()}
        signed: dict[str, Statement] = {}
        found: list[_Bound] = []
        for wish in wishes:
            before, record = unseen.get(wish.id), records.get(wish.id)
            last = signed.get(wish.id) or (None if before is None else statement_of(before))
            if manner.expect is None and before is not None and wish.id not in signed and _says(statement_of(before), wish):
                found.append(_Bound(wish, waits=before))
                continue
            if manner.expect is None and last is None and record is not None and online and stands(wish, record):
                found.append(_Bound(wish, stands=record))
                continue
            stored = None if record is None else record.digest
            prev = manner.expect or (stored if last is None else last.digest)
            envelope = pen.write(wish, prev, as_root=manner.as_root)
            signed[wish.id] = parse_envelope(envelope.entry).statement  # FormatError now rather than when it is delivered
            found.append(_Bound(wish, envelope))
        return found

    # -- what became of it ---------------------------------------------------------------------------------------

    async def retry(self, number: int, pen: Pen, ways: Ways) -> Published:
        """Try an operation again; a dead one that another version outran is signed anew after that version.

        ConflictError for one that is delivered, NotFoundError for none.
        """
        operation = await self.journal.get(number)
        if operation.state in (State.INCLUDED, State.FINAL):
            raise ConflictError(
                f"operation {number} is delivered: there is nothing to retry", advice="See `ledger-cli get operations --all`."
            )
        if operation.target == UNQUEUED:  # from now on it is the queue's to deliver, by its digest first
            operation = await self.journal.redirect(number, TARGET)
        if operation.state is State.DEAD:
            operation = await (self._again(operation, pen) if await _reached(ways.refresh) else self.journal.move(number, State.QUEUED))
        try:
            done = await ways.deliver()
        except UnavailableError:
            done = Delivery()
        return await self._result(operation, done)

    async def drop(self, number: int) -> Operation:
        """Forget an operation that is queued, dead, or was sent without the queue; return it as it was. ConflictError for others."""
        operation = await self.journal.get(number)
        await self.journal.drop(number, sent=operation.target == UNQUEUED)
        return operation

    async def _result(self, operation: Operation, done: Delivery) -> Published:
        """Return what became of an operation: refused now, or what the journal says of it, whoever of this home delivered it."""
        statement = statement_of(operation)
        for one, error in done.refused:
            if one.number == operation.number:
                return Published(statement.id, statement.kind, "refused", one.digest, error=error)
        after = await self.journal.get(operation.number)
        if after.state is not State.FINAL:
            return Published(statement.id, statement.kind, "queued", after.digest, operation=after.number)
        placed = done.receipts.get(after.number)
        receipt, position = (None, None) if placed is None else (placed.receipt, placed.position)
        return Published(statement.id, statement.kind, "published", after.digest, int(after.place or 0), receipt, position)

    async def _again(self, operation: Operation, pen: Pen) -> Operation:
        """Queue a dead operation again, signed anew when its id has moved on or its key is replaced: it would never count any more."""
        statement = statement_of(operation)
        record = (await self._reader.records([statement.id])).get(statement.id)
        placed = await self._reader.store.read(lambda snapshot: snapshot.find(operation.digest))
        follows = statement.prev == (None if record is None else record.digest)
        if placed is not None or (follows and pen.author.may_sign_as(statement.by)):
            return await self.journal.move(operation.number, State.QUEUED)
        wish = Wish(statement.op, statement.kind, statement.id, statement.body)
        as_root = statement.by == ROOT and statement.kind not in ROOT_KINDS
        envelope = pen.write(wish, None if record is None else record.digest, as_root=as_root)
        return await self.journal.renew(operation.number, envelope.statement.digest, envelope.entry)


async def _reached(refresh: Callable[[], Awaitable[object]]) -> bool:
    try:
        await refresh()
    except UnavailableError:
        return False
    return True


def _says(statement: Statement, wish: Wish) -> bool:
    """Tell whether the statement says what is wished."""
    same = (statement.op, statement.kind) == (wish.op, wish.kind)
    return same and wish.op == "put" and encode(statement.body) == encode(wish.body)


def _standing(bound: _Bound) -> Published:
    record = bound.stands
    if record is None:
        raise InternalError("a wish came to nothing")
    return Published(record.id, record.kind, "unchanged", record.digest, record.index)
