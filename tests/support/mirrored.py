"""A master's log in this process and its mirror on a chain, copied note by note: for tests of those who read mirrors."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from ledger.core.backend import Backend
    from tests.support.contract import Contract


class Mirroring:
    """Copies what `log` took since the last time, up to its newest note."""

    def __init__(self, log: Backend, contract: Contract) -> None:
        self.log = log
        self.contract = contract
        self.size = 0
        self._turn = asyncio.Lock()

    async def copy(self) -> None:
        """Bring the contract up to the log."""
        async with self._turn:
            head = await self.log.head()
            assert head.checkpoint is not None
            entries = await self.log.read(self.size, min(head.size, self.size + LIMITS.page))
            if entries:
                await self.contract.anchor(head.checkpoint, entries, start=self.size)
                self.size += len(entries)
