"""Who signs for a master: one sequencer at a time, replaced when signing has to stop, or may go on again.

A fork risk that is found at start, or shown by a checkpoint, is written into the log's own database first, so that no restart
forgets it. Then the sequencer ends and another one starts on the same log: it finds the flag, signs nothing, not even a new
time, refuses every entry by name, and reading goes on. Only an operator who says from which size takes the flag away.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ledger.core.errors import ForkRiskError
from ledger.engine.forkguard import RESTORED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ledger.core.backend import Placed, Refused
    from ledger.core.envelope import Envelope
    from ledger.engine.feed import Delta
    from ledger.engine.sequencer import Sequencer
    from ledger.engine.store import Store


class Signing:
    """The sequencer in force over one store. `hear` is told of every head that leaves, whichever sequencer lets it."""

    def __init__(self, store: Store, make: Callable[[], Sequencer], hear: Callable[[Delta], None]) -> None:
        self.store = store
        self.sequencer = make()
        self._make = make
        self._hear = hear
        self._halted: str | None = None
        self._turn = asyncio.Lock()

    @property
    def fork_risk(self) -> str | None:
        """Return why nothing may be signed, None while it may."""
        return self._halted or self.sequencer.fork_risk

    async def start(self, *, accept_fork_risk: int | None = None) -> None:
        """Start. With `accept_fork_risk` an operator answers a risk that is found: the log of that size is the newest there is.

        Raises `UsageError` when the log has another size, and what a sequencer raises.
        """
        await self.sequencer.start()
        if accept_fork_risk is not None and self.sequencer.fork_risk is not None:
            await self.sequencer.accept_fork_risk(accept_fork_risk)
            await self._replace()
        self.sequencer.feed.subscribe(self._hear)

    async def close(self) -> None:
        """Sequence what is queued and stop; idempotent. The store stays open."""
        await self.sequencer.close()

    async def append(
        self, envelopes: Sequence[Envelope | bytes], *, expected_size: int | None = None, receipts: bool = True
    ) -> list[Placed | Refused]:
        """Append as a sequencer does. Raises `ForkRiskError` from the moment that a risk is known."""
        if self._halted is not None:
            raise halted(self._halted)
        return await self.sequencer.append(envelopes, expected_size=expected_size, receipts=receipts)

    async def raise_fork_risk(self, reason: str) -> None:
        """Sign nothing any more, until an operator decides. A risk that is known already stays as it is."""
        async with self._turn:
            if self.fork_risk is not None:
                return
            self._halted = reason
            await self.store.write(lambda transaction: transaction.put_meta(RESTORED, reason))
            await self._replace()

    async def _replace(self) -> None:
        await self.sequencer.close()
        self.sequencer = self._make()
        await self.sequencer.start()


def halted(reason: str) -> ForkRiskError:
    """Return the refusal while nothing may be signed."""
    advice = "Bring the missing entries back from nodes or mirrors, or accept the loss with --accept-fork-risk SIZE."
    return ForkRiskError(f"signing on could fork the log: {reason}", advice=advice)
