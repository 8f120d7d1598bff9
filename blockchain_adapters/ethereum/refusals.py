"""What nodes say when they refuse a transaction, in our words. Every client words it in its own way; the numbers mean little."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from blockchain_adapters.transactions import NonceTakenError
from ledger.core.errors import InvalidError, LedgerError, NotReadyError, TooLargeError, UnavailableError

if TYPE_CHECKING:
    from blockchain_adapters.ethereum.rpc import RpcError

_KNOWN: Final = re.compile(r"already known|already imported|known transaction|already exists", re.IGNORECASE)
_NONCE: Final = re.compile(r"nonce too low|nonce is too low|invalid nonce|nonce has already been used", re.IGNORECASE)
_FUNDS: Final = re.compile(r"insufficient funds|insufficient balance|upfront cost|doesn't have enough", re.IGNORECASE)
_SIZE: Final = re.compile(
    r"oversized|too large|exceeds? (the )?(block|transaction|maximum|cap|allowance)|gas limit|intrinsic gas", re.IGNORECASE
)
_PRICE: Final = re.compile(r"underpriced|less than block base fee|fee too low|base fee|tip", re.IGNORECASE)
_REVERT: Final = re.compile(r"revert|invalid opcode|out of gas", re.IGNORECASE)
_REVERTED: Final = 3  # the number of a call that reverted, where a node keeps to it


class NoFundsError(NotReadyError):
    """The account cannot pay for the transaction."""

    advice = "Send funds to the account; what waits goes on by itself."


class UnderpricedError(UnavailableError):
    """The pools want more for the transaction than it offers."""

    advice = "Nothing: it is offered more with the next attempt, within the caps."


def is_known(error: RpcError) -> bool:
    """Tell whether a refusal says that the node has this very transaction already."""
    return _KNOWN.search(error.text) is not None


def refusal(error: RpcError) -> LedgerError:
    """Return what a node's refusal of a call or a transaction means. What nobody has seen yet may pass: UnavailableError."""
    for pattern, kind in ((_NONCE, NonceTakenError), (_FUNDS, NoFundsError), (_PRICE, UnderpricedError), (_SIZE, TooLargeError)):
        if pattern.search(error.text):
            return kind(error.message)
    if error.number == _REVERTED or _REVERT.search(error.text):
        return InvalidError(f"the contract refuses it: {error.message}")
    return UnavailableError(error.message)
