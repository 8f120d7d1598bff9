"""A peer as one of several that are compared (`follow.Witness`): which batches stand in the channel, by its own blocks and verdicts.

No hash of the chain covers which transactions are valid. So a witness computes the mark over all batches from its peer's blocks alone;
payloads stay where they are, their digests are enough. It begins with the channel's first block, or where the peers agreed last.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from blockchain_adapters.hyperledger.chain import appended, next_mark, read_blocks
from ledger.core.trust.heads import Block
from ledger.core.trust.providers import FinalBlock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from blockchain_adapters.chainfile import ChainFile
    from blockchain_adapters.hyperledger.peer import Peer, PeerBlock
    from ledger.core.ports import Clock
    from ledger.core.trust.providers import ChainState

TIME_STEP: Final = 30  # seconds: a time that is another at every look would be written down at every look


@dataclass(frozen=True, slots=True)
class Point:
    """A block, how many batches stand in the channel up to it, and the mark over them."""

    block: Block
    number: int
    mark: bytes | None

    @property
    def fingerprint(self) -> str:
        """Return what peers must agree on."""
        return hashlib.sha256(bytes.fromhex(self.block.hash) + self.number.to_bytes(8) + (self.mark or b"")).hexdigest()


class FabricWitness:
    """One peer. `known` returns what the peers agree on. For one task at a time."""

    def __init__(self, peer: Peer, kept: ChainFile, clock: Clock, known: Callable[[], Awaitable[ChainState]]) -> None:
        self._peer = peer
        self._kept = kept
        self._clock = clock
        self._known = known
        self._points: dict[int, Point] = {}
        self._last: Point | None = None

    @property
    def name(self) -> str:
        """See Witness."""
        return self._peer.name

    async def final_block(self) -> FinalBlock | None:
        """See Witness: the peer's newest block, but none beyond the file."""
        cursor = await self._kept.cursor()
        if cursor is None:
            return None
        top = cursor.heads.tip.height
        if top not in self._points:
            top = min(top, (await self._peer.height())[0] - 1)
        return await self.block_at(top)

    async def block_at(self, height: int) -> FinalBlock:
        """See Witness. The hash says which batches stand up to the block; its time is that of asking: an idle channel makes no blocks."""
        agreed = await self._agreed()
        self._points = {at: point for at, point in self._points.items() if at >= agreed}
        point = self._points.get(height)
        if point is None:
            point = await (self._look_back(height) if height <= agreed else self._walk(height, agreed))
        now = int(self._clock.now())
        return FinalBlock(height, point.fingerprint, now - now % TIME_STEP)

    async def offer(self, blocks: Sequence[PeerBlock]) -> None:
        """Take blocks of this peer that were read anyway, if they follow what is known."""
        agreed = await self._agreed() if self._last is None else -1
        for block in blocks:
            await self._take(block, agreed, whole=True)

    async def _agreed(self) -> int:
        agreed = (await self._known()).agreed
        return -1 if agreed is None else agreed.height

    async def _walk(self, height: int, agreed: int) -> Point:
        """Read on to a height."""
        while self._last is None or self._last.block.height < height:
            first = max(0, agreed) if self._last is None else self._last.block.height + 1
            for block in await read_blocks(self._peer, first, height, digests=True):
                await self._take(block, agreed)
        return self._points[height]

    async def _look_back(self, height: int) -> Point:
        """Return the point at a height on which all agree: the peer's block, and the batches as they are kept."""
        [block] = await read_blocks(self._peer, height, height, digests=True)
        return await self._kept_point(block)

    async def _take(self, found: PeerBlock, agreed: int, *, whole: bool = False) -> None:
        block = Block(found.number, found.hash.hex(), found.previous.hex())
        last = self._last
        if last is None and block.height == agreed:
            self._keep(await self._kept_point(found))
        if block.height > 0 and (last is None or last.block.hash != block.parent):
            return
        number, mark = (0, None) if last is None else (last.number, last.mark)
        for event in appended(found):
            digest = hashlib.sha256(event.payload).digest() if whole else event.payload
            mark = next_mark(mark, block.hash, event.transaction, digest)
            number += 1
        self._keep(Point(block, number, mark))

    def _keep(self, point: Point) -> None:
        self._last = self._points[point.block.height] = point

    async def _kept_point(self, found: PeerBlock) -> Point:
        number, mark = await self._kept.standing_at(found.number)
        return Point(Block(found.number, found.hash.hex(), found.previous.hex()), number, mark)


__all__ = ["FabricWitness"]
