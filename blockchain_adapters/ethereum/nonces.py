"""Which nonce comes next: one account, one owner, no gaps.

A gap is worse than a collision: what stands behind it waits for ever, or vanishes from the pools.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.errors import NotReadyError

if TYPE_CHECKING:
    from collections.abc import Iterable


class NonceGapError(NotReadyError):
    """A transaction waits for one of a lower nonce that nobody here made, or that the node lost."""

    advice = "Nothing else may use the account. If this stays: send any transaction of the account with the nonce that is missing."


class NonceUsedError(NotReadyError):
    """A transaction of the account that is not ours has the nonce of ours, in a block that may still go."""

    advice = "Nothing else may use the account. What ours carried is sent again when that block is final."


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

    def holds(self, nonce: int) -> bool:
        """Tell whether a transaction of ours that is not settled has that nonce."""
        return nonce in self._taken
