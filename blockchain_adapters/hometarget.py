"""What a master's home writes a mirror through, whatever the chain: `mirroring.Target` over the home's journal and its loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.engine.journal import State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from blockchain_adapters.chainbackend import Source
    from blockchain_adapters.opening import HomeWriting
    from blockchain_adapters.transactions import Landed, Parcel
    from ledger.core.errors import LedgerError

FACTS_SECONDS = 15.0


class HomeTarget:
    """`mirroring.Target`. `block_of` reads the block of a ticket, None when it stands in none; `ask` gives the facts for people."""

    def __init__(
        self,
        source: Source,
        writing: HomeWriting,
        block_of: Callable[[bytes], int | None],
        ask: Callable[[], Awaitable[Mapping[str, object]]],
        clock: Callable[[], float],
    ) -> None:
        self.source = source
        self._writing = writing
        self._block_of = block_of
        self._ask = ask
        self._clock = clock
        self._facts: Mapping[str, object] = {}
        self._asked = -FACTS_SECONDS

    @property
    def pending(self) -> bool:
        """See Target."""
        return any(one.state is State.SENT for one in self._writing.submitter.underway)

    @property
    def newest_block(self) -> int:
        """See Target."""
        blocks = [self._block_of(one.ticket) for one in self._writing.submitter.underway if one.state is State.INCLUDED]
        return max((one for one in blocks if one is not None), default=-1)

    @property
    def condition(self) -> LedgerError | None:
        """See Target."""
        return self._writing.submitter.condition

    @property
    def unsettled(self) -> bool:
        """See Target."""
        return bool(self._writing.submitter.unsettled)

    async def look(self) -> None:
        """See Target."""
        await self._writing.look()

    async def carry(self, parcel: Parcel) -> Landed:
        """See Target."""
        return await self._writing.carry(parcel)

    async def spent(self, since: float) -> int:  # noqa: ARG002 - the port's
        """See Target: nothing, where a chain takes no fees."""
        return 0

    async def facts(self) -> Mapping[str, object]:
        """See Target; asked anew every 15 seconds."""
        now = self._clock()
        if now - self._asked >= FACTS_SECONDS:
            self._asked = now
            self._facts = await self._ask()
        return {**self._facts, "unsettled": self._writing.submitter.unsettled}

    async def close(self) -> None:
        """See Target."""
        await self._writing.close()
        await self.source.close()
