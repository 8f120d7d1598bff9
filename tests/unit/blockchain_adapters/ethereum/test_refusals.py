"""What nodes say, in our words: the wordings of anvil, geth, Nethermind, Besu and Erigon."""

from __future__ import annotations

import pytest

from blockchain_adapters.ethereum.refusals import NoFundsError, UnderpricedError, is_known, refusal
from blockchain_adapters.ethereum.rpc import RpcError
from blockchain_adapters.transactions import NonceTakenError
from ledger.core.errors import InvalidError, LedgerError, TooLargeError, UnavailableError


@pytest.mark.parametrize(
    ("number", "text", "kind"),
    [
        (-32003, "nonce too low", NonceTakenError),
        (-32000, "nonce too low: next nonce 5, tx nonce 4", NonceTakenError),
        (-32000, "Nonce too low", NonceTakenError),
        (-32003, "Insufficient funds for gas * price + value", NoFundsError),
        (-32000, "insufficient funds for gas * price + value: balance 1, tx cost 2", NoFundsError),
        (-32004, "Upfront cost exceeds account balance", NoFundsError),
        (-32000, "replacement transaction underpriced", UnderpricedError),
        (-32000, "max fee per gas less than block base fee: address 0x0, maxFeePerGas: 1, baseFee: 2", UnderpricedError),
        (-32000, "transaction underpriced: gas tip cap 0, minimum needed 1", UnderpricedError),
        (-32003, "max fee per gas less than block base fee", UnderpricedError),
        (-32000, "oversized data: transaction size 200000, limit 131072", TooLargeError),
        (-32000, "exceeds block gas limit", TooLargeError),
        (-32003, "transaction gas limit is greater than the cap", TooLargeError),
        (3, "execution reverted", InvalidError),
        (-32015, "VM execution error: revert", InvalidError),
        (-32603, "internal error", UnavailableError),
        (-32000, "txpool is full", UnavailableError),
    ],
)
def test_a_refusal_has_its_meaning(number: int, text: str, kind: type[LedgerError]) -> None:
    assert type(refusal(RpcError("http://node", number, text))) is kind


@pytest.mark.parametrize(
    ("text", "known"),
    [("already known", True), ("transaction already imported", True), ("Known transaction", True), ("nonce too low", False)],
)
def test_a_node_that_has_it_already_refuses_nothing(text: str, *, known: bool) -> None:
    assert is_known(RpcError("http://node", -32000, text)) is known
