"""A chaincode as the mirror of a master's log: what the channel says of it, and what stands in the way before it is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blockchain_adapters.hyperledger.ticket import parse_ticket
from blockchain_adapters.mirroring import Survey
from ledger.core.errors import LedgerError

if TYPE_CHECKING:
    from blockchain_adapters.hyperledger.source import FabricSource
    from blockchain_adapters.hyperledger.writer import Writer
    from blockchain_adapters.transactions import Parcel


def block_of(ticket: bytes) -> int | None:
    """Return the number of the block in which a ticket's transaction stands."""
    return parse_ticket(ticket).block


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
