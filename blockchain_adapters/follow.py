"""Following a chain, whichever it is: what came, what was undone, what is final (FORMATS 11).

A chain announces nothing that can be relied on: subscriptions hide reorganisations, skip heights and tell things twice. So a follower asks.
It keeps number, hash and parent of every block above the fork floor, compares them at each step, goes back to the fork point, and
takes batches only in blocks that it knows by hash. A hash runs over all batches, in the contract and here: a batch that a provider
leaves out, adds or alters breaks it.

    floor     blocks up to here are not compared again: the final block, at most `MOST_ABOVE` below the newest
    final     the height that the chain calls final, or that has enough blocks on top

One step asks one provider and either moves what is kept in one transaction, or leaves it as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from ledger.core.errors import BadSourceError, BusyError, LedgerError
from ledger.core.trust.heads import Block, Extended, FinalChanged, Heads, NeedParent, follow_branch
from ledger.core.trust.providers import DECIDE, Agreed, ChainAlarm, ChainState, FinalBlock, NeedHashes, Report, judge_reports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blockchain_adapters.chainfile import ChainFile

MOST_ABOVE = 4_096
RACES = 4
RACE_SECONDS = 0.05
ROUNDS = 3
Progress = Callable[[int, int], None]
Enough = Callable[[], Awaitable[bool]]


class MovedError(BusyError):
    """The chain changed under the step: what was read belongs to two branches. Try again."""


class IncompleteError(BadSourceError):
    """The logs lack what the contract counts. A node whose index is a moment behind looks like that too: try again."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One event of the contract: the `number`-th batch, where it stands, and what it holds.

    `event` counts the contract's batches within the transaction. `mark` is the contract's hash over all batches up to this one.
    `size` and `root` are what the event says of its note, which prove nothing. `note` is empty in a direct append.
    """

    number: int
    block: int
    block_hash: str
    transaction: str
    event: int
    submitter: str
    start: int
    size: int
    root: bytes
    payload: bytes
    note: bytes
    mark: bytes

    def at_event(self, event: int) -> Batch:
        """Return the batch as the `event`-th of its transaction."""
        return replace(self, event=event)


@dataclass(frozen=True, slots=True)
class Found:
    """The batches in the blocks from where was asked up to `last`, which may be less far than was asked for."""

    last: int
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class Tip:
    """The newest block, and the height that is final (None: nothing is)."""

    block: Block
    final: int | None


class Chain(Protocol):
    """One provider's view of one chain and contract. Raises domain errors only; BadSourceError for what cannot be true."""

    async def tip(self) -> Tip:
        """Return the newest block and what is final."""
        ...

    async def blocks(self, first: int, last: int) -> tuple[Block, ...]:
        """Return the blocks of heights `first … last`. MovedError when they are not there, or not each the parent of the next."""
        ...

    async def batches(self, first: int, last: int) -> Found:
        """Return the batches in blocks from `first` on, in order, at least those of one block."""
        ...

    async def origin(self) -> int:
        """Return the height of a block below which the contract holds nothing."""
        ...

    def link(self, number: int, mark: bytes | None, batch: Batch) -> Batch:
        """Return `batch` with its number and its mark, both computed here; `number` batches and `mark` stand before it (None: no batch).

        BadSourceError when the contract itself numbers and marks its batches, and this is not what it took.
        """
        ...

    async def check_end(self, block: Block, number: int, mark: bytes | None) -> None:
        """Compare with the contract's own storage at `block`: so many batches, that mark. IncompleteError when they differ."""
        ...


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a follower stands: the blocks it compares, what is final, how many batches came, and the mark over them."""

    heads: Heads
    final: int
    number: int
    mark: bytes | None


@dataclass(frozen=True, slots=True)
class Advance:
    """One move: back to height `fork` if that is not None, then these blocks and batches. `heads` is how it is afterwards."""

    before: Cursor | None
    after: Cursor
    fork: int | None
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What a step did: how many batches came, and whether some were undone."""

    cursor: Cursor
    added: int = 0
    undone: bool = False


class Follower:
    """Follows one contract into one file. For one task at a time."""

    def __init__(self, kept: ChainFile) -> None:
        self._kept = kept

    async def step(self, chain: Chain, progress: Progress | None = None, enough: Enough | None = None) -> Step:
        """Take what `chain` has; no more once `enough` says so.

        BadSourceError when what it shows cannot be; BusyError when the chain moves too fast.
        """
        last: IncompleteError | None = None
        for _ in range(RACES):
            try:
                return await self._step(chain, progress, enough)
            except MovedError:
                await asyncio.sleep(RACE_SECONDS)
            except IncompleteError as error:
                last = error
                await asyncio.sleep(RACE_SECONDS)
        if last is not None:
            raise BadSourceError(last.message)
        raise BusyError("the chain changed while it was read", retry_after=1.0)

    async def _step(self, chain: Chain, progress: Progress | None, enough: Enough | None) -> Step:
        cursor, tip = await self._kept.cursor(), await chain.tip()
        cursor = await self._begin(chain) if cursor is None else cursor
        added, undone = 0, False
        floor = max(cursor.final if tip.final is None else tip.final, tip.block.height - MOST_ABOVE)
        first = cursor.heads.tip.height
        while True:
            move = await self._next(chain, cursor, tip, floor)
            if move is None:
                return Step(cursor, added, undone)
            await self._kept.advance(move)
            cursor, added, undone = move.after, added + len(move.batches), undone or move.fork is not None
            if progress is not None:
                progress(cursor.heads.tip.height - first, tip.block.height - first)
            if enough is not None and move.batches and await enough():
                return Step(cursor, added, undone)

    async def _begin(self, chain: Chain) -> Cursor:
        (block,) = await chain.blocks(height := await chain.origin(), height)
        cursor = Cursor(Heads(block), block.height, 0, None)
        await self._kept.advance(Advance(None, cursor, None, ()))
        return cursor

    async def _next(self, chain: Chain, cursor: Cursor, tip: Tip, floor: int) -> Advance | None:
        """Return the next move towards the tip, None when there is none."""
        heads = cursor.heads
        if heads.tip.height < min(floor, tip.block.height):
            return await self._below(chain, cursor, min(floor, tip.block.height), tip.block.height)
        branch = await self._branch(chain, heads, tip.block)
        final = cursor.final if tip.final is None else min(tip.final, branch.heads.tip.height)
        if branch.fork is None and branch.heads == heads:
            after = _raised(cursor, floor, final)
            return None if after == cursor else Advance(cursor, after, None, ())
        return await self._above(chain, cursor, branch, (floor, final))

    async def _below(self, chain: Chain, cursor: Cursor, floor: int, newest: int) -> Advance:
        """Catch up with blocks that are final already, without their headers; first see that what is held still stands."""
        heads = cursor.heads
        (held,) = await chain.blocks(heads.tip.height, heads.tip.height)
        if held.hash != heads.tip.hash:
            gone = await self._branch(chain, heads, held)
            return await self._above(chain, cursor, gone, (heads.final.height, cursor.final))
        found = await chain.batches(held.height + 1, floor)
        last = min(max(found.last, held.height + 1), floor)
        (block,) = await chain.blocks(last, last)
        number, mark, batches = _linked(chain, cursor, found.batches, (held.height + 1, last))
        if last == newest:
            await chain.check_end(block, number, mark)
        final = max(cursor.final, last)
        return Advance(cursor, Cursor(Heads(block), final, number, mark), None, batches)

    async def _branch(self, chain: Chain, heads: Heads, tip: Block) -> Extended:
        """Return how the blocks held and those up to `tip` go together."""
        first = min(tip.height, heads.tip.height + 1)
        branch = await chain.blocks(first, tip.height) if first < tip.height else (tip,)
        more = 1
        while isinstance(outcome := follow_branch(heads, branch), NeedParent):
            start = max(heads.final.height + 1, outcome.height - more + 1)
            before = await chain.blocks(start, outcome.height)
            if before[-1].hash != outcome.hash:
                raise MovedError("the chain moved")
            branch, more = (*before, *branch), more * 2
        if isinstance(outcome, FinalChanged):
            shown, known = outcome.shown, outcome.known
            reason = f"block {known.height} was final as {known.hash}, and is not in the branch of block {shown.height} {shown.hash}"
            raise BadSourceError(reason, advice=DECIDE, height=known.height, known=known.hash, shown=shown.hash)
        return outcome

    async def _above(self, chain: Chain, cursor: Cursor, branch: Extended, raised: tuple[int, int]) -> Advance:
        """Take the blocks of a branch, with the batches in them."""
        at = await self._kept.rewound(cursor, branch.fork)
        first = (cursor.heads.tip.height if branch.fork is None else branch.fork) + 1
        whole = branch.heads.tip.height
        found = await chain.batches(first, whole) if first <= whole else Found(whole, ())
        heads = _cut(branch.heads, max(found.last, min(first, whole)))
        for batch in found.batches:
            block = heads.at(batch.block)
            if block is None or block.hash != batch.block_hash:
                raise MovedError("the chain moved")
        number, mark, batches = _linked(chain, at, found.batches, (heads.final.height + 1, heads.tip.height))
        if heads.tip.height == whole:
            await chain.check_end(heads.tip, number, mark)
        after = _raised(Cursor(heads, cursor.final, number, mark), *raised)
        return Advance(cursor, after, branch.fork, batches)


def _cut(heads: Heads, height: int) -> Heads:
    """Return `heads` up to a height."""
    return Heads(heads.final, heads.above[: max(0, height - heads.final.height)])


def _raised(cursor: Cursor, floor: int, final: int) -> Cursor:
    """Return the cursor with the floor and the final height moved up."""
    heads = cursor.heads
    block = heads.at(max(heads.final.height, min(floor, heads.tip.height)))
    if block is not None and block.height > heads.final.height:
        heads = Heads(block, heads.above[block.height - heads.final.height :])
    # With a part of the branch only, less is final for now.
    return Cursor(heads, max(cursor.final, min(final, heads.tip.height)), cursor.number, cursor.mark)


def _linked(
    chain: Chain, cursor: Cursor, batches: Sequence[Batch], heights: tuple[int, int]
) -> tuple[int, bytes | None, tuple[Batch, ...]]:
    """Return number and mark after `batches`, and them linked. BadSourceError unless each follows the one before it, within `heights`."""
    number, mark, at, linked = cursor.number, cursor.mark, heights[0], list[Batch]()
    for batch in batches:
        if not at <= batch.block <= heights[1]:
            raise not_next(batch, number, at)
        linked.append(chain.link(number, mark, batch))
        number, mark, at = number + 1, linked[-1].mark, batch.block
    return number, mark, tuple(linked)


def not_next(batch: Batch, number: int, block: int) -> BadSourceError:
    """Return the error for a batch that cannot follow: the `number`-th is due, in `block` or later."""
    return BadSourceError(f"batch {batch.number} in block {batch.block} is not the one that comes next: {number} from block {block} on")


class Witness(Protocol):
    """A provider as one of several that are compared."""

    @property
    def name(self) -> str:
        """Return what people call it."""
        ...

    async def final_block(self) -> FinalBlock | None:
        """Return the block that it calls final, None when there is none."""
        ...

    async def block_at(self, height: int) -> FinalBlock:
        """Return its block at a height."""
        ...


async def agree(state: ChainState, witnesses: Sequence[Witness], now: int) -> ChainState:
    """Return the state after asking every provider for its final block: what two of them report alike is known (FORMATS 11)."""
    answers = await asyncio.gather(*(one.final_block() for one in witnesses), return_exceptions=True)
    reports = {
        one.name: Report(one.name, final, {}) for one, final in zip(witnesses, answers, strict=True) if isinstance(final, FinalBlock)
    }
    named = {one.name: one for one in witnesses}
    for _ in range(ROUNDS):
        state, verdict = judge_reports(state, list(reports.values()), now, providers=len(witnesses))
        if not isinstance(verdict, NeedHashes):
            break
        for name, height in verdict.wanted:
            try:
                block = await named[name].block_at(height)
            except LedgerError:
                reports.pop(name, None)
                continue
            if name in reports:
                reports[name] = Report(name, reports[name].final, {**reports[name].hashes, height: block})
    return state


def alarm_text(alarm: ChainAlarm) -> str:
    """Say what is wrong, for people."""
    claims = ", ".join(f"{claim.provider} has {claim.hash}" for claim in alarm.claims)
    return f"{alarm.kind.value.replace('-', ' ')} at block {alarm.claims[0].height}: {claims}"


__all__ = [
    "Advance",
    "Agreed",
    "Batch",
    "Chain",
    "Cursor",
    "Follower",
    "Found",
    "IncompleteError",
    "MovedError",
    "Step",
    "Tip",
    "Witness",
    "agree",
    "alarm_text",
    "not_next",
]
