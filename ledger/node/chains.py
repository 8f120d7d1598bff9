"""Ledgers on chains as sources of a node: opened when first asked, so that a node starts without them, and anew when the log moves."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from ledger.client.copy import as_source
from ledger.core.errors import OrderMovedError
from ledger.home.backends import open_ledger

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from ledger.client.ordered import OrderedSource
    from ledger.client.sync import LogSource
    from ledger.core.backend import Backend, Head, LogEvent
    from ledger.home.backends import BackendContext


class ChainLedger:
    """One ledger on a chain: what requests need, whatever keeps the log."""

    def __init__(self, url: str, context: BackendContext) -> None:
        self._url = url
        self._context = context
        self._backend: Backend | None = None
        self._opening = asyncio.Lock()

    async def opened(self) -> Backend:
        """Return the backend, opened now if it was not. Raises what keeps it from being opened."""
        async with self._opening:
            if self._backend is None:
                self._backend = await open_ledger(self._url, self._context)
            return self._backend

    async def source(self) -> LogSource | OrderedSource:
        """Return the backend as a source: with notes, or ordered by its chain."""
        return as_source(await self.opened())

    async def reopen(self) -> None:
        """Close the backend; it is opened anew when it is asked next."""
        backend, self._backend = self._backend, None
        if backend is not None:
            await backend.close()

    async def events(self, start: int) -> AsyncGenerator[LogEvent, None]:
        """Yield what happens to the log from index `start` on."""
        events = (await self.opened()).watch(start)
        async with aclosing(events) as stream:  # type: ignore[type-var] # every watch is a generator
            async for event in stream:
                yield event

    @property
    def requests(self) -> int:
        """See LogSource."""
        return int(getattr(self._backend, "requests", 0))

    @property
    def received(self) -> int:
        """See LogSource."""
        return int(getattr(self._backend, "received", 0))

    async def head(self) -> Head:
        """See LogSource."""
        try:
            return await (await self.source()).head()
        except OrderMovedError:
            await self.reopen()
            raise

    async def read(self, start: int, end: int) -> list[bytes]:
        """See LogSource."""
        return await (await self.source()).read(start, end)

    async def roots(self, version: int) -> bytes | None:
        """See LogSource."""
        return await (await self.source()).roots(version)

    async def close(self) -> None:
        """Close it; idempotent."""
        await self.reopen()
