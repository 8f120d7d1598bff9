"""Step 6 of the write path: how a note leaves, stays fresh, and is remembered outside the database (DESIGN 5, FORMATS 9).

Everything here runs in the one task of the sequencer, so lines of the clock key are made one after the other: sizes and times only grow.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from ledger.core.backend import Head
from ledger.core.errors import LedgerError, OutcomeUnknown, UnavailableError
from ledger.engine.feed import Delta, Feed
from ledger.engine.headfile import HeadFile, LeftHead

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.core.note import Line, Note
    from ledger.core.ports import Clock
    from ledger.engine.commit import Committed
    from ledger.engine.signing import GuardedClock, NoteSigner, Witnesses
    from ledger.engine.store import Store

HEAD_FILE_SECONDS = 1.0
LEAST_RENEWAL_SECONDS = 10.0


class Outlet:
    """The notes of one log on their way out."""

    def __init__(self, store: Store, signer: NoteSigner, clocks: tuple[Clock, GuardedClock], file: HeadFile, feed: Feed) -> None:
        self._store = store
        self._signer = signer
        self._clock, self._guarded = clocks
        self._file = file
        self._feed = feed
        self._bare: Note | None = None
        self._renewed = 0.0
        self._writing: asyncio.Task[None] | None = None
        self.left = LeftHead(0, bytes(32))
        self.witnesses: Witnesses | None = None
        self.observe: Callable[..., None] = lambda _name, **_facts: None

    async def leave(self, committed: Committed) -> None:
        """Let a committed note leave: witness lines if the root wants them, the clock line last, then followers.

        OutcomeUnknown when the quorum is not reached: the entries stand and are signed, but cannot be acknowledged yet.
        """
        note, time = committed.note, committed.time
        if self._signer.root.quorum:
            note = note.with_lines(*await self._cosign(note))
            time = await self.store_time()
        # A crash from here on: the note may have left while `head.json` lags. That is what it may do; the database knows more.
        follows = committed.start == self.left.size
        start, entries, authority = (committed.start, committed.entries, committed.authority) if follows else (self.left.size, (), None)
        self.left = LeftHead(committed.size, committed.root)
        self._bare = note
        self._tell(start, entries, time, authority)
        self._write_soon()

    async def _cosign(self, note: Note) -> tuple[Line, ...]:
        if self.witnesses is None:
            raise OutcomeUnknown("stored, but the root wants witnesses and none are set up", operation="witness")
        try:
            return await self.witnesses.cosign(note)
        except UnavailableError as error:
            self.observe("no-quorum", reason=error.message)
            raise OutcomeUnknown(f"stored, but not witnessed: {error.message}", operation="witness") from error

    async def renew(self) -> None:
        """Sign the clock line of the newest note that left anew."""
        time = await self.store_time()
        self._tell(self.left.size, (), time)

    def renewal_in(self) -> float | None:
        """Return the seconds until the clock line wants renewal: every `fresh_for`/3, not under 10 s. None for never."""
        if self._bare is None or not self._signer.root.fresh_for:
            return None
        every = max(self._signer.root.fresh_for / 3, LEAST_RENEWAL_SECONDS)
        return max(0.0, self._renewed + every - self._clock.monotonic())

    def _tell(self, start: int, entries: tuple[bytes, ...], time: int, authority: tuple[bytes, ...] | None = None) -> None:
        if self._bare is None:
            return
        self._renewed = self._clock.monotonic()
        note = self._signer.with_clock(self._bare, time).encode()
        self._feed.publish(Delta(start, entries, Head(self.left.size, self.left.size, note), authority))

    async def store_time(self) -> int:
        """Return the time to sign now, stored: a restart never signs an earlier one."""
        time = self._guarded.time()
        await self._store.write(lambda transaction: transaction.put_meta(self._signer.keys.clock_fact, time))
        return time

    # -- head.json -----------------------------------------------------------------------------------------------

    async def write_head_file(self) -> None:
        """Write which tree left last, synced. UnavailableError when it cannot be written."""
        await asyncio.get_running_loop().run_in_executor(None, partial(self._file.write, self.left))

    def _write_soon(self) -> None:
        """Write the head file within a second, once for all that leaves until then."""
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_later(), name="head.json")

    async def _write_later(self) -> None:
        written = None
        while written != self.left:  # what leaves while the file is being written asks for nothing: it is looked for here
            await asyncio.sleep(HEAD_FILE_SECONDS)
            written = self.left
            try:
                await self.write_head_file()
            except LedgerError as error:
                self.observe("head-file", reason=error.message)

    async def close(self) -> None:
        """Write the head file now, if anything left since. Idempotent."""
        task, self._writing = self._writing, None
        if task is None:
            return
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await self.write_head_file()
