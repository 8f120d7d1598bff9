"""The blocks above the final one: follow a head, find the fork point after a reorganisation (FORMATS 11). Pure.

Nodes themselves announce nothing reliable about reorganisations, so number, hash and parent of each block not yet final are kept and
compared. A block at or below the final height that differs is no reorganisation but an alarm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Block:
    """A block by height, hash and parent's hash."""

    height: int
    hash: str
    parent: str


@dataclass(frozen=True, slots=True)
class Heads:
    """A final block and the blocks above it, ascending, each the parent of the next."""

    final: Block
    above: tuple[Block, ...] = ()

    @property
    def tip(self) -> Block:
        """Return the highest block."""
        return self.above[-1] if self.above else self.final

    def at(self, height: int) -> Block | None:
        """Return the block at a height from the final one up."""
        place = height - self.final.height
        if place == 0:
            return self.final
        return self.above[place - 1] if 0 < place <= len(self.above) else None


@dataclass(frozen=True, slots=True)
class Extended:
    """The head moved on. `fork` is None, or the height up to which the old blocks stay: undo what came above, first."""

    heads: Heads
    fork: int | None


@dataclass(frozen=True, slots=True)
class NeedParent:
    """Get the block of this hash and height, put it before the others, and follow again."""

    height: int
    hash: str


@dataclass(frozen=True, slots=True)
class FinalChanged:
    """The branch does not contain the final block: an alarm, both are kept."""

    known: Block
    shown: Block


def follow_branch(heads: Heads, branch: tuple[Block, ...]) -> Extended | NeedParent | FinalChanged:
    """Follow `branch`: blocks of which each is the parent of the next, the last being the provider's head.

    A head that is known already and stands below the tip undoes what is above it. One below the final block says nothing.
    """
    at_final = next((block for block in branch if block.height == heads.final.height), None)
    if at_final is not None and at_final.hash != heads.final.hash:
        return FinalChanged(heads.final, at_final)
    branch = tuple(block for block in branch if block.height > heads.final.height)
    if not branch:
        undone = at_final is not None and bool(heads.above)
        return Extended(replace(heads, above=()), heads.final.height) if undone else Extended(heads, None)
    first = branch[0]
    below = heads.at(first.height - 1)
    if below is None or below.hash != first.parent:
        if first.height - 1 == heads.final.height:
            return FinalChanged(heads.final, first)
        return NeedParent(first.height - 1, first.parent)
    kept = heads.above[: below.height - heads.final.height]
    merged = _merge(heads, branch)
    fork = merged if merged < heads.tip.height else None
    return Extended(replace(heads, above=(*kept, *branch)), fork)


def _merge(heads: Heads, branch: tuple[Block, ...]) -> int:
    """Return the greatest height at which the old blocks and the branch are the same."""
    height = branch[0].height - 1
    for block in branch:
        known = heads.at(block.height)
        if known is None or known.hash != block.hash:
            break
        height = block.height
    return height


def raise_final(heads: Heads, height: int) -> Heads:
    """Return `heads` with the block at `height` final; unchanged if it is not known or already below."""
    block = heads.at(height)
    if block is None:
        return heads
    return Heads(block, heads.above[height - heads.final.height :])
