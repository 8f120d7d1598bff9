"""The store: `ledger.db` of a home, its lock, and the transactions that extend or cut the log.

One process writes (`lock`), in one lane, one transaction at a time. A transaction sees and extends three things together: the log
(entries and tree nodes), the state (versions, keys, look-ups) and the head row. The head row is advanced by compare-and-swap, so a
second writer, which the lock should have kept out, is found before anything is committed.
"""

from __future__ import annotations

from contextlib import ExitStack, asynccontextmanager, closing
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ledger.core.errors import CorruptError, LedgerError, OutcomeUnknown
from ledger.core.merkle import Frontier
from ledger.engine.database import Database, remove
from ledger.engine.digests import META as DIGESTS
from ledger.engine.digests import ReadTail, Tail
from ledger.engine.snapshot import Snapshot
from ledger.engine.tables import LEDGER
from ledger.engine.transaction import Transaction
from ledger.engine.view import StateCache
from ledger.home.lock import WriterLock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    import apsw

    from ledger.engine.lanes import Lane, Threads

T = TypeVar("T")

LOCK = "lock"


class Store:
    """The log on disk. `read` and `write` are for tasks of one event loop; `…_now` block and are for start-up and threads."""

    def __init__(self, database: Database, lock: WriterLock | None) -> None:
        """Take an open database; `open` is the way to get one."""
        self._database = database
        self._lock = lock
        self._tail = Tail()
        self._read_tail = ReadTail()
        self._frontier = Frontier()
        self._cache = StateCache()

    @classmethod
    def open(cls, path: Path, *, create: bool = False, writable: bool = True, wait_seconds: float = 0.0) -> Store:
        """Open the ledger at `path` (blocking); with `create`, make it, and refuse if it is there.

        Raises NotFoundError, ConflictError, CorruptError, and BusyError while another process writes it, after `wait_seconds`.
        """
        with ExitStack() as undo:
            lock = (
                undo.enter_context(WriterLock.take(path.with_name(LOCK), wait_seconds=wait_seconds))
                if writable and path.parent.is_dir()
                else None
            )
            database = Database(path, LEDGER, create=create, writable=writable)
            if create:
                undo.callback(remove, path)  # after it is closed
            undo.enter_context(closing(database))
            store = cls(database, lock)
            store._load()
            undo.pop_all()
        return store

    @classmethod
    def open_held(cls, path: Path, lock: WriterLock, threads: Threads) -> Store:
        """Do as `open` does for writing, under a lock that is held already, and is the store's from now on."""
        with ExitStack() as undo:
            undo.enter_context(lock)
            store = cls(undo.enter_context(closing(Database(path, LEDGER, threads=threads))), lock)
            store._load()
            undo.pop_all()
        return store

    @property
    def path(self) -> Path:
        """Return where the database lies; its directory is the home."""
        return self._database.path

    @property
    def lock(self) -> WriterLock | None:
        """Return the writer lock, None when open for reading only."""
        return self._lock

    def close(self) -> None:
        """Finish what runs, close the file, free the lock. Idempotent."""
        self._database.close()
        if self._lock is not None:
            self._lock.release()

    def _load(self) -> None:
        """Read what memory holds of the log: after a crash, after a roll-back and at every start, the same way."""

        def work(connection: apsw.Connection) -> tuple[Frontier, list[tuple[str, int]]]:
            snapshot = Snapshot(connection)
            head = snapshot.head()
            frontier = Frontier.load(head.size, snapshot)
            if frontier.root() != head.root:
                raise CorruptError(f"the tree of {self.path} does not make the root of its head", size=head.size)
            return frontier, list(snapshot.digests(int(snapshot.meta(DIGESTS) or 0)))

        self._frontier, unwritten = self._database.read_now(work)
        self._tail = Tail()
        self._tail.add(unwritten)
        self._cache.clear()

    # -- reading -------------------------------------------------------------------------------------------------

    async def read(self, work: Callable[[Snapshot], T]) -> T:
        """Run `work` on one snapshot in a reader thread."""
        return await self._database.read(lambda connection: work(self._snapshot(connection)))

    async def search(self, work: Callable[[Snapshot], T]) -> T:
        """Run `work` on one snapshot in a thread for long work."""
        return await self._database.search(lambda connection: work(self._snapshot(connection)))

    def read_now(self, work: Callable[[Snapshot], T]) -> T:
        """Run `work` on one snapshot in the calling thread: for point look-ups of a few microseconds."""
        return self._database.read_now(lambda connection: work(self._snapshot(connection)))

    # -- writing -------------------------------------------------------------------------------------------------

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in one transaction in the lane. Durable when this returns, undone if it raises.

        Raises what `work` raises, OutcomeUnknown when the COMMIT failed (nothing more is written until the store is opened
        again), ForkRiskError when another writer moved the head.
        """
        return await self._database.run(partial(self.transact, work))

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in the lane, outside any transaction; it may call `transact`."""
        return await self._database.run(work)

    def write_now(self, work: Callable[[Transaction], T]) -> T:
        """Do as `write` does, blocking the calling thread."""
        return self._database.run_now(partial(self.transact, work))

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """Do as `write` does. Only in the lane."""
        transaction = self._begin()
        try:
            with self._database.wrapped():
                result = work(transaction)
            self._finish(transaction)
        except BaseException:
            self._abandon()
            raise
        return result

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[HeldTransaction]:
        """Hold one transaction open over several awaits: committed at the end of the block, undone if it raises."""
        async with self._database.turn() as lane:
            transaction = await lane.run(partial(self._begin, long=True))
            try:
                with self._database.wrapped():
                    yield HeldTransaction(transaction, lane)
                    await lane.run(partial(self._finish, transaction))
            except BaseException:
                await lane.run(self._abandon)
                raise

    def _begin(self, *, long: bool = False) -> Transaction:
        connection = self._database.begin(long=long)
        try:
            with self._database.wrapped():
                return Transaction(connection, self._tail, self._frontier, self._cache)
        except BaseException:
            self._database.abandon()
            raise

    def _finish(self, transaction: Transaction) -> None:
        """Commit, and only then let memory follow: a crash or an error before this leaves both as they were."""
        with self._database.wrapped():
            transaction.finish()
        self._database.commit()
        self._frontier = transaction.frontier
        if transaction.cut_to is not None:
            self._reload()
            return
        self._tail.add(transaction.digests_added)
        if transaction.spilled is not None:
            self._tail.forget(transaction.spilled)

    def _reload(self) -> None:
        """Read anew what memory holds, after a cut that is committed: if that fails nobody may go on with what memory held before."""
        try:
            self._load()
        except LedgerError as error:
            self._database.stop()
            raise OutcomeUnknown(f"taken back, but {self.path} cannot be read: {error.message}", operation="commit") from error

    def _abandon(self) -> None:
        """Undo the transaction; the cache may know what it wrote."""
        self._cache.clear()
        self._database.abandon()

    def _snapshot(self, connection: apsw.Connection) -> Snapshot:
        # A process that only reads does not hear of new entries, so what it has in memory may be too little.
        return Snapshot(connection, self._tail if self._lock is not None else self._read_tail)


class HeldTransaction:
    """An open transaction that several awaits extend; see `Store.transaction`."""

    def __init__(self, transaction: Transaction, lane: Lane) -> None:
        self._transaction = transaction
        self._lane = lane

    async def run(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on the transaction in the lane."""
        return await self._lane.run(partial(work, self._transaction))
