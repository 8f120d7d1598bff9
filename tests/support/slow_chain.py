"""An in-memory chain behind the Backend port: blocks, finality that comes late, reorgs on command, unknown outcomes, other people's junk.

It orders whatever is an envelope and judges nothing: a fold over its entries does. It has no checkpoints. A test drives it: `mine`
lets blocks come, `reorg` takes some away, `lose_next` makes the next submission end without an answer, `inject` plays a stranger.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.core.backend import ChainPosition, Entries, Head, NewHead, Placed, Refused, RolledBack, Traits
from ledger.core.envelope import parse_envelope
from ledger.core.errors import FormatError, NotReadyError, OutcomeUnknown, SizeMismatchError, UnsupportedError
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ledger.core.backend import LogEvent

CONFLICT = "the size was another when the transaction ran"


@dataclass(frozen=True, slots=True)
class Transaction:
    """One submission: entries that stand or fall together. With `expected_size` the contract checks the size."""

    number: int
    entries: tuple[bytes, ...]
    expected_size: int | None = None

    @property
    def hash(self) -> str:
        return hashlib.sha256(b"transaction %d" % self.number).hexdigest()


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the chain; `salt` tells forks of one height apart."""

    number: int
    salt: int
    transactions: tuple[Transaction, ...]

    @property
    def hash(self) -> str:
        return hashlib.sha256(b"block %d %d" % (self.number, self.salt)).hexdigest()


@dataclass(frozen=True, slots=True)
class Spot:
    """An entry of the chain and where it stands."""

    entry: bytes
    block: Block
    transaction: Transaction
    place: tuple[int, int]


class SlowChain:
    """See the module. `finality`: how many blocks must follow before one is final. `automatic`: every submission is mined at once."""

    def __init__(self, *, finality: int = 3, compare_and_set: bool = True, automatic: bool = True) -> None:
        self.traits = Traits(compare_and_set=compare_and_set, checkpoints=False, instant_finality=False)
        self.finality = finality
        self.automatic = automatic
        self.blocks: list[Block] = [Block(0, 0, ())]
        self.pool: list[Transaction] = []
        self._numbers = 0
        self._forks = 0
        self._lost: list[bool] = []
        self._rollbacks: list[int] = []
        self._moved = asyncio.Condition()
        self._closed = False

    # -- what tests do to it -------------------------------------------------------------------------------------

    async def mine(self, count: int = 1) -> None:
        """Let `count` blocks come; the first takes the whole pool. A transaction whose size is wrong by then has no entries."""
        for _ in range(count):
            taken: list[Transaction] = []
            size = len(self.spots())
            for one in self.pool:
                fits = one.expected_size is None or one.expected_size == size
                taken.append(one if fits else Transaction(one.number, (), one.expected_size))
                size += len(taken[-1].entries)
            self.pool = []
            self.blocks.append(Block(len(self.blocks), self._forks, tuple(taken)))
        await self._tell()

    async def reorg(self, depth: int, *, forget: bool = False) -> int:
        """Take the last `depth` blocks away; their transactions wait again, unless the chain is to `forget` them. Return the size left."""
        if not 0 < depth <= min(self.finality, len(self.blocks) - 1):
            raise ValueError("only blocks that are not final go")
        gone = self.blocks[-depth:]
        del self.blocks[-depth:]
        self._forks += 1
        if not forget:
            self.pool = [one for block in gone for one in block.transactions] + self.pool
        size = len(self.spots())
        self._rollbacks.append(size)
        await self._tell()
        return size

    def lose_next(self, *, included: bool) -> None:
        """Let the next submission end without an answer, after or before it reached the chain."""
        self._lost.append(included)

    async def inject(self, *entries: bytes) -> None:
        """Let a stranger put bytes of any kind on the chain."""
        self._submit(entries, None)
        await self.mine()

    def spots(self) -> list[Spot]:
        """Return the entries of the chain, where each stands."""
        return [
            Spot(entry, block, one, (event, place))
            for block in self.blocks
            for event, one in enumerate(block.transactions)
            for place, entry in enumerate(one.entries)
        ]

    # -- the port ------------------------------------------------------------------------------------------------

    async def head(self) -> Head:
        self._check_open()
        spots = self.spots()
        final = sum(self._is_final(one.block) for one in spots)
        return Head(len(spots), final, position=self._position(spots[-1]) if spots else None)

    async def read(self, start: int, end: int) -> list[bytes]:
        self._check_open()
        return [one.entry for one in self.spots()[start : max(start, min(end, start + LIMITS.page))]]

    async def append(self, envelopes: Sequence[bytes], *, expected_size: int | None = None) -> list[Placed | Refused]:
        self._check_open()
        if expected_size is not None and not self.traits.compare_and_set:
            raise UnsupportedError("this chain cannot compare and set")
        read = [_read(one) for one in envelopes]
        entries = tuple(one for one, refused in zip(envelopes, read, strict=True) if not isinstance(refused, Refused))
        if not entries:
            return [one for one in read if isinstance(one, Refused)]
        transaction = await self._send(entries, expected_size)
        found = await self._included(transaction)
        return [one if isinstance(one, Refused) else found.pop(0) for one in read]

    async def _send(self, entries: tuple[bytes, ...], expected_size: int | None) -> Transaction:
        lost = self._lost.pop(0) if self._lost else None
        if lost is False:
            raise OutcomeUnknown("the chain did not answer", operation=_digest(entries[0]))
        transaction = self._submit(entries, expected_size)
        await asyncio.sleep(0)
        if self.automatic and transaction in self.pool:
            await self.mine()
        if lost is True:
            raise OutcomeUnknown("the chain did not answer", operation=_digest(entries[0]))
        return transaction

    async def _included(self, transaction: Transaction) -> list[Placed]:
        async with self._moved:
            await self._moved.wait_for(lambda: self._find(transaction) is not None)
        block = self._find(transaction)
        mined = next(one for one in (block.transactions if block else ()) if one.number == transaction.number)
        if not mined.entries:
            raise SizeMismatchError(CONFLICT)
        return [self._placed(index) for index, one in enumerate(self.spots()) if one.transaction.number == transaction.number]

    async def watch(self, start: int) -> AsyncIterator[LogEvent]:
        at, told, seen = start, None, len(self._rollbacks)
        while True:
            for size in self._rollbacks[seen:]:
                seen += 1
                if size < at:
                    at = size
                    yield RolledBack(size)
            head = await self.head()
            while at < head.size and seen == len(self._rollbacks):
                entries = tuple(await self.read(at, head.size))
                at += len(entries)
                yield Entries(at - len(entries), entries)
            if seen != len(self._rollbacks):
                continue
            if head != told:
                told = head
                yield NewHead(head)
                continue
            async with self._moved:
                await self._moved.wait()

    async def find(self, digest: str) -> Placed | None:
        self._check_open()
        return next((self._placed(index) for index, one in enumerate(self.spots()) if _digest(one.entry) == digest), None)

    async def close(self) -> None:
        self._closed = True

    # -- inside --------------------------------------------------------------------------------------------------

    def _submit(self, entries: tuple[bytes, ...], expected_size: int | None) -> Transaction:
        self._numbers += 1
        self.pool.append(Transaction(self._numbers, entries, expected_size))
        return self.pool[-1]

    def _find(self, transaction: Transaction) -> Block | None:
        return next((block for block in self.blocks if any(one.number == transaction.number for one in block.transactions)), None)

    def _is_final(self, block: Block) -> bool:
        return block.number + self.finality < len(self.blocks)

    def _position(self, spot: Spot) -> ChainPosition:
        return ChainPosition(spot.block.number, spot.block.hash, spot.transaction.hash, spot.place, self._is_final(spot.block))

    def _placed(self, index: int) -> Placed:
        spot = self.spots()[index]
        return Placed(index, _digest(spot.entry), position=self._position(spot))

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    def _check_open(self) -> None:
        if self._closed:
            raise NotReadyError("the chain is closed")


def _read(entry: bytes) -> Refused | None:
    try:
        parse_envelope(entry)
    except FormatError as error:
        return Refused(error)
    return None


def _digest(entry: bytes) -> str:
    """Return the digest of the statement in an entry; of junk, that of the bytes."""
    try:
        payload = parse_envelope(entry).payload
    except FormatError:
        payload = entry
    return hashlib.sha256(payload).hexdigest()
