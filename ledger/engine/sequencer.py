"""The sequencer: the one owner of the tree. It admits, orders, signs and commits, a batch at a time (DESIGN 5).

One task does everything that signs, batches (`commit`, `outlet`) and renewals of the clock line, never two at once. There is no recovery
code: `start` reads what is committed and lets its note leave, after a crash as after any other stop.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from ledger.core.backend import Head, Placed, Refused
from ledger.core.envelope import Envelope
from ledger.core.errors import AlarmError, FormatError, InternalError, LedgerError, NotReadyError, OutcomeUnknown, TooLargeError
from ledger.core.limits import LIMITS
from ledger.engine.admission import Request, fail_all, is_way_back, read_envelope
from ledger.engine.commit import Committed, Committer
from ledger.engine.feed import Feed
from ledger.engine.forkguard import ForkGuard
from ledger.engine.headfile import HeadFile, LeftHead
from ledger.engine.outlet import Outlet
from ledger.engine.receipts import add_receipts
from ledger.engine.signatures import NONE, THREADS, WORTH_IT, Checked, Good
from ledger.engine.signing import GuardedClock, NoteSigner, SequencerKeys, Witnesses
from ledger.engine.stateroots import StateRoots
from ledger.engine.waiting import WaitingRequests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.core.ports import Clock, Observer
    from ledger.core.root import Root
    from ledger.engine.snapshot import Snapshot, StoredHead
    from ledger.engine.store import Store

    Placing = asyncio.Future[list[Placed | Refused]]

HEAD_FILE = "head.json"
WINDOW_SECONDS, WINDOWS = 0.001, 6
HALVES_FROM, PATIENCE = 16, 3  # callers who are worth two batches; windows without anybody coming back after which one goes on
TURNS = 4  # of the event loop, until what a future was given is written to a socket
FEW, MANY = 8, 128  # receipts from the store, and from memory, up to which a thread costs more than they do


class Sequencer:
    """Appends to one store. `start` before anything else, `close` at the end. For one event loop.

    `feed` tells of every note that leaves; `feed.head` is the newest one. What the store holds beyond it has not left.
    """

    def __init__(
        self, store: Store, keys: SequencerKeys, *, clock: Clock, observer: Observer | None = None, witnesses: Witnesses | None = None
    ) -> None:
        """Take an open, writable store. `witnesses` is needed only when the root wants a quorum."""
        self.store = store
        self.feed = Feed(Head(0, 0))
        self._observer = observer
        self._clock = clock
        self._signer = NoteSigner(keys)
        self._guarded = GuardedClock(clock)
        self._checked = Checked()
        self._committer = Committer(store, self._signer, self._guarded, self._checked)
        self._state_roots = StateRoots(
            store, self._committer.state_roots, failed=lambda error: self._event("state-root", reason=error.message)
        )
        file = HeadFile(store.path.with_name(HEAD_FILE))
        self._guard = ForkGuard(store, file)
        self._outlet = Outlet(store, self._signer, (clock, self._guarded), file, self.feed)
        self._outlet.witnesses = witnesses
        self._outlet.observe = self._event
        self._queue = WaitingRequests()
        self._reading = asyncio.Semaphore(THREADS)  # more threads would only keep the event loop waiting
        self._wake = asyncio.Event()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="verify")
        self._being_read = 0  # requests that are not in the queue yet, and need the threads
        self._elsewhere = False
        self._enough = 1
        self._callers = 0  # the most that were heard of since a batch was taken
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._stopped: LedgerError | None = None

    # -- life ----------------------------------------------------------------------------------------------------

    async def start(self, *, accept: int | None = None) -> None:
        """Read what is committed, decide whether this home may sign, let the newest note leave, then take requests.

        With a fork risk it starts too, and refuses every append, unless an operator accepts the log of `accept` entries for the newest
        there is; UsageError when it has another size then. Raises CorruptError, and NotReadyError when no log key is open.
        """
        await self._guard.check()
        if accept is not None and self._guard.risk is not None:
            self._event("fork-risk-accepted", reason=self._guard.risk, size=accept)
            await self._guard.accept(accept)
        head, last = await self.store.read(self._read_start)
        self._guarded.raise_to(last)
        self._outlet.left = LeftHead(head.size, head.root)
        if self._guard.risk is not None:
            self._event("fork-risk", reason=self._guard.risk)
        else:
            # Before anything can leave for the first time: a missing file means that the home was restored.
            await self._outlet.write_head_file()
            await self._guard.continued()
            if head.size:
                note = self._signer.log_note(head.size, head.root)
                time = await self._outlet.store_time()
                await self._outlet.leave(Committed(head.size, head.size, head.root, note, time))
        self._task = asyncio.create_task(self._run(), name="sequencer")

    def _read_start(self, snapshot: Snapshot) -> tuple[StoredHead, int]:
        self._signer.learn(snapshot.connection)
        return snapshot.head(), int(snapshot.meta(self._signer.keys.clock_fact) or 0)

    async def close(self) -> None:
        """Sequence what is queued, write `head.json`, stop. Idempotent. The store stays open."""
        self._closing = True
        self._wake.set()
        task, self._task = self._task, None
        if task is not None:
            await task
            await self._state_roots.close()
            await self._outlet.close()
        self._pool.shutdown(wait=False)

    def serve_elsewhere(self) -> None:
        """Know from now on that another process answers the callers while this one commits, and pushes back those there is no room for.

        What comes from it is taken, always. Bulk that is read in a thread arrives after small requests that were sent later, so the rule
        that keeps some room from bulk, applied again here, would push back what has its place already.
        """
        self._elsewhere = True
        self._queue.bounded = False

    @property
    def stopped(self) -> LedgerError | None:
        """Return why nothing is sequenced any more, None while it is."""
        return self._stopped

    @property
    def fork_risk(self) -> str | None:
        """Return why this home may not sign, None when it may."""
        return self._guard.risk

    @property
    def root(self) -> Root | None:
        """Return the root in force, None before there is one."""
        return self._signer.root if self._signer.roots else None

    @property
    def waiting(self) -> int:
        """Return how many entries wait for their turn."""
        return self._queue.entries

    @property
    def clock_suspect(self) -> bool:
        """Tell whether the wall clock jumped ahead and is not signed until `confirm_clock`."""
        return self._guarded.suspect

    def confirm_clock(self) -> None:
        """Sign the wall clock again after a jump: an operator, or a witness's time, says that it is right."""
        self._guarded.confirm()

    async def raise_fork_risk(self, reason: str, *, origin: str | None = None, clock: int = 0) -> None:
        """Sign nothing after the batch under way, now and after a restart, until `accept_fork_risk`: something proves that more left.

        `origin`: that of the root under which the proof was judged; it counts no more once a root with `continues` gave the log another.
        `clock`: the newest time of this home's clock key that is known to have left.
        """
        self._guarded.raise_to(clock)
        try:
            await self._guard.alarm(reason, self._signer.keys.clock_fact, clock, origin)
        finally:
            self._event("fork-risk" if self._guard.risk is not None else "fork-risk-dropped", reason=reason)
            self._wake.set()

    async def accept_fork_risk(self, size: int, *, clock: int = 0) -> None:
        """Take the log of `size` entries for the newest there is, though more may have left; the clock goes on above `clock`.

        Start a new sequencer afterwards. UsageError when the log has another size.
        """
        name = self._signer.keys.clock_fact
        await self.store.write(lambda transaction: transaction.put_meta(name, max(clock, int(transaction.meta(name) or 0))))
        await self._guard.accept(size)

    # -- requests ------------------------------------------------------------------------------------------------

    async def append(
        self, envelopes: Sequence[Envelope | bytes], *, expected_size: int | None = None, receipts: bool = True
    ) -> list[Placed | Refused]:
        """Place envelopes, one result each, in order. Durable, signed and out when this returns.

        Raises SizeMismatchError, BusyError (the queue is full), TooLargeError, NotReadyError, ForkRiskError, and OutcomeUnknown when the
        commit failed at its last step.
        """
        self._check_open(envelopes)
        if len(envelopes) > LIMITS.batch_entries:
            raise TooLargeError(f"at most {LIMITS.batch_entries} entries a request")
        if not envelopes:
            return []
        self._queue.reserve(len(envelopes))
        self._being_read += 1
        try:
            read, good = await self._read_envelopes(envelopes)
            self._check_open(read)
        except BaseException:
            self._queue.release(len(envelopes))
            raise
        finally:
            self._being_read -= 1
            if self._closing:
                self._wake.set()
        # A caller that gives up cancels only its answer: what it queued is placed all the same.
        return await self._put(Request(read, asyncio.get_running_loop().create_future(), expected_size, receipts, good))

    def submit(self, entries: Sequence[bytes], *, expected_size: int | None = None, receipts: bool = True, callers: int = 1) -> Placing:
        """Do as `append` does for a few entries, without a task for each caller: return the future of their results. Raises as it does.

        `callers`: how many wait for an answer now, with this one, after `serve_elsewhere`.
        """
        self._check_open(entries)
        self._queue.reserve(len(entries))
        self._callers = max(self._callers, callers)
        read = [read_envelope(one) for one in entries]
        return self._put(Request(read, asyncio.get_running_loop().create_future(), expected_size, receipts))

    def _put(self, request: Request) -> Placing:
        self._queue.put(request)
        if len(self._queue) >= self._enough:
            self._wake.set()
        return request.future

    def require_room(self, count: int) -> None:
        """Raise BusyError when a request of so many entries would be pushed back now, so that nobody reads it for nothing."""
        self._queue.require_room(count)

    def _check_open(self, envelopes: Sequence[Envelope | FormatError | bytes]) -> None:
        if self._guard.risk is not None and not is_way_back([read_envelope(one) for one in envelopes[:2]]):
            self._guard.refuse()
        if self._stopped is not None:
            raise NotReadyError(f"the sequencer stopped: {self._stopped.message}", advice="Start the ledger again.")
        if self._closing or self._task is None:
            raise NotReadyError("the sequencer is not running")

    async def _read_envelopes(self, envelopes: Sequence[Envelope | bytes]) -> tuple[list[Envelope | FormatError], Good]:
        if len(envelopes) < WORTH_IT:
            return [read_envelope(one) for one in envelopes], NONE
        async with self._reading:
            return await asyncio.get_running_loop().run_in_executor(None, self._read_many, envelopes)

    def _read_many(self, envelopes: Sequence[Envelope | bytes]) -> tuple[list[Envelope | FormatError], Good]:
        read = [read_envelope(one) for one in envelopes]
        return read, self._checked.spread([one for one in read if isinstance(one, Envelope)], self._pool)

    # -- the one task that signs ---------------------------------------------------------------------------------

    async def _run(self) -> None:
        before = 0
        while self._queue or self._being_read or not self._closing:
            if not self._queue:
                await self._idle()
                continue
            most = await self._gather(before) if before > 1 else LIMITS.batch_entries
            batch = self._queue.take(most)
            before, self._callers = len(batch), 0
            if self._guard.risk is not None:
                batch = self._only_way_back(batch)
            if self._stopped is not None:
                fail_all(batch, NotReadyError(f"the sequencer stopped: {self._stopped.message}"))
            elif batch:
                await self._sequence(batch)
            if self._elsewhere:
                await _let_answers_go()

    def _only_way_back(self, batch: list[Request]) -> list[Request]:
        """Refuse what may not be signed at a fork risk; return the root that would end it, if there is one."""
        found = [one for one in batch if is_way_back(one.envelopes)][:1]
        fail_all((one for one in batch if one not in found), self._guard.error())
        return found

    async def _gather(self, before: int) -> int:
        """Wait for those who were answered just now: while more come back, until as many are here as were in the batch `before`.

        Where callers are answered elsewhere while this commits, half of them are enough and no more are taken: so each half is answered
        while the other is committed. Return how many requests to take.
        """
        halves = self._elsewhere and self._callers >= HALVES_FROM
        self._enough = (self._callers + 1) // 2 if halves else before
        still, patience = 0, PATIENCE if halves else 1
        for _ in range(WINDOWS):
            waiting = len(self._queue)
            if halves and waiting >= self._enough:
                break
            self._wake.clear()
            alarm = asyncio.get_running_loop().call_later(WINDOW_SECONDS, self._wake.set)
            await self._wake.wait()
            alarm.cancel()
            still = 0 if len(self._queue) > waiting else still + 1
            if len(self._queue) >= self._enough or still == patience:
                break
        most = self._enough if halves else LIMITS.batch_entries
        self._enough = 1
        return most

    async def _idle(self) -> None:
        """Wait for a request; renew the clock line when it is due."""
        self._wake.clear()
        due = None if self._stopped is not None or self._guard.risk is not None else self._outlet.renewal_in()
        alarm = None if due is None else asyncio.get_running_loop().call_later(due, self._wake.set)
        await self._wake.wait()
        if alarm is not None:
            alarm.cancel()
        if self._guard.risk is not None:
            return
        if due is not None and not self._queue and not self._closing and self._outlet.renewal_in() == 0.0:
            try:
                await self._outlet.renew()
            except LedgerError as error:
                self._stop(error)

    async def _sequence(self, batch: list[Request]) -> None:
        began, stands = self._clock.monotonic(), False
        try:
            committed = await self.store.run(partial(self._committer.commit, batch))
            stands = True
            if committed is not None:
                await self._outlet.leave(committed)
                if committed.continued:
                    await self._continue()
                self._state_roots.follow(committed.start, committed.size, self._signer.root.state_every)
            await self._answer(batch, committed)
        except (OutcomeUnknown, AlarmError, InternalError) as error:
            # An unwitnessed note is an unknown outcome too, but the next batch may find the witnesses again.
            if not isinstance(error, OutcomeUnknown) or error.operation == "commit":
                self._stop(error)
            fail_all(batch, _unanswered(error) if stands else error)
        except LedgerError as error:
            fail_all(batch, _unanswered(error) if stands else error)
        except Exception as error:  # noqa: BLE001 - a bug of ours must not leave callers waiting for ever
            failure = InternalError(f"the sequencer failed: {error!r}")
            failure.__cause__ = error
            self._stop(failure)
            fail_all(batch, OutcomeUnknown(failure.message, operation="commit"))
        else:
            for request in batch:
                request.answer()
        self._event("batch", entries=sum(len(one.envelopes) for one in batch), seconds=self._clock.monotonic() - began)

    async def _continue(self) -> None:
        """Sign on: a root took the log up again where it was lost."""
        try:
            await self._guard.end()
            await self._outlet.write_head_file()
            await self._guard.continued()
        except LedgerError as error:  # it stands all the same, and the next start writes the file
            self._event("head-file", reason=error.message)

    async def _answer(self, batch: list[Request], committed: Committed | None) -> None:
        """Add receipts under the newest note that left: from memory when all of it is new, else from the store, many in a thread."""
        note = self.feed.head.checkpoint
        wanted = sum(len(request.envelopes) for request in batch if request.receipts)
        if note is None or not wanted:
            return
        size = self._outlet.left.size
        new = None if committed is None or committed.size != size else committed.new
        if new is not None and new.has_all(batch):
            if wanted <= MANY:
                add_receipts(batch, size, note, new)
            else:
                await asyncio.to_thread(add_receipts, batch, size, note, new)
        elif wanted <= FEW:
            self.store.read_now(partial(add_receipts, batch, size, note))
        else:
            await self.store.read(partial(add_receipts, batch, size, note))

    def _stop(self, error: LedgerError) -> None:
        self._stopped = error
        self._event("stopped", code=error.code, reason=error.message)

    def _event(self, name: str, **facts: object) -> None:
        if self._observer is not None:
            self._observer.event(f"sequencer.{name}", **facts)


async def _let_answers_go() -> None:
    """Let the event loop send what was answered, and read what has come: the next commit may keep it from that."""
    for _ in range(TURNS):
        await asyncio.sleep(0)


def _unanswered(error: LedgerError) -> OutcomeUnknown:
    """Return what is told when something failed after the COMMIT: the entries stand, so nobody may hear that they were refused."""
    return error if isinstance(error, OutcomeUnknown) else OutcomeUnknown(f"stored, but not answered: {error.message}", operation="answer")
