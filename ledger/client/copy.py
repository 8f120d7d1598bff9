"""The verified copy of a ledger that a client reads: the log itself where it lies on this machine, else a replica of it.

Reading needs no lock. The one writer is opened when something is to be written: by `sync` for a replica, by the embedded backend
for a log. While an agent (`run node`) keeps the replica, the agent is asked to sync.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ledger.client.answers import SyncReport
from ledger.client.moving import Moving
from ledger.client.ordered import ChainSyncer, OrderedSource
from ledger.client.reader import Reader
from ledger.client.revocations import fetch_list, is_old
from ledger.client.sync import LogSource, Progress
from ledger.client.transport import Transport, parse_object
from ledger.core.errors import (
    BusyError,
    ConflictError,
    FormatError,
    LedgerError,
    NotFoundError,
    OrderMovedError,
    UnreachableError,
    UnsupportedError,
)
from ledger.engine.opening import open_in_thread
from ledger.engine.replica import Replica
from ledger.engine.signing import placed_roots
from ledger.engine.store import Store
from ledger.home.backends import BackendContext, open_ledger
from ledger.home.files import read_text
from ledger.home.lock import read_holder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ledger.client.place import Place
    from ledger.core.backend import Backend
    from ledger.core.trust import PlacedRoot

PATIENCE_SECONDS = 5.0


@runtime_checkable
class Forgetful(Protocol):
    """A backend that reads a chain and can begin anew."""

    async def forget(self, words: str, now: int) -> None:
        """Forget what was read and agreed on, after an alarm that an operator ends in these words."""
        ...


class Silent:
    """An Observer that nobody listens to: a command's own answer says what happened."""

    def event(self, name: str, /, **facts: object) -> None:
        """See Observer."""


class Copy:
    """What is read. `is_log`: the ledger itself, so that there is nothing to sync."""

    def __init__(self, place: Place, database: Path, *, is_log: bool) -> None:
        self.place = place
        self.is_log = is_log
        self._database = database
        self._stack = AsyncExitStack()
        self._backend: Backend | None = None
        self.store = Store.open(database, writable=False)
        self.reader = Reader(self.store)

    async def close(self) -> None:
        """Close everything that was opened."""
        await self._stack.aclose()
        await asyncio.to_thread(self.store.close)

    async def network(self) -> str:
        """Return the network id: the pinned one, or that of the log itself."""
        if self.place.settings.network is not None and not (self.place.foreign and self.is_log):
            return self.place.settings.network
        found = await self.store.read(lambda snapshot: snapshot.state().network)
        if found is None:
            raise NotFoundError(f"{self._database} holds no network yet")
        return found

    async def roots(self) -> list[PlacedRoot]:
        """Return the roots that stand in the copy."""
        return await self.store.read(lambda snapshot: placed_roots(snapshot.connection))

    async def size(self) -> int:
        """Return the number of entries in the copy."""
        return (await self.store.read(lambda snapshot: snapshot.head())).size

    async def backend(self) -> Backend:
        """Return the backend that takes entries, opened when first asked for."""
        if self._backend is None:
            place = self.place
            self._backend = await open_ledger(place.url.text, BackendContext(place.home, place.settings, place.clock, Silent()))
            self._stack.push_async_callback(self._backend.close)
        return self._backend

    async def sync(self, progress: Progress | None = None) -> SyncReport:
        """Bring a replica up to its source; nothing to do for a log. See `Syncer.step` for what it raises."""
        if self.is_log:
            head = await self.store.read(lambda snapshot: snapshot.head())
            return SyncReport(head.size, head.root.hex(), notes=("this home holds the log itself",))
        writer = await self._writer()
        if isinstance(writer, str):
            return await self._ask_agent(writer)
        try:
            report = await self._step(writer, progress)
        finally:
            await asyncio.to_thread(writer.close)
        notes = ("this is a ledger of its own, not the home's: the copy was verified and is not kept",) if self.place.foreign else ()
        return replace(report, notes=(*report.notes, *notes))

    async def read_anew(self, words: str) -> None:
        """Give up what is known of the ledger's chain, by an operator's decision in these words: the next sync reads all of it.

        UnsupportedError for a ledger that is on no chain, BusyError while an agent keeps the copy.
        """
        backend = await self.backend()
        if not isinstance(backend, Forgetful):
            raise UnsupportedError("this ledger is on no chain", advice="Leave --accept-chain out.")
        writer = await self._writer()
        if isinstance(writer, str):
            raise BusyError("the agent of this home keeps the copy", advice="Stop it first.")
        try:
            await backend.forget(words, int(self.place.clock.now()))
            await self._drop_backend()
            replica = Replica(writer, self.place.network)
            try:
                syncer = ChainSyncer(replica, clock=self.place.clock, evidence=self.place.home.evidence)
                await syncer.load()
                await syncer.distrust()
            finally:
                await asyncio.to_thread(replica.close)
        finally:
            await asyncio.to_thread(writer.close)

    async def _step(self, writer: Store, progress: Progress | None) -> SyncReport:
        """Take one step with the store open for writing: for the time of the step only, so that others of this home have their turn."""
        replica = Replica(writer, self.place.network)
        try:
            syncer = ChainSyncer(replica, clock=self.place.clock, evidence=self.place.home.evidence)
            await syncer.load()
            try:
                return await self._step_with(syncer, progress)
            except OrderMovedError:
                await self._drop_backend()
                return await self._step_with(syncer, progress)
        finally:
            await asyncio.to_thread(replica.close)

    async def _heed_revocations(self, transport: Transport) -> None:
        """Get the revocation list when that was long ago; one that cannot be had, from a relay say, is no error."""
        place = self.place
        ca = await asyncio.to_thread(place.trusted)
        if ca is not None and not place.foreign and await asyncio.to_thread(is_old, place.home, place.clock.now()):
            with suppress(LedgerError):
                await fetch_list(transport, place.home, ca)

    async def _step_with(self, syncer: ChainSyncer, progress: Progress | None) -> SyncReport:
        source = as_source(await self.backend())
        transport: Transport | None = getattr(source, "transport", None)
        before = (await syncer.head()).size
        report = await syncer.step(source, self.place.url.text if transport is None else transport.base, progress=progress)
        if transport is None:
            return report
        await self._heed_revocations(transport)
        return replace(report, notes=(*report.notes, *await self._follow_master(transport, before)))

    async def _drop_backend(self) -> None:
        """Close the backend, so that it is opened anew: the log goes on in another order."""
        backend, self._backend = self._backend, None
        if backend is not None:
            await backend.close()

    async def _follow_master(self, transport: Transport, before: int) -> tuple[str, ...]:
        """Follow the master when what came since size `before` says that it moved; return what people should know."""
        if self.place.foreign:
            return ()
        try:
            url = await Moving(self.place).find(transport.base, before - 1)
        except UnreachableError as error:
            return (error.message,)
        if url is None:
            return ()
        await transport.move(url)
        return (f"the master moved to {url}",)

    async def _writer(self) -> Store | str:
        """Return the store, open for writing; the URL of the agent that writes it, if one does.

        A command that writes it has its turn first. BusyError when that takes too long.
        """
        open_store = partial(Store.open, self._database)
        try:
            return await open_in_thread(open_store)
        except BusyError:
            holder = await asyncio.to_thread(read_holder, self.place.home.lock)
            if holder is not None and holder.address is not None:  # only an agent says where it listens
                return holder.address
            return await open_in_thread(partial(open_store, wait_seconds=PATIENCE_SECONDS))

    async def _ask_agent(self, url: str) -> SyncReport:
        """Ask the agent that keeps this replica to sync now."""
        token = (await asyncio.to_thread(read_text, self.place.home.api_token)).strip()
        context = await asyncio.to_thread(self.place.tls)
        async with Transport(url, context=context, bearer=token) as agent:
            return parse_report((await agent.post("/v1/sync", b"{}", "application/json")).body)


def parse_report(body: bytes) -> SyncReport:
    """Return what an agent says of a step. FormatError when it says something else."""
    answer = parse_object(body)
    try:
        return SyncReport(
            size=int(answer["size"]),
            root=str(answer["root"]),
            entries=int(answer["entries"]),
            requests=int(answer["requests"]),
            received=int(answer["bytes"]),
            agent=True,
            notes=tuple(str(note) for note in answer["notes"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError("the agent's answer to a sync is malformed") from error


def as_source(backend: Backend) -> LogSource | OrderedSource:
    """Return the backend as a source that a copy can follow. UnreachableError for one that cannot be."""
    if isinstance(backend, OrderedSource) or isinstance(backend, LogSource):  # noqa: SIM101 - mypy narrows protocols one by one
        return backend
    raise UnreachableError("this ledger cannot be followed")


@asynccontextmanager
async def open_copy(place: Place) -> AsyncIterator[Copy]:
    """Open the copy of a home; in a scratch directory for a ledger that is not the home's own."""
    is_log, database = place.embedded or place.is_master, place.database
    async with AsyncExitStack() as stack:
        if place.foreign and not is_log:
            scratch = await asyncio.to_thread(tempfile.mkdtemp, prefix="metaledger-")
            stack.push_async_callback(asyncio.to_thread, shutil.rmtree, scratch, ignore_errors=True)
            database = Path(scratch) / "ledger.db"
        if not is_log:
            await asyncio.to_thread(_create_missing, database)
        copy = await asyncio.to_thread(Copy, place, database, is_log=is_log)
        stack.push_async_callback(copy.close)
        if place.foreign and not is_log:
            await copy.sync()
        yield copy


def _create_missing(database: Path) -> None:
    if not database.exists():
        with suppress(ConflictError):  # another command of this home made it just now
            Store.open(database, create=True).close()
