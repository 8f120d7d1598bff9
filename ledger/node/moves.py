"""Following the master of a running node when a policy says that it moved, be the old place answering or not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.client.moving import Moving
    from ledger.http.logs import EventLog
    from ledger.node.following import Pace
    from ledger.node.sources import Source


class Moves:
    """Looks after one source: a policy that came while the node runs counts at once, an older one when the source does not answer."""

    def __init__(self, moving: Moving, source: Source, *, pace: Pace, log: EventLog) -> None:
        self._moving = moving
        self._source = source
        self._pace = pace
        self._log = log
        self._said: str | None = None

    async def run(self) -> None:
        """Look for ever."""
        since: int | None = None
        while True:
            try:
                since = await self._moving.newest() if since is None else since
                await self._look(-1 if self._source.error is not None else since)
                self._said = None
            except Exception as error:  # noqa: BLE001 - whatever is found there, the agent goes on
                if str(error) != self._said:
                    self._log.failure("master-not-followed", error)
                self._said = str(error)
            await asyncio.sleep(self._pace.between_polls())

    async def _look(self, since: int) -> None:
        transport = self._source.transport
        url = None if transport is None else await self._moving.find(transport.base, since)
        if transport is not None and url is not None:
            await transport.move(url)
