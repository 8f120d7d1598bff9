"""A verified copy of a log: entries, verdicts, state, note and trust state move together in one transaction (DESIGN 6).

Whom to believe is `core.trust`'s to say; this module holds what it asks about and stores what it decides:

    async with replica.intake() as intake:
        await intake.go_back(start)            when the verdict says so
        await intake.apply(entries)            page by page
        judged = await intake.judge(lambda view: judge_entries(state, view, ticket, now))
        intake.take(judged.state)              only for Taken; without it everything is undone

Every signature is checked and every entry judged before anything is committed.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ledger.core.envelope import parse_entry
from ledger.core.errors import FormatError, NotFoundError, ProofError, UnsupportedError
from ledger.core.fold import KNOWN_FOLD, Void, judge, present_root
from ledger.core.merkle import Frontier, consistency_proof, leaf_hashes, tree_root
from ledger.core.trust.good import parse_claim
from ledger.core.trust.state import TrustState
from ledger.engine.signatures import NONE, THREADS, Checked, Good
from ledger.engine.signing import placed_roots
from ledger.engine.verifier import Verifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from ledger.core.envelope import Envelope
    from ledger.core.fold import Check
    from ledger.core.trust.roots import PlacedRoot
    from ledger.engine.snapshot import Snapshot
    from ledger.engine.store import HeldTransaction, Store
    from ledger.engine.transaction import Transaction

T = TypeVar("T")

TRUST = "trust"
AHEAD = 2  # pages that are read and verified before their turn
MANY = 5_000  # entries that are worth a process
CORES = 2
HALTED = "halted"  # the fold asked for by the root at which this replica stopped


class StoredView:
    """`core.trust.ReplicaView` over a snapshot, or over an open transaction with what it added. `beyond`: the tree of a halted intake."""

    def __init__(self, snapshot: Snapshot, beyond: Frontier | None = None) -> None:
        self._snapshot = snapshot
        self._stored = snapshot.head().size if beyond is None else -1
        self._beyond = beyond

    @property
    def size(self) -> int:
        """See ReplicaView."""
        return self._stored if self._beyond is None else self._beyond.size

    def root_at(self, size: int) -> bytes | None:
        """See ReplicaView."""
        if self._beyond is not None and size == self._beyond.size:
            return self._beyond.root()
        try:
            return tree_root(size, self._snapshot) if 0 <= size <= self.size else None
        except NotFoundError:
            return None

    def extension(self, old: int, new: int) -> Sequence[bytes]:
        """See ReplicaView."""
        try:
            return consistency_proof(old, new, self._snapshot)
        except (NotFoundError, ProofError):
            return ()

    def roots(self) -> Sequence[PlacedRoot]:
        """See ReplicaView."""
        return placed_roots(self._snapshot.connection)


class _UndoneError(Exception):
    """The intake was not taken."""


class _Page(NamedTuple):
    """Entries with their envelopes, None for those that hold none, and the signatures found good."""

    entries: Sequence[bytes]
    read: list[Envelope | None]
    good: Good = NONE

    @property
    def envelopes(self) -> Iterator[Envelope]:
        return (envelope for envelope in self.read if envelope is not None)


class Checking:
    """Who verifies the signatures of an intake: threads, or for many entries a process."""

    def __init__(self, checked: Checked, pool: Executor, verifier: Verifier | None = None) -> None:
        self.checked = checked
        self._pool = pool
        self._verifier = verifier

    async def good(self, envelopes: Iterable[Envelope]) -> Good:
        """Return the good signatures by known keys, as far as it is worth asking ahead."""
        loop = asyncio.get_running_loop()
        if self._verifier is None:
            return await loop.run_in_executor(None, self.checked.spread, tuple(envelopes), self._pool)
        return await loop.run_in_executor(self._pool, self._ask, self._verifier, envelopes)

    def _ask(self, verifier: Verifier, envelopes: Iterable[Envelope]) -> Good:
        return frozenset(verifier.valid(self.checked.claims(envelopes)))


class Intake:
    """Entries on their way into a replica, in one open transaction. For one task.

    Of the pages applied, one is judged and written while those after it are read and verified.
    """

    def __init__(self, held: HeldTransaction, checking: Checking) -> None:
        self._held = held
        self._checking = checking
        self._pages: deque[asyncio.Task[None]] = deque()
        self._tree = Frontier()
        self._state: TrustState | None = None
        self._facts: Mapping[str, str] = {}
        self.accepted = 0
        self.void = 0
        self.halted: int | None = None

    @property
    def taken(self) -> bool:
        """Tell whether the entries are to be committed."""
        return self._state is not None

    async def begin(self) -> None:
        """Read where the replica stands."""

        def work(transaction: Transaction) -> None:
            self._tree = transaction.frontier
            root = present_root(transaction.view)
            if root is not None and root.fold != KNOWN_FOLD:
                self.halted = transaction.size
            else:
                transaction.put_meta(HALTED, None)

        await self._held.run(work)

    async def go_back(self, size: int) -> None:
        """Drop what the replica holds from `size` on; nothing when it holds no more. Before any `apply`."""

        def work(transaction: Transaction) -> None:
            if size < transaction.size:
                transaction.roll_back(size)
                transaction.put_meta(HALTED, None)
                self.halted = None
            self._tree = transaction.frontier

        await self._held.run(work)

    async def apply(self, entries: Sequence[bytes]) -> None:
        """Take the next entries. Raises what judging or writing entries before them raised."""
        read = await asyncio.get_running_loop().run_in_executor(None, _read_page, entries)
        while len(self._pages) > AHEAD:
            await self._pages.popleft()
        before = self._pages[-1] if self._pages else None
        self._pages.append(asyncio.create_task(self._settle(read, before)))

    async def _settle(self, page: _Page, before: asyncio.Task[None] | None) -> None:
        good = await self._checking.good(page.envelopes)
        if before is not None:
            await before
        await self._held.run(partial(self._write, page._replace(good=good)))

    async def judge(self, work: Callable[[StoredView], T]) -> T:
        """Run `work` on the replica as it would be with these entries."""
        await self._written()

        def look(transaction: Transaction) -> T:
            transaction.store_tree()
            return work(StoredView(transaction, self._tree))

        return await self._held.run(look)

    def take(self, state: TrustState, facts: Mapping[str, str] | None = None) -> None:
        """Commit the entries with this trust state, and what else is to be remembered with them, when the intake ends."""
        self._state = state
        self._facts = facts or {}

    async def finish(self) -> None:
        """Write the trust state, or undo everything if nothing was taken."""
        await self._written()
        if self._state is None:
            raise _UndoneError
        text, facts = self._state.to_json(), self._facts
        note = self._state.note

        def work(transaction: Transaction) -> None:
            transaction.put_meta(TRUST, text)
            for name, value in facts.items():
                transaction.put_meta(name, value)
            if note is not None and self.halted is None:
                transaction.put_checkpoint(transaction.size, note)

        await self._held.run(work)

    async def abandon(self) -> None:
        """Let the pages that are being written end; what they wrote is undone."""
        await asyncio.gather(*self._pages, return_exceptions=True)

    async def _written(self) -> None:
        while self._pages:
            await self._pages.popleft()

    def _write(self, page: _Page, transaction: Transaction) -> None:
        check = self._checking.checked.checker(page.good)
        transaction.view.prefetch(envelope.statement.id for envelope in page.envelopes)
        for number, (entry, envelope) in enumerate(zip(page.entries, page.read, strict=True)):
            if self.halted is None:
                self._judge(transaction, entry, envelope, check)
            if self.halted is not None:
                self._pass(transaction, page.entries[number:])
                return
        transaction.store_tree()
        self._tree = transaction.frontier

    def _pass(self, transaction: Transaction, entries: Sequence[bytes]) -> None:
        """Go on with the tree only, so that the note can be judged: nothing of these entries is stored."""
        transaction.store_tree()
        if self._tree.size < transaction.size or self._tree is transaction.frontier:
            self._tree = transaction.frontier.copy()
        self._tree.append_many(leaf_hashes(entries))

    def _judge(self, transaction: Transaction, entry: bytes, envelope: Envelope | None, check: Check) -> None:
        index = transaction.size
        try:
            verdict = judge(transaction.view, entry if envelope is None else envelope, index, check=check)
        except UnsupportedError as error:
            # The root before asks for rules that this program does not know: it was accepted, nothing after it is.
            self.halted = index
            transaction.put_meta(HALTED, error.message)
            return
        if envelope is None:
            transaction.add(entry)
        else:
            transaction.add(entry, envelope.statement.digest)
        if isinstance(verdict, Void):
            self.void += 1
            transaction.reject(index, verdict.code, verdict.reason)
            return
        self.accepted += 1
        is_whole = envelope is not None and verdict.records[0].body is envelope.statement.body
        transaction.accept(index, verdict, envelope.statement.body_text if envelope is not None and is_whole else None)


class Replica:
    """The verified copy in one store, of one pinned network. For one event loop."""

    def __init__(self, store: Store, network: str) -> None:
        """Take an open, writable store; `network` is the id that it is pinned to, see `pin`."""
        self.store = store
        self.network = network
        self._checked = Checked()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="verify")

    async def pin(self) -> None:
        """Pin the store to the network. UsageError when it is of another one."""
        await self.store.write(lambda transaction: transaction.pin(self.network))

    async def trust(self) -> TrustState:
        """Return the stored trust state; a fresh one if none was stored."""
        text = await self.store.read(lambda snapshot: snapshot.meta(TRUST))
        return TrustState(self.network) if text is None else TrustState.from_json(str(text))

    async def save_trust(self, state: TrustState) -> None:
        """Store the trust state alone: for every verdict but Taken."""
        text, note = state.to_json(), state.note

        def work(transaction: Transaction) -> None:
            transaction.put_meta(TRUST, text)
            if note is not None and transaction.checkpoint(transaction.size) is not None:
                transaction.put_checkpoint(transaction.size, note)

        await self.store.write(work)

    async def look(self, work: Callable[[StoredView], T]) -> T:
        """Run `work` on the replica as it is."""
        return await self.store.read(lambda snapshot: work(StoredView(snapshot)))

    async def leaves(self, start: int, end: int) -> list[bytes]:
        """Return the leaf hashes `start … end-1`, as far as there are so many."""
        return await self.store.read(lambda one: one.read_many([(0, index) for index in range(start, min(end, one.head().size))]))

    async def receipt(self, index: int, note: bytes) -> bytes:
        """Return the receipt of an entry under a good note of a tree that is held. ProofError when it is not in it."""
        size = parse_claim(note).size
        return await self.store.read(lambda snapshot: snapshot.receipt(index, size, note))

    async def halted(self) -> str | None:
        """Return why this replica takes no more entries: its root asks for a fold that this program does not know."""
        reason = await self.store.read(lambda snapshot: snapshot.meta(HALTED))
        return None if reason is None else str(reason)

    @asynccontextmanager
    async def intake(self, expected: int = 0) -> AsyncIterator[Intake]:
        """Open an intake of about `expected` entries.

        What was applied is committed if it was taken, and undone otherwise, or when the block raises.
        """
        try:
            async with self._verifier(expected) as verifier, self.store.transaction() as held:
                intake = Intake(held, Checking(self._checked, self._pool, verifier))
                try:
                    await intake.begin()
                    yield intake
                    await intake.finish()
                except BaseException:
                    await intake.abandon()
                    raise
        except _UndoneError:
            return

    @asynccontextmanager
    async def _verifier(self, expected: int) -> AsyncIterator[Verifier | None]:
        """Run a process that verifies, for many entries and where there is a core for it."""
        if expected < MANY or len(os.sched_getaffinity(0)) < CORES:
            yield None
            return
        verifier = await asyncio.to_thread(Verifier)
        try:
            with paused_gc():
                yield verifier
        finally:
            await asyncio.to_thread(verifier.close)

    def close(self) -> None:
        """Stop the threads. The store stays open. Idempotent."""
        self._pool.shutdown(wait=True)


@contextmanager
def paused_gc() -> Iterator[None]:
    """Keep the collector from walking what bulk work allocates; it frees by counts all the same."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _read_page(entries: Sequence[bytes]) -> _Page:
    return _Page(entries, [_read(entry) for entry in entries])


def _read(entry: bytes) -> Envelope | None:
    """Return the envelope; None when the entry holds none, or no statement."""
    try:
        return parse_entry(entry)
    except FormatError:
        return None
