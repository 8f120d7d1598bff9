"""A deployed contract that tests write into as anybody could: well-formed, junk, a mirror's or a stranger's."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from eth_abi.abi import encode as abi
from eth_account import Account
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from blockchain_adapters.codec import encode
from blockchain_adapters.ethereum.artifact import load_artifact
from blockchain_adapters.ethereum.reader import EthereumChain
from blockchain_adapters.ethereum.rpc import Provider, Rpc, RpcError, quantity
from ledger.core.trust.good import parse_claim

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

ANYWHERE = 2**64 - 1
APPEND = keccak(text="append(uint64,bytes)")[:4]
ANCHOR = keccak(text="anchor(uint64,uint64,uint64,bytes32,bytes,bytes)")[:4]
GAS = 12_000_000


class Endpoint(Protocol):
    """Where a node listens, which chain it is of, and the key of its funded account."""

    chain: int
    key: str

    @property
    def url(self) -> str: ...


class Node(Endpoint, Protocol):
    """An anvil or a geth."""

    async def call(self, method: str, *params: object) -> Any: ...

    async def mine(self, count: int = 1) -> None: ...


EndpointT_co = TypeVar("EndpointT_co", bound=Endpoint, covariant=True)


class ContractAt(Generic[EndpointT_co]):
    """One contract behind one endpoint, as the code of the project gets to it."""

    def __init__(self, node: EndpointT_co, address: str) -> None:
        self.node = node
        self.address = address

    @property
    def ledger(self) -> str:
        """Return its ledger URL."""
        return f"ethereum+{self.node.url}/{self.address}"

    @property
    def order(self) -> dict[str, Any]:
        """Return the order that names it."""
        return {"type": "ethereum", "chain": self.node.chain, "contract": self.address}

    def rpc(self, *urls: str) -> Rpc:
        """Return a connection to it, at further URLs too."""
        return Rpc([*urls, self.node.url], self.address)

    def view(self, provider: Provider, **options: Any) -> EthereumChain:
        """Return it as `provider` shows it."""
        return EthereumChain(provider, self.address, self.node.chain, **options)


class Contract(ContractAt[Node]):
    """One contract on one node, written by its funded account. `deploy` makes it."""

    @classmethod
    async def deploy(cls, node: Node, *, submitters: Sequence[str] | None = None) -> Contract:
        """Deploy a contract, open unless it is for `submitters`."""
        artifact = await asyncio.to_thread(load_artifact)
        receipt = await mined(
            node, await send(node, artifact.bytecode + abi(["bool", "address[]"], [submitters is None, submitters or []]))
        )
        return cls(node, str(receipt["contractAddress"]).lower())

    async def submit(self, payload: bytes, *, expected: int = ANYWHERE) -> str:
        """Append bytes as they are; return the transaction's hash at once."""
        return await send(self.node, APPEND + abi(["uint64", "bytes"], [expected, payload]), self.address)

    async def append(self, *entries: bytes) -> None:
        """Append entries, and wait for their block."""
        await mined(self.node, await self.submit(encode(entries)))

    async def anchor(self, note: bytes, entries: Sequence[bytes] = (), *, start: int = 0, payload: bytes | None = None) -> str:
        """Put a master's entries and note there; return the transaction's hash, mined."""
        claim = parse_claim(note)
        batch = payload if payload is not None else encode(entries) if entries else b""
        values = [ANYWHERE, start, claim.size, claim.root, batch, note]
        transaction = await send(self.node, ANCHOR + abi(["uint64", "uint64", "uint64", "bytes32", "bytes", "bytes"], values), self.address)
        await mined(self.node, transaction)
        return transaction


async def send(node: Node, text: bytes, to: str | None = None) -> str:
    """Send a transaction of the funded account; return its hash."""
    account = Account.from_key(node.key)
    nonce = quantity(await node.call("eth_getTransactionCount", account.address, "pending"))
    fees = {"gas": GAS, "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9, "value": 0, "type": 2}
    wanted = {"chainId": node.chain, "nonce": nonce, "data": text, **fees, **({} if to is None else {"to": to_checksum_address(to)})}
    signed = account.sign_transaction(wanted)
    return str(await node.call("eth_sendRawTransaction", "0x" + signed.raw_transaction.hex()))


async def mined(node: Node, transaction: str) -> dict[str, Any]:
    """Wait for a transaction's receipt; it succeeded."""
    for _ in range(1_000):
        with suppress(RpcError):  # geth has a moment in which it is still making its index
            receipt = await node.call("eth_getTransactionReceipt", transaction)
            if receipt is not None:
                assert receipt["status"] == "0x1", receipt
                return dict(receipt)
        await asyncio.sleep(0.01)
    raise AssertionError("the transaction is not mined")
