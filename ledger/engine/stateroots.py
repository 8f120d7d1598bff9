"""State roots for marks, computed in a reader thread before a mark asks for them, so that the commit path need not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ledger.core.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.engine.store import Store

WORTH_IT = 1_024  # from this `state_every` on
KEPT = 4


class StateRoots:
    """Computes one root at a time into `known`: those of the newest sizes, by size. For one event loop."""

    def __init__(self, store: Store, known: dict[int, str], failed: Callable[[LedgerError], None]) -> None:
        """`failed` hears why a root is not there: the commit that wants it will compute it."""
        self._store = store
        self._known = known
        self._failed = failed
        self._task: asyncio.Task[None] | None = None

    def follow(self, before: int, after: int, every: int) -> None:
        """Begin on the newest multiple of `every` when the log has just grown past it."""
        size = after - after % every
        busy = self._task is not None and not self._task.done()
        if every >= WORTH_IT and before < size and not busy:
            self._task = asyncio.create_task(self._compute(size), name="state root")

    async def _compute(self, size: int) -> None:
        """Compute the root at `size` by time travel."""
        try:
            root = await self._store.read(lambda snapshot: snapshot.state(size).state_root())
        except LedgerError as error:
            self._failed(error)
            return
        self._known[size] = root
        for old in sorted(self._known)[:-KEPT]:
            del self._known[old]

    async def close(self) -> None:
        """Wait for what is being computed. Idempotent."""
        if self._task is not None:
            await self._task
