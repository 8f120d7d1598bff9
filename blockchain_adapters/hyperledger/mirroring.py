"""A chaincode as the mirror of a master's log: what stands in the way before it is one, and the identity that writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blockchain_adapters.hyperledger.ticket import parse_ticket
from blockchain_adapters.mirroring import Survey
from ledger.core.errors import LedgerError
from ledger.engine.journal import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from blockchain_adapters.hyperledger.source import FabricSource
    from blockchain_adapters.hyperledger.writer import Writer
    from blockchain_adapters.opening import HomeWriting
    from blockchain_adapters.transactions import Landed, Parcel

FACTS_SECONDS = 15.0


class FabricTarget:
    """`mirroring.Target` for a chaincode."""

    def __init__(self, source: FabricSource, writing: HomeWriting, writer: Writer, clock: Callable[[], float]) -> None:
        self.source = source
        self._writing = writing
        self._writer = writer
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
        blocks = [parse_ticket(one.ticket).block for one in self._writing.submitter.underway]
        return max((one for one in blocks if one is not None), default=-1)

    @property
    def condition(self) -> LedgerError | None:
        """See Target."""
        return self._writing.submitter.condition

    async def look(self) -> None:
        """See Target."""
        await self._writing.submitter.look()

    @property
    def unsettled(self) -> bool:
        """See Target."""
        return bool(self._writing.submitter.unsettled)

    async def carry(self, parcel: Parcel) -> Landed:
        """See Target."""
        return await self._writing.carry(parcel)

    async def spent(self, since: float) -> int:  # noqa: ARG002 - the port's
        """See Target: transactions of a channel cost nothing."""
        return 0

    async def facts(self) -> Mapping[str, object]:
        """See Target; asked anew every 15 seconds."""
        now = self._clock()
        if now - self._asked >= FACTS_SECONDS:
            self._asked = now
            self._facts = await look(self.source, self._writer)
        return {**self._facts, "unsettled": self._writing.submitter.unsettled}

    async def close(self) -> None:
        """See Target."""
        await self._writing.close()
        await self.source.close()


async def look(source: FabricSource, writer: Writer) -> dict[str, object]:
    """Return what the channel says of a chaincode."""
    standing = await writer.standing()
    return {
        "channel": source.channel,
        "chaincode": source.chaincode,
        "chain": source.here["genesis"],
        "anchors": standing.anchors,
        "anchored_size": standing.size,
        "configured": standing.policy is not None,
        "providers": len(source.peers),
        "believed": len(source.peers) == 1,
    }


async def survey(source: FabricSource, writer: Writer, parcel: Parcel) -> Survey:
    """Return how the chaincode is, and what keeps a parcel from it: it is endorsed, and not sent."""
    facts = await look(source, writer)
    await source.poll()
    try:
        await writer.standing(configured=True)
        prepared = await writer.prepare(parcel)
    except LedgerError as error:
        return Survey(facts, error)
    await writer.withdraw(prepared.draft.ticket)
    return Survey({**facts, "entries": prepared.taken}, None)
