"""Delivering what a home has queued: from the journal to the ledger, with one effect however often it is tried.

An operation is marked as sent before it is sent. What was sent without an answer is asked for by its digest before it is sent again;
a log answers a statement that it has with its first placement, so that even two deliverers at once do no harm. A refusal makes
a dead letter that says why and holds nobody up.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ledger.client.publishing import REFUSALS
from ledger.core.backend import Placed
from ledger.core.envelope import parse_envelope
from ledger.core.errors import (
    AccessError,
    BusyError,
    ConflictError,
    InternalError,
    LedgerError,
    NotFoundError,
    OutcomeUnknown,
    UnavailableError,
    VerificationError,
)
from ledger.core.limits import LIMITS
from ledger.engine.journal import Journal, Operation, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.client.publishing import ReceiptCheck
    from ledger.core.backend import Backend, Refused

TARGET = "ledger"  # the home's own one; mirrors are targets of their own
WAITING = (State.QUEUED, State.SENT)
KEPT = 256


@runtime_checkable
class Tended(Protocol):
    """A backend whose entries may go again after they were placed: a chain's."""

    async def tend(self) -> None:
        """Look once after what this home sent and is not final: what was undone is sent again."""
        ...


async def tend(backend: Backend) -> None:
    """Look after what this home sent to a chain; nothing to do while another process of the machine writes there, and does so itself."""
    if isinstance(backend, Tended):
        with suppress(BusyError):
            await backend.tend()


@dataclass(slots=True)
class Delivery:
    """What became of the queue: operations placed, those refused with the reason, and how many still wait."""

    placed: list[Operation] = field(default_factory=list)
    receipts: dict[int, Placed] = field(default_factory=dict)
    refused: list[tuple[Operation, LedgerError]] = field(default_factory=list)
    waiting: int = 0

    def remarks(self) -> list[str]:
        """Return what people should know, a line each."""
        lines = [f"{_count(len(self.placed))} delivered from the queue"] if self.placed else []
        lines += [f"{_count(len(self.refused))} refused: see `ledger-cli get operations`"] if self.refused else []
        return lines + ([f"{_count(self.waiting)} still waiting"] if self.waiting else [])


def _count(number: int) -> str:
    return f"{number} {'operation' if number == 1 else 'operations'}"


class Deliverer:
    """Delivers the operations of one journal to one ledger. For one task at a time."""

    def __init__(self, journal: Journal, backend: Backend, receipts: ReceiptCheck) -> None:
        self._journal = journal
        self._backend = backend
        self._receipts = receipts
        self._done = Delivery()

    async def deliver(self) -> Delivery:
        """Deliver what waits, oldest first. A refusal is a result, not an exception.

        Raises UnreachableError, BusyError or OutcomeUnknown when the ledger gives no answer, and VerificationError when it answers
        with what proves nothing; what was not settled keeps waiting.
        """
        self._done = Delivery()
        operations = await self._journal.select(WAITING, target=TARGET)
        try:
            queued = [one for one in operations if one.state is State.QUEUED or not await self._was_placed(one)]
            for start in range(0, len(queued), LIMITS.request_entries):
                await self._send(queued[start : start + LIMITS.request_entries])
        finally:
            await self._journal.forget(KEPT)
        self._done.waiting = len(await self._journal.select(WAITING, target=TARGET))
        return self._done

    async def _was_placed(self, operation: Operation) -> bool:
        """Ask for what was sent without an answer; settle it when it is there."""
        placed = await self._backend.find(operation.digest)
        if placed is None:
            return False
        await self._settle(operation, placed)
        return True

    async def _send(self, operations: Sequence[Operation]) -> None:
        sent = [one for one in operations if await self._move(one, State.SENT) is not None]
        if not sent:
            return
        try:
            answers = await self._backend.append([one.payload for one in sent])
        except OutcomeUnknown:
            raise  # they stay sent: they are asked for before they are sent again
        except UnavailableError as error:
            await asyncio.gather(*(self._move(one, State.QUEUED, error) for one in sent))
            raise
        except AccessError as error:
            for one in sent:
                await self._refuse(one, error)
            return
        for one, answer in zip(sent, answers, strict=True):
            await self._conclude(one, answer)

    async def _conclude(self, operation: Operation, answer: Placed | Refused) -> None:
        if isinstance(answer, Placed):
            await self._settle(operation, answer)
        elif isinstance(answer.error, REFUSALS):
            await self._refuse(operation, answer.error)
        elif not isinstance(answer.error, InternalError | VerificationError):
            await self._move(operation, State.QUEUED, answer.error)

    async def _settle(self, operation: Operation, placed: Placed) -> None:
        self._receipts.check(placed, parse_envelope(operation.payload))
        after = await self._move(operation, State.FINAL, place=str(placed.index))
        if after is not None:
            self._done.placed.append(after)
            self._done.receipts[after.number] = placed

    async def _refuse(self, operation: Operation, error: LedgerError) -> None:
        after = await self._move(operation, State.DEAD, error)
        if after is not None:
            self._done.refused.append((after, error))

    async def _move(
        self, operation: Operation, state: State, error: LedgerError | None = None, *, place: str | None = None
    ) -> Operation | None:
        """Take an operation to a state; None when another process of this home settled or dropped it meanwhile."""
        reason = None if error is None else f"{error.message} [{error.code}]"
        try:
            return await self._journal.move(operation.number, state, reason=reason, place=place)
        except (ConflictError, NotFoundError):
            return None
