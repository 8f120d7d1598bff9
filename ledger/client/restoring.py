"""`backup`, `restore`, `import`: one ledger into a file and back into a home. Every byte is verified on both ways.

What comes back as the log itself may be older than what left this home once. So it carries the flag of the fork guard: it is read,
and nothing is signed on it until an operator says that it is the newest there is (DESIGN 5). A replica needs no flag: it syncs.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import threading
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ledger.client.checking import verify_snapshot
from ledger.client.exportcheck import verify_export
from ledger.client.exportfile import root_version
from ledger.client.joining import refuse_strange
from ledger.client.place import Place
from ledger.client.sync import HEAD_FILE, Syncer
from ledger.core.backend import Head
from ledger.core.errors import (
    ConflictError,
    CorruptError,
    FormatError,
    InternalError,
    UnavailableError,
    UsageError,
    VerificationError,
)
from ledger.core.trust.good import judge_good
from ledger.engine.backup import copy_database
from ledger.engine.forkguard import RESTORED
from ledger.engine.headfile import HeadFile, LeftHead
from ledger.engine.keyfiles import load_sequencer_keys
from ledger.engine.opening import open_in_thread
from ledger.engine.replica import TRUST, Replica
from ledger.engine.signing import placed_roots
from ledger.engine.store import LOCK, Store
from ledger.home.files import sync_directory
from ledger.home.lock import WriterLock
from ledger.home.settings import Settings
from ledger.home.url import parse_ledger_url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ledger.client.checking import Checked
    from ledger.client.exportfile import ExportFile
    from ledger.client.sync import LogSource
    from ledger.core.ports import Clock
    from ledger.engine.transaction import Transaction
    from ledger.home.home import Home

T = TypeVar("T")

BESIDE = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Brought:
    """What lies in the home now. `flagged`: nothing is signed on it yet. `left`: the size that `head.json` says left this home."""

    network: str
    database: str
    size: int
    root: str
    flagged: bool
    left: int | None = None
    kept: str | None = None
    notes: list[str] = field(default_factory=list)

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        names = ("network", "database", "size", "root", "flagged", "left", "kept", "notes")
        return {name: getattr(self, name) for name in names}


async def backup_copy(place: Place, network: str, target: Path, progress: Callable[[int], None] | None = None) -> Checked:
    """Copy the home's ledger into the new file `target` while it is in use, and verify the copy. Raises as `write_backup` does."""
    require_own(place)
    return await interruptible(partial(write_backup, place.database, network, target), progress)


async def interruptible(work: Callable[[Callable[[int], None]], T], progress: Callable[[int], None] | None = None) -> T:
    """Run `work` in a thread; it gets what it calls at each step, and that is how it ends when this task is cancelled."""
    stop = threading.Event()

    def step(number: int) -> None:
        if stop.is_set():
            raise InternalError("interrupted")
        if progress is not None:
            progress(number)

    try:
        return await asyncio.to_thread(work, step)
    except asyncio.CancelledError:
        stop.set()
        raise


def write_backup(database: Path, network: str, target: Path, progress: Callable[[int], None]) -> Checked:
    """Copy the ledger at `database` into the new file `target` while it is in use, and verify the copy (blocking).

    What does not verify is not kept: VerificationError. ConflictError when `target` is there.
    """
    _refuse_present(target)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    try:
        copy_database(database, draft, lambda _left, _pages: progress(0))
        checked = _verified(draft, network, progress)
        try:
            os.link(draft, target, follow_symlinks=False)
        except FileExistsError:
            _refuse_present(target)
    finally:
        for ending in ("", *BESIDE):
            draft.with_name(draft.name + ending).unlink(missing_ok=True)
    sync_directory(target.parent)
    return checked


def _refuse_present(target: Path) -> None:
    if target.exists():
        raise ConflictError(f"{target} exists already; it is not overwritten", advice="Name another file, or move it away first.")


def _verified(database: Path, network: str, progress: Callable[[int], None]) -> Checked:
    """Compute everything in the file again. VerificationError when something does not agree."""
    store = Store.open(database, writable=False)
    try:
        checked = store.read_now(lambda snapshot: verify_snapshot(snapshot, network, progress=progress))
    finally:
        store.close()
    if not checked.verified:
        raise VerificationError(
            f"the copy does not verify: {checked.detail}", advice="See `ledger-cli verify ledger`.", index=checked.index
        )
    return checked


async def restore(place: Place, file: Path, sources: Sequence[str] = ()) -> Brought:
    """Put the backup in `file` in the place of this home's ledger, and bring entries that it lacks back from `sources`.

    The backup is verified whole first; the ledger that was there is kept beside it. BusyError while another process writes it,
    VerificationError when the backup is not this network's ledger, SplitViewError or RollbackError when a source shows another log.
    """
    require_own(place)
    database = place.database
    async with AsyncExitStack() as stack:
        lock = await asyncio.to_thread(WriterLock.take, database.with_name(LOCK))
        stack.callback(lock.release)
        scratch = database.with_name(f".restore-{secrets.token_hex(8)}")
        await asyncio.to_thread(scratch.mkdir, mode=0o700)
        stack.push_async_callback(asyncio.to_thread, shutil.rmtree, scratch, ignore_errors=True)
        draft = scratch / database.name
        await asyncio.to_thread(copy_database, _readable(file), draft)
        await interruptible(partial(_verified, draft, place.network))
        left = await asyncio.to_thread(_left, database)
        brought, notes = await _complete(place, draft, f"restored from the backup {file.name}", sources)
        kept = await asyncio.to_thread(_swap, draft, database)
    return Brought(place.network, str(database), brought.size, brought.root.hex(), _is_log(place), left, kept, notes)


def _readable(file: Path) -> Path:
    try:
        with file.open("rb"):
            return file
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}", advice="Check the path.") from error


def require_own(place: Place) -> None:
    """Raise UsageError unless the ledger that counts is the home's own."""
    if place.foreign:
        raise UsageError("a home keeps its own ledger only", advice="Leave --ledger out.")


def _is_log(place: Place) -> bool:
    return place.embedded or place.is_master


def _left(database: Path) -> int | None:
    try:
        left = HeadFile(database.with_name(HEAD_FILE)).read()
    except CorruptError:
        return None
    return None if left is None else left.size


async def _complete(place: Place, draft: Path, reason: str, sources: Sequence[str]) -> tuple[LeftHead, list[str]]:
    """Flag a log, take what sources have beyond it, and return its end and what people should know."""
    store = await open_in_thread(partial(Store.open, draft))
    try:
        if _is_log(place):
            await store.write(lambda transaction: transaction.put_meta(RESTORED, reason))
        notes = [await _take_tail(place, store, url) for url in sources]
        if _is_log(place):
            await store.write(partial(_as_log, clock_fact=await asyncio.to_thread(_clock_fact, place)))
        head = await store.read(lambda snapshot: snapshot.head())
    finally:
        await asyncio.to_thread(store.close)
    return LeftHead(head.size, head.root), notes


async def _take_tail(place: Place, store: Store, url: str) -> str:
    """Bring the store up to one source; a source that is away or not to be used is a note."""
    backend = await asyncio.to_thread(place.https, url)
    try:
        report = await _step(place, store, backend, url)
    except (UnavailableError, VerificationError, FormatError) as error:
        return f"{url}: {error.message}"
    finally:
        await backend.close()
    return f"{url}: {report} entries brought back"


async def _step(place: Place, store: Store, source: LogSource, name: str) -> int:
    """Take one verified step; return how many entries came."""
    replica = Replica(store, place.network)
    try:
        syncer = Syncer(replica, clock=place.clock, evidence=place.home.evidence)
        await syncer.load()
        return (await syncer.step(source, name)).entries
    finally:
        await asyncio.to_thread(replica.close)


def _clock_fact(place: Place) -> str | None:
    """Return under which name the log of this home keeps the newest time that it signed, None without its keys."""
    keys = load_sequencer_keys(place.keys)
    return None if keys is None else keys.clock_fact


def _as_log(transaction: Transaction, *, clock_fact: str | None) -> None:
    """Leave what only a replica has; go on above the newest time that is known to have been signed."""
    transaction.put_meta(TRUST, None)
    note = transaction.checkpoint()
    if note is not None and clock_fact is not None:
        newest = judge_good(note, placed_roots(transaction.connection)).time
        transaction.put_meta(clock_fact, max(newest, int(transaction.meta(clock_fact) or 0)))


def _swap(draft: Path, database: Path) -> str | None:
    """Put the new file in the place of the old one, which keeps lying beside it under the name that is returned (blocking).

    The files of the old WAL go first: they must never stand beside a database that is not theirs.
    """
    kept: Path | None = None
    if database.exists():
        kept = database.with_name(f"{database.name}.before-restore-{secrets.token_hex(4)}")
        for ending in (*BESIDE, ""):
            part = database.with_name(database.name + ending)
            if part.exists():
                part.rename(kept.with_name(kept.name + ending))
    draft.rename(database)
    sync_directory(database.parent)
    return None if kept is None else str(kept)


# -- import ------------------------------------------------------------------------------------------------------


class FileSource:
    """An export file as a source to follow: its note, its roots, its entries."""

    def __init__(self, file: ExportFile) -> None:
        self._file = file
        self.received = 0
        self.requests = 0

    async def head(self) -> Head:
        """See LogSource."""
        return Head(self._file.header.size, self._file.header.size, self._file.note)

    async def read(self, start: int, end: int) -> list[bytes]:
        """See LogSource."""
        return await asyncio.to_thread(self._page, start, end)

    def _page(self, start: int, end: int) -> list[bytes]:
        if start < self._file.position:
            self._file.rewind()
        while self._file.position < start:
            self._file.page(start - self._file.position)
        return self._file.page(end - start)

    async def roots(self, version: int) -> bytes | None:
        """See LogSource."""
        return next((entry for entry in self._file.roots if root_version(entry) == version), None)


async def import_export(home: Home, file: ExportFile, clock: Clock, progress: Callable[[int], None] | None = None) -> Brought:
    """Bring the ledger in an export file into a home whose ledger is empty, or into an empty directory.

    All of it or nothing: the file is checked as `verify ledger` does, then taken as a replica takes a master's entries. ConflictError
    when the home holds entries, UsageError for another network's file, VerificationError for one that does not hold.
    """
    new = not home.exists
    place = await asyncio.to_thread(_new_place if new else _own_place, home, file, clock)
    checked = await interruptible(lambda step: verify_export(file, place.network, progress=step), progress)
    if not checked.verified:
        raise VerificationError(f"{file.path} does not hold: {checked.detail}", index=checked.index)
    await asyncio.to_thread(file.rewind)
    if new:
        await asyncio.to_thread(home.create)
    database = place.database
    left = await asyncio.to_thread(_left, database)
    store = await open_in_thread(lambda: Store.open(database, create=not database.exists()))
    try:
        head = await store.read(lambda snapshot: snapshot.head())
        # What stopped between the commit and config.toml is finished by doing it again.
        if not (new and (head.size, head.root.hex()) == (checked.size, checked.root)):
            await _take_all(place, store, file)
            head = await store.read(lambda snapshot: snapshot.head())
        roots = await store.read(lambda snapshot: placed_roots(snapshot.connection))
    finally:
        await asyncio.to_thread(store.close)
    if new:
        vkeys = [listed.vkey for listed in roots[-1].root.log_keys]
        config = {"role": "member", "network": place.network, "ledger": place.url.text, "log_vkeys": vkeys}
        await asyncio.to_thread(home.write_config, config)
    return Brought(place.network, str(database), head.size, head.root.hex(), _is_log(place), left)


def _new_place(home: Home, file: ExportFile, clock: Clock) -> Place:
    """Return the place of a home that is yet to be: its ledger lies in it, to be read."""
    refuse_strange(home.path)
    url = f"sqlite://{home.database.absolute()}"
    return Place(home, Settings(network=file.header.network, ledger=url), parse_ledger_url(url), clock)


def _own_place(home: Home, file: ExportFile, clock: Clock) -> Place:
    place = Place.find(home.path, clock=clock)
    require_own(place)
    if file.header.network != place.network:
        raise UsageError(f"{file.path} is of network {file.header.network}, this home is of {place.network}", advice="Name another home.")
    return place


async def _take_all(place: Place, store: Store, file: ExportFile) -> None:
    if (await store.read(lambda snapshot: snapshot.head())).size:
        raise ConflictError(f"{store.path} is not empty", advice="Import into an empty home, or move this ledger away first.")
    if _is_log(place):
        await store.write(lambda transaction: transaction.put_meta(RESTORED, f"imported from {file.path.name}"))
    head_file = HeadFile(store.path.with_name(HEAD_FILE))
    before = await asyncio.to_thread(head_file.read)
    await _step(place, store, FileSource(file), file.path.name)
    head = await store.read(lambda snapshot: snapshot.head())
    if head.size != file.header.size:
        raise VerificationError(f"{file.path} holds a ledger that cannot be taken: see `ledger-cli status`")
    if _is_log(place):
        await store.write(partial(_as_log, clock_fact=await asyncio.to_thread(_clock_fact, place)))
    if before is not None and before.size > head.size:
        await asyncio.to_thread(head_file.write, before)  # it may only ever say too much
