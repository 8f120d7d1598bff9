"""The channel as one peer shows it: `follow.Chain` over whole blocks.

Blocks are final at once. Their headers are chained, and the hash over a block's transactions stands in its header, so nothing between
or within blocks can be left out or altered unseen. Which transactions are valid is what a peer says beside the chain: there peers are
compared (`witness`).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from blockchain_adapters.follow import Batch, Found, MovedError, Tip
from blockchain_adapters.hyperledger.peer import PAGE
from blockchain_adapters.hyperledger.record import EVENT, Record, parse_record
from ledger.core.errors import BadSourceError, FormatError
from ledger.core.trust.heads import Block

if TYPE_CHECKING:
    from blockchain_adapters.chainfile import ChainFile
    from blockchain_adapters.hyperledger.peer import Event, Peer, PeerBlock
    from blockchain_adapters.hyperledger.witness import FabricWitness

ARRIVE_SECONDS: Final = 10.0
_NOTHING: Final = Record(0, 0, bytes(32), "", b"", b"")


class FabricChain:
    """One peer. `kept` is the file that is kept up with the channel; `witness` compares the same peer. For one task at a time."""

    def __init__(self, peer: Peer, kept: ChainFile, witness: FabricWitness) -> None:
        self._peer = peer
        self._kept = kept
        self._witness = witness
        self._page: dict[int, tuple[Block, tuple[Batch, ...]]] = {}
        self.newest = -1

    async def tip(self) -> Tip:
        """See Chain: the last block of the next page, all of whose blocks are read and chained to what is kept."""
        height, newest = await self._peer.height()
        self.newest = height - 1
        cursor = await self._kept.cursor()
        held = None if cursor is None else cursor.heads.tip
        if held is not None and self.newest < held.height:  # it is behind, and says nothing of what is kept
            return Tip(Block(self.newest, newest.hex(), ""), self.newest)
        self._page = {} if held is None else {number: one for number, one in self._page.items() if one[0] == held}
        first = (0 if held is None else held.height) + len(self._page)
        if first <= self.newest:
            blocks = await read_blocks(self._peer, first, self.newest, held.hash if held is not None and self._page else None)
            self._page |= {one.number: _read(one) for one in blocks}
            await self._witness.offer(blocks)
        last = self._page[max(self._page)][0]
        if last.height == self.newest and last.hash != newest.hex():
            raise BadSourceError(f"{self._peer.name}: its blocks do not end with the one that it names as its newest")
        return Tip(last, last.height)

    async def blocks(self, first: int, last: int) -> tuple[Block, ...]:
        """See Chain."""
        if not self._page.keys() >= set(range(first, last + 1)):
            raise MovedError("another process reads this channel, too")
        return tuple(self._page[height][0] for height in range(first, last + 1))

    async def batches(self, first: int, last: int) -> Found:
        """See Chain."""
        await self.blocks(first, last)
        return Found(last, tuple(batch for height in range(first, last + 1) for batch in self._page[height][1]))

    async def origin(self) -> int:
        """See Chain: the channel's first block."""
        return 0

    def link(self, number: int, mark: bytes | None, batch: Batch) -> Batch:
        """See Chain. The chaincode counts nothing: number and mark are the reader's own. `batch.mark` is the SHA-256 of the record."""
        return replace(batch, number=number, mark=next_mark(mark, batch.block_hash, batch.transaction, batch.mark))

    async def check_end(self, block: Block, number: int, mark: bytes | None) -> None:
        """See Chain: the chain of headers has said it all."""


async def read_blocks(peer: Peer, first: int, last: int, before: str | None = None, *, digests: bool = False) -> list[PeerBlock]:
    """Return the next blocks up to `last`, at least one, each naming the one before it; `before` is the hash before all of them.

    BadSourceError when they do not follow one another, or none comes.
    """
    found = await peer.blocks(first, ARRIVE_SECONDS, limit=min(PAGE, last - first + 1), digests=digests)
    if not found:
        raise BadSourceError(f"{peer.name}: it has {last + 1} blocks, and does not show block {first}")
    for block in found:
        if before is not None and block.previous.hex() != before:
            raise BadSourceError(f"{peer.name}: its block {block.number} does not follow the block before it")
        before = block.hash.hex()
    return found


def appended(block: PeerBlock) -> tuple[Event, ...]:
    """Return the events of a block that hold batches."""
    return tuple(event for event in block.events if event.name == EVENT)


def next_mark(mark: bytes | None, block: str, transaction: str, digest: bytes) -> bytes:
    """Return the mark after a batch: SHA-256 over the mark before it, its block's hash, its transaction id and its record's SHA-256."""
    return hashlib.sha256((mark or b"") + bytes.fromhex(block) + bytes.fromhex(transaction) + digest).digest()


def _read(found: PeerBlock) -> tuple[Block, tuple[Batch, ...]]:
    block = Block(found.number, found.hash.hex(), found.previous.hex())
    return block, tuple(_batch(block, event) for event in appended(found))


def _batch(block: Block, event: Event) -> Batch:
    """Return the batch that an event announces; one that holds nothing when its record is none."""
    try:
        record = parse_record(event.payload)
    except FormatError:
        record = _NOTHING
    return Batch(
        number=0,
        block=block.height,
        block_hash=block.hash,
        transaction=event.transaction,
        event=0,
        submitter=record.submitter,
        start=record.start,
        size=record.size,
        root=record.root,
        payload=record.batch,
        note=record.note,
        mark=hashlib.sha256(event.payload).digest(),
    )


__all__ = ["FabricChain", "appended", "next_mark", "read_blocks"]
