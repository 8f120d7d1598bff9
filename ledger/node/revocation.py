"""A running node keeps the network's revocation list, and heeds it at every source."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ledger.client.revocations import fetch_list
from ledger.core.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.client.place import Place
    from ledger.http.service import World
    from ledger.node.sources import Source

AGAIN_SECONDS = 3_600.0
RETRY_SECONDS = 300.0


class RevocationChore:
    """Gets the list each hour from the first source; one that has none, a relay, is asked again as seldom."""

    def __init__(self, place: Place, sources: Sequence[Source], world: World) -> None:
        self._place = place
        self._sources = sources
        self._world = world
        self._next = float("-inf")

    async def __call__(self) -> None:
        """Look once. Raises what keeps the list from being had; the one before is used on."""
        tick = self._world.clock.monotonic()
        ca, first = await asyncio.to_thread(self._place.trusted), self._sources[0].transport
        if tick < self._next or ca is None or first is None:
            return
        self._next = tick + RETRY_SECONDS
        try:
            news = await fetch_list(first, self._place.home, ca)
        except NotFoundError:
            news = False
        self._next = tick + AGAIN_SECONDS
        for source in self._sources[1:]:
            if source.transport is not None:
                source.transport.revoked = first.revoked
        if news:
            self._world.log.event("revocations", certificates=len(first.revoked))
