"""The embedded backend, `sqlite:///abs/path/ledger.db`: the engine in this process, no server.

Reading needs no lock and no key, so it works beside a process that writes. The first `append` opens the ledger for writing: it takes the
writer lock and the home's log keys, and keeps them until `close`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from auth.keystore import KeyStore
from ledger.core.backend import Entries, Head, NewHead, Placed, Refused, Traits
from ledger.core.errors import NotReadyError, TooLargeError
from ledger.core.limits import LIMITS
from ledger.engine.keyfiles import load_sequencer_keys
from ledger.engine.opening import open_in_thread
from ledger.engine.sequencer import Sequencer
from ledger.engine.store import Store

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from ledger.core.backend import Backend, LogEvent
    from ledger.core.ports import Clock, Observer
    from ledger.engine.feed import Delta
    from ledger.engine.signing import SequencerKeys
    from ledger.engine.snapshot import Snapshot
    from ledger.home.backends import BackendContext
    from ledger.home.url import LedgerUrl

LOCK_WAIT_SECONDS = 10.0
POLL_SECONDS = 0.25
TRAITS = Traits(compare_and_set=True, checkpoints=True, instant_finality=True)


class SqliteBackend:
    """See `ledger.core.backend.Backend` for the contract. For one event loop."""

    def __init__(
        self, path: Path, keys: SequencerKeys | None, clock: Clock, observer: Observer | None = None, *, accept_fork_risk: int | None = None
    ) -> None:
        """Open the ledger at `path` for reading (blocking). Without keys nothing can be appended. Raises as `Store.open` does.

        With `accept_fork_risk` an operator says that a restored log of that size is the newest there is.
        """
        self._path = path
        self._keys = keys
        self._clock = clock
        self._observer = observer
        self._accepted = accept_fork_risk
        self._reader = Store.open(path, writable=False)
        self._sequencer: Sequencer | None = None
        self._opening = asyncio.Lock()
        self._moved = asyncio.Event()
        self._closed = False

    @property
    def traits(self) -> Traits:
        """See Backend."""
        return TRAITS

    async def head(self) -> Head:
        """See Backend. Without a writer here the note is the stored one, which has no clock line."""
        if self._sequencer is not None and self._sequencer.feed.head.checkpoint is not None:
            return self._sequencer.feed.head
        return await self._store.read(_stored_head)

    async def read(self, start: int, end: int) -> list[bytes]:
        """See Backend."""
        return await self._store.read(lambda snapshot: snapshot.entries(start, end))

    async def append(self, envelopes: Sequence[bytes], *, expected_size: int | None = None) -> list[Placed | Refused]:
        """See Backend. Raises what `Sequencer.append` raises, and NotReadyError in a home without log keys."""
        if expected_size is not None and len(envelopes) > LIMITS.batch_entries:
            raise TooLargeError(f"at most {LIMITS.batch_entries} entries with an expected size")
        sequencer = await self._writer()
        results: list[Placed | Refused] = []
        for start in range(0, len(envelopes), LIMITS.batch_entries) or (0,):
            results += await sequencer.append(envelopes[start : start + LIMITS.batch_entries], expected_size=expected_size)
        return results

    async def watch(self, start: int) -> AsyncIterator[LogEvent]:
        """See Backend. Another process may write too, so the file is looked at four times a second."""
        at, told = start, None
        while True:
            self._moved.clear()
            head = await self.head()
            while at < head.size:
                entries = tuple(await self.read(at, head.size))
                yield Entries(at, entries)
                at += len(entries)
            if head != told:
                told = head
                yield NewHead(head)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), POLL_SECONDS)

    async def find(self, digest: str) -> Placed | None:
        """See Backend."""
        head = await self.head()
        return await self._store.read(partial(_find, digest, head))

    async def close(self) -> None:
        """See Backend."""
        self._closed = True
        async with self._opening:
            sequencer, self._sequencer = self._sequencer, None
            if sequencer is not None:
                await sequencer.close()
                await asyncio.to_thread(sequencer.store.close)
            await asyncio.to_thread(self._reader.close)

    @property
    def _store(self) -> Store:
        return self._reader if self._sequencer is None else self._sequencer.store

    async def _writer(self) -> Sequencer:
        async with self._opening:
            if self._closed:
                raise NotReadyError(f"the ledger {self._path} is closed")
            if self._sequencer is None:
                self._sequencer = await self._open_writer()
            return self._sequencer

    async def _open_writer(self) -> Sequencer:
        if self._keys is None:
            raise NotReadyError("this home holds no log key, so it cannot write the ledger", advice="Use the home that made the network.")
        store = await open_in_thread(partial(Store.open, self._path, wait_seconds=LOCK_WAIT_SECONDS))
        sequencer = Sequencer(store, self._keys, clock=self._clock, observer=self._observer)
        try:
            await sequencer.start()
            if self._accepted is not None and sequencer.fork_risk is not None:
                await sequencer.accept_fork_risk(self._accepted)
                await sequencer.close()
                sequencer = Sequencer(store, self._keys, clock=self._clock, observer=self._observer)
                await sequencer.start()
        except BaseException:
            await sequencer.close()
            await asyncio.to_thread(store.close)
            raise
        sequencer.feed.subscribe(self._hear)
        return sequencer

    def _hear(self, _delta: Delta) -> None:
        self._moved.set()


def _stored_head(snapshot: Snapshot) -> Head:
    size = snapshot.head().size
    return Head(size, size, snapshot.checkpoint(size))


def _find(digest: str, head: Head, snapshot: Snapshot) -> Placed | None:
    index = snapshot.find(digest)
    if index is None or index >= head.size:
        return None
    receipt = None if head.checkpoint is None else snapshot.receipt(index, head.size, head.checkpoint)
    return Placed(index, digest, receipt)


@dataclass(frozen=True, slots=True)
class SqliteScheme:
    """The plug-in for `sqlite:` URLs (ledger.home.backends)."""

    schemes: tuple[str, ...] = ("sqlite",)

    async def open(self, url: LedgerUrl, context: BackendContext) -> Backend:
        """Return the ledger in the file that the URL names, written with the log keys of the context's home."""
        phrase = context.settings.passphrase
        files = KeyStore(context.home.keys, None if phrase is None else phrase.encode())
        keys = await asyncio.to_thread(load_sequencer_keys, files)
        risk = context.settings.accept_fork_risk
        return await asyncio.to_thread(SqliteBackend, url.file(), keys, context.clock, context.observer, accept_fork_risk=risk)


scheme = SqliteScheme()
