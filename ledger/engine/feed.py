"""Waking those who follow the log: one delta a head, encoded once, handed to all of them.

Ten thousand followers cost ten thousand calls and no task each. A slow follower has no queue here: it is told that there is more and
reads the rest from the store.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ledger.core.backend import Entries, NewHead

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from ledger.core.backend import Head, LogEvent


@dataclass(frozen=True, slots=True)
class Delta:
    """A new head: entries `start … head.size-1`, and the note that left. No entries: only the note is newer.

    `authority`: those of the entries that are of an authority kind, marks aside; None when that is not known.
    """

    start: int
    entries: tuple[bytes, ...]
    head: Head
    authority: tuple[bytes, ...] | None = None
    _frames: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)

    def frame(self, name: str, encode: Callable[[Delta], bytes]) -> bytes:
        """Return `encode(self)`, computed once for each `name` of an encoding."""
        found = self._frames.get(name)
        if found is None:
            found = self._frames[name] = encode(self)
        return found


class Feed:
    """Heads as they leave. For one event loop; `publish` is called in it."""

    def __init__(self, head: Head) -> None:
        """Start from the head that stands."""
        self._head = head
        self._hearers: dict[object, Callable[[Delta], None]] = {}

    @property
    def head(self) -> Head:
        """Return the newest head that left."""
        return self._head

    def __len__(self) -> int:
        """Return how many follow."""
        return len(self._hearers)

    def subscribe(self, hear: Callable[[Delta], None]) -> Callable[[], None]:
        """Call `hear` for every delta from now on, in the event loop; it must not block or raise. Returns what ends it (idempotent)."""
        token = object()
        self._hearers[token] = hear

        def end() -> None:
            self._hearers.pop(token, None)

        return end

    def publish(self, delta: Delta) -> None:
        """Tell everyone."""
        self._head = delta.head
        for hear in tuple(self._hearers.values()):
            hear(delta)

    async def follow(self, start: int, read: Callable[[int, int], Awaitable[list[bytes]]]) -> AsyncIterator[LogEvent]:
        """Yield `Entries` from index `start` on and `NewHead` at each head, catching up through `read`. Ends by `aclose` only."""
        moved = asyncio.Event()
        latest: list[Delta] = []

        def hear(delta: Delta) -> None:
            latest[:] = [delta]
            moved.set()

        end = self.subscribe(hear)
        try:
            at, told = start, None
            while True:
                head = self._head
                at_once = latest[0] if latest and latest[0].start == at and latest[0].head is head else None
                while at < head.size:
                    entries = at_once.entries if at_once is not None else tuple(await read(at, head.size))
                    yield Entries(at, entries)
                    at += len(entries)
                if head is not told:
                    told = head
                    yield NewHead(head)
                    continue
                await moved.wait()
                moved.clear()
        finally:
            end()
