"""Which nonce comes next: one account, one owner, no gaps.

A gap is worse than a collision: what stands behind it waits for ever, or vanishes from the pools.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Nonces:
    """The nonces of our own transactions that are not settled."""

    def __init__(self) -> None:
        self._taken: set[int] = set()

    def resume(self, taken: Iterable[int]) -> None:
        """Take up the nonces of what is under way from before."""
        self._taken.update(taken)

    def take(self, pending: int) -> int:
        """Return the next nonce and take it. `pending`: the account's count at the node, with what waits in its pool.

        A node that lost some of ours counts too few; one that heard of another's use of the account counts more than we know.
        """
        nonce = max([pending, *(one + 1 for one in self._taken)])
        self._taken.add(nonce)
        return nonce

    def settle(self, nonce: int) -> None:
        """Forget a nonce: its transaction is final, or never left."""
        self._taken.discard(nonce)

    @property
    def lowest(self) -> int | None:
        """Return the lowest nonce under way."""
        return min(self._taken, default=None)
