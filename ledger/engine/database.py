"""One SQLite file (apsw): one lane in which it is written, a few reader threads, nothing else ever touches it.

WAL with `synchronous=FULL`: when `write` returns, its effects are on disk. Writes run one after the other, each in
`BEGIN IMMEDIATE`; reads see one snapshot each and never wait for a write. Foreign exceptions become domain errors here.

The WAL is copied back by a third connection while commits go on; one commit then copies the few pages that came since. So it
is whole, and the next commit starts it over in place: syncing what is overwritten costs half of syncing what grows.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import apsw

from ledger.core.errors import (
    BusyError,
    ConflictError,
    CorruptError,
    LedgerError,
    NotFoundError,
    NotReadyError,
    OutcomeUnknown,
    UnavailableError,
)
from ledger.engine.lanes import Threads
from ledger.home.files import sync_directory, unwritable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from ledger.engine.lanes import Lane

T = TypeVar("T")

BUSY_MILLISECONDS = 5_000
WAL_PAGES = 2_000
WAL_BYTES = 64 * 1024 * 1024  # what one large transaction made longer is cut back to this
CACHE_KIB = 32_768  # of a reader, and of a writer in a long transaction
SHORT_CACHE_KIB = 6_144  # of a writer else: SQLite looks at every page it holds after most commits
SEARCHERS = 2
USUAL = Threads()


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file must be: its application id, its version, the statements that make it, and how people call it."""

    application: int
    version: int
    statements: str
    name: str
    advice: str


def domain_error(error: apsw.Error, name: str) -> LedgerError:
    """Return the domain error for one of SQLite's about the file called `name`."""
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return BusyError(f"{name} is being written by another process")
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError, apsw.MismatchError)):
        return CorruptError(f"{name} is damaged: {error}")
    if isinstance(error, apsw.FullError):
        return UnavailableError(f"the disk is full: {name} cannot be written", advice="Free some space, then start again.")
    return UnavailableError(f"{name} cannot be used: {error}", advice="Check the disk and the permissions of the file.")


class Database:
    """A file of one `Schema`. `write` and `read` are for tasks of one event loop, `…_now` for threads and start-up."""

    def __init__(self, path: Path, schema: Schema, *, create: bool = False, writable: bool = True, threads: Threads = USUAL) -> None:
        """Open `path`; with `create`, make it. NotFoundError or ConflictError when that is not what is there."""
        self.path = path
        self.schema = schema
        self.writable = writable
        self._closed = False
        self._failed = False
        self._local = threading.local()
        self._guard = threading.Lock()
        self._connections: list[apsw.Connection] = []
        self._turn = asyncio.Lock()
        _check_presence(path, schema, create=create)
        if create:
            create_empty(path)
        self._lane = threads.lane(f"{path.stem}-write")
        self._readers = ThreadPoolExecutor(threads.readers, thread_name_prefix=f"{path.stem}-read")
        self._searchers = ThreadPoolExecutor(SEARCHERS, thread_name_prefix=f"{path.stem}-search")
        self._cleaner = ThreadPoolExecutor(1, thread_name_prefix=f"{path.stem}-wal")
        self._cleaning = False
        self._copied = False
        self._wal_pages = 0
        self._wal_limit = WAL_PAGES
        self._write_cache = CACHE_KIB
        self._write_connection: apsw.Connection | None = None
        try:
            with self.wrapped():
                if writable:
                    self._write_connection = self._lane.run_now(partial(self._open_writer, create))
                else:
                    self._check_version(self._reader())
        except BaseException:
            self.close()
            if create:
                remove(path)
            raise

    # -- opening -------------------------------------------------------------------------------------------------

    def _connect(self, flags: int) -> apsw.Connection:
        connection = apsw.Connection(str(self.path), flags=flags, statementcachesize=200)
        connection.set_busy_timeout(BUSY_MILLISECONDS)
        connection.pragma("cache_size", -CACHE_KIB)
        connection.pragma("temp_store", 2)
        with self._guard:
            self._connections.append(connection)
        return connection

    def _open_writer(self, create: bool) -> apsw.Connection:
        connection = self._connect(apsw.SQLITE_OPEN_READWRITE)
        if not create:
            self._check_version(connection)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "FULL")
        connection.pragma("journal_size_limit", WAL_BYTES)
        connection.set_wal_hook(self._note_wal)
        if create:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(self.schema.statements)
            connection.pragma("application_id", self.schema.application)
            connection.pragma("user_version", self.schema.version)
            connection.execute("COMMIT")
            sync_directory(self.path.parent)
        return connection

    def _check_version(self, connection: apsw.Connection) -> None:
        application, version = connection.pragma("application_id"), connection.pragma("user_version")
        if application != self.schema.application:
            raise CorruptError(f"{self.path} is not {self.schema.name}")
        if version != self.schema.version:
            raise NotReadyError(
                f"{self.path} has format {version}; this program knows {self.schema.version}",
                advice="Use the version of metaledger that wrote it, or sync afresh.",
            )

    def _reader(self) -> apsw.Connection:
        found: apsw.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = self._local.connection = self._connect(apsw.SQLITE_OPEN_READONLY)
        return found

    # -- the write side ------------------------------------------------------------------------------------------

    @property
    def connection(self) -> apsw.Connection:
        """Return the write connection: for code that already runs in the lane, and for nothing else."""
        if self._write_connection is None or self._closed or self._failed:
            raise self._not_open()
        return self._write_connection

    async def write(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` in the lane, inside one transaction. Durable when this returns; undone if it raises.

        Raises OutcomeUnknown when the COMMIT itself failed; nothing more is written until the file is opened again.
        """
        return await self.run(lambda: self.transact(work))

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in the lane, outside any transaction."""
        async with self._turn:
            self._require_writable()
            return await self._lane.run(work)

    def run_now(self, work: Callable[[], T]) -> T:
        """Do as `run` does, blocking the calling thread: only where no task may hold the turn."""
        self._require_writable()
        return self._lane.run_now(work)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Lane]:
        """Keep other tasks from writing; yields the lane."""
        async with self._turn:
            self._require_writable()
            yield self._lane

    def transact(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` in one transaction of the write connection. Only in the lane."""
        connection = self.begin()
        try:
            with self.wrapped():
                result = work(connection)
        except BaseException:
            roll_back(connection)
            raise
        self.commit()
        return result

    def begin(self, *, long: bool = False) -> apsw.Connection:
        """Start a transaction that no other writer can be in; a `long` one may change more than a few MiB. Only in the lane."""
        connection = self.connection
        cache = CACHE_KIB if long else SHORT_CACHE_KIB
        with self.wrapped():
            if cache != self._write_cache:
                connection.pragma("cache_size", -cache)
                self._write_cache = cache
            connection.execute("BEGIN IMMEDIATE")
        return connection

    def commit(self) -> None:
        """Make the open transaction durable. OutcomeUnknown when SQLite cannot say that it is; then nothing more is written."""
        try:
            self.connection.execute("COMMIT")
        except apsw.Error as error:
            self._failed = True
            if self._write_connection is not None:
                roll_back(self._write_connection)
            raise OutcomeUnknown(f"writing {self.path} failed at its last step: {error}", operation="commit") from error

    def stop(self) -> None:
        """Write nothing more until the file is opened again."""
        self._failed = True

    def abandon(self) -> None:
        """Undo the open transaction, if there is one. Only in the lane."""
        if self._write_connection is not None and not self._closed:
            roll_back(self._write_connection)

    @contextmanager
    def wrapped(self) -> Iterator[None]:
        """Turn SQLite's errors into domain errors."""
        try:
            yield
        except apsw.Error as error:
            raise domain_error(error, str(self.path)) from error

    # -- the read side -------------------------------------------------------------------------------------------

    async def read(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` in a reader thread on one snapshot."""
        return await asyncio.get_running_loop().run_in_executor(self._open(self._readers), self.read_now, work)

    async def search(self, work: Callable[[apsw.Connection], T]) -> T:
        """Do as `read` does, in a thread for long work: what is short does not wait for it."""
        return await asyncio.get_running_loop().run_in_executor(self._open(self._searchers), self.read_now, work)

    def read_now(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run `work` on one snapshot in the calling thread: for point look-ups of a few microseconds."""
        if self._closed:
            raise self._not_open()
        with self.wrapped():
            connection = self._reader()
            if connection.in_transaction:
                return work(connection)
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                roll_back(connection)

    # -- WAL checkpoints and the end -----------------------------------------------------------------------------

    def _note_wal(self, connection: apsw.Connection, _name: str, pages: int) -> int:
        """See how long the WAL is after a commit; in the lane."""
        if pages <= self._wal_pages:  # it has started over
            self._wal_limit = WAL_PAGES
        self._wal_pages = pages
        if self._copied:
            self._copied = False
            with suppress(apsw.Error):
                connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            # A reader may keep it from starting over: then it grows by as much again before the next try.
            self._wal_limit = pages + WAL_PAGES
        elif pages > self._wal_limit and not self._cleaning and not self._closed:
            self._cleaning = True
            with suppress(RuntimeError):
                self._cleaner.submit(self._clean)
        return apsw.SQLITE_OK

    def _clean(self) -> None:
        """Copy the WAL back. A failure here loses nothing: the WAL stays as it is and the next commit asks again."""
        try:
            with suppress(apsw.Error):
                cleaner: apsw.Connection | None = getattr(self._local, "cleaner", None)
                if cleaner is None:
                    cleaner = self._local.cleaner = self._connect(apsw.SQLITE_OPEN_READWRITE)
                    cleaner.pragma("synchronous", "FULL")
                cleaner.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                self._copied = True
        finally:
            self._cleaning = False

    def close(self) -> None:
        """Finish what runs, then close the file. Idempotent; calls after it raise NotReadyError."""
        self._closed = True
        self._lane.close()
        for pool in (self._readers, self._searchers, self._cleaner):
            pool.shutdown(wait=True)
        with self._guard:
            connections, self._connections = self._connections, []
        for connection in reversed(connections):
            with suppress(apsw.Error):
                connection.close()

    def _require_writable(self) -> None:
        if self._closed or not self.writable:
            raise self._not_open()

    def _open(self, pool: ThreadPoolExecutor) -> ThreadPoolExecutor:
        if self._closed:
            raise self._not_open()
        return pool

    def _not_open(self) -> NotReadyError:
        state = "closed" if self._closed else "stopped after a write that failed" if self._failed else "open for reading only"
        return NotReadyError(f"{self.schema.name} {self.path} is {state}", advice="Open it again.")


def roll_back(connection: apsw.Connection) -> None:
    """Undo the open transaction, if SQLite has not done so itself."""
    if connection.in_transaction:
        with suppress(apsw.Error):
            connection.execute("ROLLBACK")


def create_empty(path: Path) -> None:
    """Make the file, private from the first byte. UnavailableError when the system refuses."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise unwritable(path, error) from error


def remove(path: Path) -> None:
    """Take a database away, with the files that SQLite keeps beside it: one that was just made and never used."""
    for end in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + end).unlink(missing_ok=True)


def _check_presence(path: Path, schema: Schema, *, create: bool) -> None:
    if create and path.exists():
        raise ConflictError(f"{path} exists already", advice="Choose another place; nothing is ever overwritten.")
    if not create and not path.exists():
        raise NotFoundError(f"there is no {schema.name} at {path}", advice=schema.advice)
    if not path.parent.is_dir():
        raise NotFoundError(f"there is no directory {path.parent}", advice="Make it first.")
