"""What this home signed, sent, and has no answer to: a signed statement may land until its id has moved on (docs/formats.md, section 3).

A statement that is published without the queue is written down before it leaves and struck out by its answer. What is left, by a lost
answer or a command that was killed, is nobody's to send again: `get operations` lists it until the copy shows what became of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ledger.core.envelope import parse_envelope
from ledger.core.keys import PublicKey
from ledger.engine.journal import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from ledger.core.envelope import Envelope
    from ledger.core.state import StateView
    from ledger.core.statement import Statement
    from ledger.engine.journal import Journal, Operation
    from ledger.engine.snapshot import Snapshot
    from ledger.engine.store import Store

UNQUEUED = "unqueued"  # the target of what was sent without the queue
LEFT = (State.SENT, State.DEAD)
NO_ANSWER = "it was sent, and no answer came"
SETTLED = "settled"
KEY_GONE = "no answer came, and the key that signed it counts no more"


class Slips(Protocol):
    """Where a publisher notes what it sends."""

    async def note(self, envelopes: Sequence[Envelope]) -> None:
        """Write down what is about to be sent."""
        ...

    async def strike(self, digests: Iterable[str]) -> None:
        """Strike out what has its answer."""
        ...


class NoSlips:
    """Where nothing leaves this machine, or no home keeps a journal."""

    async def note(self, envelopes: Sequence[Envelope]) -> None:
        """See Slips."""

    async def strike(self, digests: Iterable[str]) -> None:
        """See Slips."""


class JournalSlips:
    """Slips in the journal of a home, which is made when the first is written."""

    def __init__(self, journal: Callable[[], Awaitable[Journal]]) -> None:
        self._journal = journal

    async def note(self, envelopes: Sequence[Envelope]) -> None:
        """See Slips."""
        intents = [(envelope.statement.digest, envelope.entry) for envelope in envelopes]
        await (await self._journal()).add_many(UNQUEUED, intents, sent=NO_ANSWER)

    async def strike(self, digests: Iterable[str]) -> None:
        """See Slips."""
        await (await self._journal()).strike(UNQUEUED, digests)


async def settle(journal: Journal, store: Store) -> None:
    """Strike out what the copy settles: a statement that it holds, or one whose id has moved on. A key that is gone makes a dead letter."""
    found = await journal.select(LEFT, target=UNQUEUED)
    if not found:
        return

    def work(snapshot: Snapshot) -> list[tuple[Operation, str | None]]:
        return [(operation, _outcome(snapshot, operation)) for operation in found]

    outcomes = await store.read(work)
    await journal.strike(UNQUEUED, [operation.digest for operation, outcome in outcomes if outcome == SETTLED])
    for operation, outcome in outcomes:
        if outcome == KEY_GONE and operation.state is State.SENT:
            await journal.move(operation.number, State.DEAD, reason=KEY_GONE)


def _outcome(snapshot: Snapshot, operation: Operation) -> str | None:
    statement = parse_envelope(operation.payload).statement
    if snapshot.find(operation.digest) is not None or _moved_on(snapshot, statement):
        return SETTLED
    return KEY_GONE if _is_key_gone(snapshot.state(), statement.by) else None


def _moved_on(snapshot: Snapshot, statement: Statement) -> bool:
    """Tell whether the id has a later version than the one that the statement follows, as far as the copy goes."""
    record = snapshot.state().record(statement.id)
    if record is None:
        return False
    if (statement.op, statement.kind) == ("drop", "member"):
        return not record.live  # its `prev` is not compared
    if statement.prev is None:
        return True
    before = snapshot.find(statement.prev)
    return before is not None and before < record.index


def _is_key_gone(state: StateView, by: str) -> bool:
    """Tell whether the key that signed was a member's or an invite's and is no more: it never comes back."""
    bound = state.key(by)
    record = None if bound is None else state.record(bound.id)
    if record is None or record.kind not in ("member", "invite"):
        return False
    return not record.live or PublicKey.parse(record.content["key"]).keyid != by
