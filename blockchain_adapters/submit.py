"""The submit loop: from operations in the journal to transactions that are final, on any chain (DESIGN 7).

A chain is driven through `Chain`, which knows transactions and nothing of operations. Here is what all chains share: everything is written
down before it leaves; *unknown is not failed*, so what may have left is looked up and never replaced by another; what a reorg took away
comes back; a batch that is refused is halved until the one entry that is at fault stands alone, and becomes a dead letter.

The order of operations is the order of their numbers. With a `window` above 1 several transactions are on their way at once: only for
chains and contents where the chain itself refuses what comes out of turn.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blockchain_adapters.transactions import NonceTakenError, Parcel, Stage
from blockchain_adapters.waiters import Waiters, outcome, refuse, unknown
from ledger.core.canonical import sha256_hex
from ledger.core.envelope import parse_envelope
from ledger.core.errors import (
    AccessError,
    ConflictError,
    InternalError,
    InvalidError,
    LedgerError,
    NotReadyError,
    OutcomeUnknown,
    TooLargeError,
)
from ledger.core.limits import LIMITS
from ledger.engine.journal import State
from ledger.engine.submissions import Draft, Submissions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blockchain_adapters.transactions import Chain, Landed, Prepared, Progress
    from ledger.core.ports import Clock, Observer
    from ledger.engine.journal import Journal
    from ledger.engine.submissions import Submission


ATTEMPTS = 3  # refusals of one operation alone before it is a dead letter
FORGET_EVERY = 100


@dataclass(frozen=True, slots=True)
class Pace:
    """How the loop breathes, in seconds: between looks while something is under way, at rest, and how long a caller waits for a block.

    `window` transactions are under way at once, each of at most `batch` operations.
    """

    first: float = 0.01
    most: float = 2.0
    rest: float = 30.0
    patience: float = 60.0
    window: int = 1
    batch: int = LIMITS.batch_entries  # operations a transaction, at most
    kept: int = 1_000  # settled submissions and operations that are remembered


@dataclass
class _Underway:
    """A submission in memory: its row, what it carries, who waits for it."""

    row: Submission
    operations: list[int]
    future: asyncio.Future[Landed] | None = None


class Submitter:
    """The one owner of a target's submissions. `start` it, `submit` to it, `close` it; for one event loop."""

    def __init__(self, journal: Journal, chain: Chain, target: str, world: tuple[Clock, Observer], pace: Pace | None = None) -> None:
        self._clock, self._observer = world
        self._journal = journal
        self._chain = chain
        self._submissions = Submissions(journal.database, target, self._clock)
        self._pace = Pace() if pace is None else pace
        self._underway: list[_Underway] = []
        self._waiters = Waiters()
        self._most = self._pace.batch  # operations of the next transaction: halved by refusals, doubled by success
        self._turn = asyncio.Lock()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._troubles: list[LedgerError] = []
        self._finished = 0
        self.target = target
        self.condition: LedgerError | None = None

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up what the journal holds, and run."""
        await self._submissions.prepare()
        rows = await self._submissions.unsettled()
        self._underway = [_Underway(row, await self._submissions.carried(row.number)) for row in rows]
        await self._chain.resume([row.ticket for row in rows])
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Stop. What is under way stays in the journal; whoever waits gets OutcomeUnknown. Idempotent."""
        self._closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for one in self._underway:
            refuse(one.future, unknown(one.row.number))
        self._waiters.leave()

    def wake(self) -> None:
        """Look now: there is a new block, or new work."""
        self._woken.set()

    async def look(self) -> None:
        """Take one step now, and return when what is under way is known as it is."""
        await self._beat()

    @property
    def unsettled(self) -> int:
        """Return how many transactions are under way or not final."""
        return len(self._underway)

    @property
    def underway(self) -> tuple[Submission, ...]:
        """Return the transactions that are under way or not final, oldest first."""
        return tuple(one.row for one in self._underway)

    # -- work ----------------------------------------------------------------------------------------------------

    async def submit(self, envelopes: Sequence[bytes]) -> list[str | LedgerError]:
        """Journal envelopes, in order, and wait until each stands in a block; one result each: its transaction, or why it never will.

        Raises OutcomeUnknown when that is not known within the pace's patience: what may have left stays in the journal and goes on. What
        kept all of them from leaving is raised itself, and nothing is kept.
        """
        self._check_open()
        intents = [(sha256_hex(parse_envelope(one).payload), one) for one in envelopes]
        async with self._turn:
            operations = await self._journal.add_many(self.target, intents)
            for one in operations:
                if one.state is State.DEAD:
                    await self._journal.move(one.number, State.QUEUED)
        waiting = {one.number: self._waiters.wait_for(one) for one in operations}
        self.wake()
        await asyncio.wait(waiting.values(), timeout=self._pace.patience)
        late = [number for number, future in waiting.items() if not future.done()]
        if late:
            await self._give_up(late, len(late) == len(waiting))
        return [outcome(waiting[one.number]) for one in operations]

    async def carry(self, parcel: Parcel) -> Landed:
        """Send one transaction of one's own content, and return when it stands in a block.

        Raises what the chain refuses it for, SizeMismatchError among it, TooLargeError that names how many entries would have been `taken`,
        and OutcomeUnknown when the outcome is not known in time.
        """
        self._check_open()
        async with self._turn:
            prepared = await self._chain.prepare(parcel)
            if prepared.taken < len(parcel.entries):
                await self._chain.withdraw(prepared.draft.ticket)
                raise TooLargeError(f"one transaction takes {prepared.taken} of these {len(parcel.entries)} entries", taken=prepared.taken)
            one = await self._launch(prepared, [])
        future: asyncio.Future[Landed] = asyncio.get_running_loop().create_future()
        one.future = future
        self.wake()
        await asyncio.wait([future], timeout=self._pace.patience)
        if not future.done():
            raise unknown(one.row.number)
        return future.result()

    async def retry(self, number: int) -> None:
        """Queue a dead letter again. ConflictError when the operation is not dead."""
        await self._journal.move(number, State.QUEUED)
        self.wake()

    async def _give_up(self, late: list[int], nothing_moved: bool) -> None:
        """Forget what never left, if that is all there is, and say why; else say that the outcome is not known."""
        async with self._turn:
            present = [await self._journal.get(number) for number in late]
            self._waiters.forget(late)
            if nothing_moved and self.condition is not None and all(one.state is State.QUEUED and not one.attempts for one in present):
                for number in late:
                    await self._journal.drop(number)
                raise self.condition
        raise unknown(late[0])

    # -- the loop ------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        pause = self._pace.first
        while True:
            self._woken.clear()
            moved = await self._beat()
            pause = self._pace.first if moved else min(pause * 1.5, self._pace.most if self._is_busy() else self._pace.rest)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    async def _beat(self) -> bool:
        """Take one step with everything; tell whether something moved."""
        async with self._turn:
            try:
                self._troubles = []
                moved = await self._settle()
                moved |= await self._dispatch()
            except LedgerError as error:
                self._troubles.append(error)
                moved = False
            except Exception as error:  # noqa: BLE001 - a mistake of ours must be seen, and must not end the loop for all others
                self._troubles.append(InternalError(f"the submit loop made a mistake: {type(error).__name__}: {error}"))
                moved = False
            self._note(self._troubles[0] if self._troubles else None)
            return moved

    def _note(self, condition: LedgerError | None) -> None:
        """Keep what keeps the loop from going on, and tell it once."""
        if condition is not None and (self.condition is None or self.condition.message != condition.message):
            self._observer.event("chain-waits", target=self.target, code=condition.code, reason=condition.message)
        self.condition = condition

    def _is_busy(self) -> bool:
        return bool(self._troubles) or any(one.row.state is State.SENT for one in self._underway)

    async def _settle(self) -> bool:
        """Look at what is under way, and write down what became of it."""
        underway = list(self._underway)
        if not underway:
            return False
        looks = await self._chain.look([one.row.ticket for one in underway])
        found = list(zip(underway, looks, strict=True))
        included = await self._include([(one, progress) for one, progress in found if progress.stage is Stage.INCLUDED])
        return any([included, *[await self._apply(one, progress) for one, progress in found if progress.stage is not Stage.INCLUDED]])

    async def _include(self, standing: Sequence[tuple[_Underway, Progress]]) -> bool:
        """Write down which transactions stand in blocks, those that came at once in one commit; tell whether there is a new one."""
        found = [(one, _draft(one, progress), progress.landed) for one, progress in standing]
        fresh = [item for item in found if item[0].row.state is not State.INCLUDED or item[0].row.place != item[1].place]
        if not fresh:
            return False
        rows = await self._submissions.include([(one.row.number, draft) for one, draft, _ in fresh])
        for (one, _, landed), row in zip(fresh, rows, strict=True):
            one.row = row
            self._tell(one, landed)
        return True

    async def _apply(self, one: _Underway, progress: Progress) -> bool:
        if progress.error is not None and progress.stage is Stage.WAITING:
            self._troubles.append(progress.error)
        if progress.stage in (Stage.WAITING, Stage.FAILED) and one.row.state is State.INCLUDED:
            one.row = await self._submissions.revert(one.row.number, "its block is gone")
            self._observer.event("chain-reverted", target=self.target, transaction=one.row.place)
        if progress.stage is Stage.WAITING:
            return await self._push(one, progress)
        if progress.stage is Stage.FAILED:
            return await self._failed(one, progress)
        one.row = await self._submissions.finish(one.row.number, _draft(one, progress))
        self._underway.remove(one)
        await self._forget()
        self._tell(one, progress.landed)
        return True

    async def _push(self, one: _Underway, progress: Progress) -> bool:
        """Renew and send a transaction that waits, as the chain advises."""
        if progress.draft is not None:
            one.row = await self._submissions.renew(one.row.number, progress.draft)
        if progress.send:
            try:
                await self._chain.send(one.row.ticket)
            except LedgerError as error:
                self._troubles.append(error)
        return progress.draft is not None

    async def _failed(self, one: _Underway, progress: Progress) -> bool:
        error = progress.error or ConflictError("the chain refused the transaction")
        refuse(one.future, error)
        if not progress.settled:
            return False
        alone = len(one.operations) == 1
        dead = alone and await self._is_hopeless(one.operations[0], error)
        await self._submissions.release(one.row.number, error.message, dead=dead)
        self._underway.remove(one)
        self._observer.event("chain-refused", target=self.target, transaction=one.row.place, reason=error.message)
        if dead:
            self._waiters.refuse(one.operations[0], error)
        elif one.operations and not isinstance(error, NonceTakenError):
            self._most = max(1, len(one.operations) // 2)
        return True

    async def _is_hopeless(self, number: int, error: LedgerError) -> bool:
        return isinstance(error, InvalidError) or (await self._journal.get(number)).attempts >= ATTEMPTS

    async def _dispatch(self) -> bool:
        """Send what waits, oldest first, while there is room."""
        moved = False
        while sum(one.row.state is State.SENT for one in self._underway) < self._pace.window:
            found = await self._submissions.waiting(self._most)
            if not found:
                break
            try:
                prepared = await self._chain.prepare(Parcel(tuple(payload for _, payload in found)))
                await self._launch(prepared, [number for number, _ in found][: prepared.taken])
            except InvalidError as error:
                await self._shrink([number for number, _ in found], error)
            except AccessError as error:
                await self._refuse(error)
                raise
            except NonceTakenError as error:  # the next beat takes another nonce; not at once: the node may be behind
                self._troubles.append(error)
                break
            else:
                self._most = min(2 * self._most, self._pace.batch)
            moved = True
        return moved

    async def _launch(self, prepared: Prepared, operations: list[int]) -> _Underway:
        """Write a transaction down and send it. Raises what the chain refuses it for: then it is as if it had never been."""
        try:
            one = _Underway(await self._submissions.record(prepared.draft, operations), operations)
        except LedgerError:
            await self._chain.withdraw(prepared.draft.ticket)
            raise
        self._underway.append(one)
        try:
            await self._chain.send(prepared.draft.ticket)
        except OutcomeUnknown as error:
            self._troubles.append(error)
        except LedgerError:
            self._underway.remove(one)
            await self._submissions.withdraw(one.row.number)
            await self._chain.withdraw(prepared.draft.ticket)
            raise
        return one

    async def _shrink(self, numbers: list[int], error: LedgerError) -> None:
        """Try less at a time; an operation that is refused alone becomes a dead letter."""
        if len(numbers) > 1:
            self._most = len(numbers) // 2
            return
        await self._submissions.bury(numbers, error.message)
        self._observer.event("chain-refused", target=self.target, operation=numbers[0], reason=error.message)
        self._waiters.refuse(numbers[0], error)

    async def _refuse(self, error: LedgerError) -> None:
        """Answer those who wait for what never left and may not leave; nothing of it is kept."""
        for number in self._waiters.numbers:
            operation = await self._journal.get(number)
            if operation.state is State.QUEUED and not operation.attempts:
                await self._journal.drop(number)
                self._waiters.refuse(number, error)

    def _tell(self, one: _Underway, landed: Landed | None) -> None:
        """Answer those who wait for a transaction that stands."""
        if one.future is not None and not one.future.done() and landed is not None:
            one.future.set_result(landed)
        for number in one.operations:
            self._waiters.answer(number, one.row.place)

    async def _forget(self) -> None:
        """Forget what has been final for long, now and then."""
        self._finished += 1
        if self._finished % FORGET_EVERY == 0:
            await self._submissions.forget(self._pace.kept)
            await self._journal.forget(self._pace.kept)

    def _check_open(self) -> None:
        if self._closed or self._task is None:
            raise NotReadyError(f"nothing is sent to {self.target} now", advice="Open the ledger again.")


def _draft(one: _Underway, progress: Progress) -> Draft:
    """Return what is to be written down of a transaction that stands."""
    return Draft(one.row.place, one.row.ticket) if progress.draft is None else progress.draft
