"""Changes as they come into force, read from the verified copy as it grows."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from ledger.client.answers import Change
from ledger.client.authoring import show
from ledger.core.backend import NewHead
from ledger.core.errors import BusyError, UnavailableError
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ledger.client.copy import Copy
    from ledger.core.state import Record
    from ledger.engine.snapshot import Snapshot

LOOK_SECONDS = 0.5
PAGE = LIMITS.page


async def changes(copy: Copy) -> AsyncIterator[Change]:
    """Yield what comes into force after now. The source only says that there is more; what it is comes from the copy."""
    at = await copy.size()
    async for _ in _stirs(copy, at):
        size = await copy.size()
        if size > at:
            for change in await copy.store.read(partial(read_changes, start=at, end=size)):
                yield change
            at = size


async def _stirs(copy: Copy, start: int) -> AsyncIterator[None]:
    """Yield whenever there may be something new."""
    if copy.is_log:
        while True:
            yield
            await asyncio.sleep(LOOK_SECONDS)
    backend = await copy.backend()
    async for event in backend.watch(start):
        if isinstance(event, NewHead):
            try:
                await copy.sync()
            except BusyError:
                pass  # the agent of this home syncs by itself
            except UnavailableError:
                continue
            yield


def read_changes(snapshot: Snapshot, *, start: int, end: int) -> list[Change]:
    """Return the versions that entries `start … end-1` made."""
    found: list[Change] = []
    while start < end:
        records = snapshot.changes(start, most=PAGE)
        whole = len(records) < PAGE
        last = end if whole else records[-1].index
        # An entry may make two versions, so the last entry of a full page is read again with the next.
        found += [_change(record) for record in records if record.index < min(end, last)]
        start = last
    return found


def _change(record: Record) -> Change:
    op = "put" if record.first == record.index else "change"
    return Change(record.index, op if record.live else "drop", record.kind, record.id, show(record) if record.live else None)
