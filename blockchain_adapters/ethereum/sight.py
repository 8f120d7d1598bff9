"""What a node says of the chain, and of one account, at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from blockchain_adapters.ethereum.rpc import quantity
from ledger.core.errors import FormatError, UnsupportedError

if TYPE_CHECKING:
    from blockchain_adapters.ethereum.rpc import Provider


@dataclass(frozen=True, slots=True)
class Sight:
    """The newest block's number and base fee, the tip that the node suggests, and the account's transactions."""

    head: int
    base_fee: int
    tip: int
    mined: int  # transactions of the account in blocks
    pending: int  # and in the pool


async def see(provider: Provider, account: str) -> Sight:
    """Ask a provider. FormatError for what is no answer, UnsupportedError for a chain without a base fee."""
    calls = [
        ("eth_getBlockByNumber", ("latest", False)),
        ("eth_maxPriorityFeePerGas", ()),
        ("eth_getTransactionCount", (account, "latest")),
        ("eth_getTransactionCount", (account, "pending")),
    ]
    block, *numbers = await provider.call_many(calls)
    if not isinstance(block, dict):
        raise FormatError("a node without a newest block")
    if "baseFeePerGas" not in block:
        raise UnsupportedError("this chain has no base fee: it is older than EIP-1559")
    return Sight(quantity(block.get("number")), quantity(block["baseFeePerGas"]), *map(quantity, numbers))
