"""Changes as they come into force, read from the verified copy as it grows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

from ledger.client.answers import Change
from ledger.client.authoring import show
from ledger.client.ordered import Standing
from ledger.core.backend import NewHead
from ledger.core.errors import BusyError, UnavailableError, UsageError
from ledger.core.limits import LIMITS
from ledger.query import EVERYTHING, Query, judge_of, parse_get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ledger.client.copy import Copy
    from ledger.core.ports import Clock
    from ledger.core.state import Record
    from ledger.engine.snapshot import Snapshot

LOOK_SECONDS = 0.5
PAGE = LIMITS.page
EFFECTS: Final = {(False, True): "enter", (True, True): "alter", (True, False): "leave"}  # met before, met after


@dataclass(frozen=True, slots=True)
class Watched:
    """Which changes are wanted: of policies that meet the query before a change, or after it."""

    query: Query
    clock: Clock

    @classmethod
    def parse(cls, kind: str, clause: str, clock: Clock) -> Self:
        """Take a query of kinds and a condition, in two parts as `parse_get` does. Raises UsageError for one that asks for more."""
        query = parse_get(kind, clause)
        if replace(query, where=EVERYTHING) != Query(query.kinds):
            raise UsageError("a watch has a condition and nothing after it", advice="Leave bring, with, order by and limit out.")
        return cls(query, clock)

    def effect(self, snapshot: Snapshot, record: Record) -> str | None:
        """Return what the change means for the result: `enter`, `alter` or `leave`; None for nothing."""
        if self.query.kinds and record.kind not in self.query.kinds:
            return None
        judge = judge_of(self.query.where, now=int(self.clock.now()))
        before = snapshot.state(record.index).record(record.id)
        was, is_in = (one is not None and one.live and judge(one.kind, show(one)[one.kind]) for one in (before, record))
        return EFFECTS.get((was, is_in))


async def changes(copy: Copy, watched: Watched) -> AsyncIterator[Change]:
    """Yield what comes into force after now and is wanted. The source only says that there is more; what it is comes from the copy."""
    shown = Shown(watched)
    start = await copy.store.read(shown.begin)
    async for _ in _stirs(copy, start):
        for change in await copy.store.read(shown.look):
            yield change


class Shown:
    """What a watcher was told so far, and of it the entries that may still be undone: none but in a log that a chain orders.

    Each look takes one snapshot, since others may take the copy back and on at any time. What was undone and stands again at the
    next look, the same entry at the same index, is no change.
    """

    def __init__(self, watched: Watched) -> None:
        """Tell of changes that are `watched`."""
        self._watched = watched
        self._at = 0
        self._start = 0
        self._leaves: list[bytes] = []

    def begin(self, snapshot: Snapshot) -> int:
        """Take what stands now as told; return its size."""
        self._remember(snapshot)
        return self._at

    def look(self, snapshot: Snapshot) -> list[Change]:
        """Return what changed since the last look, and take it as told."""
        found: list[Change] = []
        stands = self._check(snapshot)
        if stands is not None and stands < self._at:
            found.append(Change(stands, "undone", "", "", None, "leave"))
            self._at = stands
        found += read_changes(snapshot, start=self._at, end=snapshot.head().size, watched=self._watched)
        self._remember(snapshot)
        return found

    def _remember(self, snapshot: Snapshot) -> None:
        """Remember the size, and the leaves of what is not final."""
        standing = Standing.read(snapshot)
        self._at = size = snapshot.head().size
        self._start = size if standing is None else min(standing.final_size, size)
        self._leaves = snapshot.read_many([(0, index) for index in range(self._start, size)])

    def _check(self, snapshot: Snapshot) -> int | None:
        """Return the index of the first of them that does not stand as it did, None when all do."""
        end = min(snapshot.head().size, self._start + len(self._leaves))
        now = snapshot.read_many([(0, index) for index in range(self._start, end)])
        same = next((place for place, leaf in enumerate(now) if leaf != self._leaves[place]), len(now))
        return None if same == len(self._leaves) else self._start + same


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


def read_changes(snapshot: Snapshot, *, start: int, end: int, watched: Watched) -> list[Change]:
    """Return the versions that entries `start … end-1` made, of those that are wanted."""
    found: list[Change] = []
    while start < end:
        records = snapshot.changes(start, most=PAGE)
        whole = len(records) < PAGE
        last = end if whole else records[-1].index
        # An entry may make two versions, so the last entry of a full page is read again with the next.
        told = (record for record in records if record.index < min(end, last))
        found += [_change(record, effect) for record in told if (effect := watched.effect(snapshot, record)) is not None]
        start = last
    return found


def _change(record: Record, effect: str) -> Change:
    op = "put" if record.first == record.index else "change"
    return Change(record.index, op if record.live else "drop", record.kind, record.id, show(record) if record.live else None, effect)
