"""A submitter on a contract of a development chain, and what stands on that contract afterwards: what the tests of writing share."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from eth_account import Account as EthAccount

from blockchain_adapters.codec import decode
from blockchain_adapters.ethereum.account import Account
from blockchain_adapters.ethereum.artifact import load_artifact
from blockchain_adapters.ethereum.rpc import octets
from blockchain_adapters.ethereum.writer import Limits, Writer
from blockchain_adapters.submit import Pace, Submitter
from ledger.core.errors import FormatError
from ledger.engine.journal import Journal
from ledger.home.clock import SystemClock
from tests.support.small_network import Heard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from blockchain_adapters.ethereum.rpc import Rpc
    from tests.support.contract import Contract, Node

PACE = Pace(first=0.005, most=0.05, rest=0.2, patience=20.0, kept=100)
CONFIRMATIONS = 2
BATCHES = 3  # topics of the event that holds a batch: its name, the number, the submitter


def account_of(node: Node) -> Account:
    """Return the funded account of a development chain."""
    return Account(EthAccount.from_key(node.key))


def make_writer(contract: Contract, rpc: Rpc, *, limits: Limits | None = None, account: Account | None = None) -> Writer:
    """Return a writer for which a block is final when two follow it."""

    async def final(head: int) -> int:
        return head - CONFIRMATIONS

    return Writer(rpc, account or account_of(contract.node), load_artifact(), (SystemClock(), final), limits)


async def entries_of(contract: Contract) -> list[bytes]:
    """Return all entries that stand on the contract, in order; batches that are none are skipped."""
    asked = {"address": contract.address, "fromBlock": "0x0", "toBlock": "latest"}
    logs = [log for log in await contract.node.call("eth_getLogs", asked) if len(log["topics"]) == BATCHES]
    return [entry for log in logs for entry in _decoded(batch_of(octets(log["data"])))]


def batch_of(text: bytes) -> bytes:
    """Return the batch in what an event says: the fifth of its six words points at it."""
    at = int.from_bytes(text[128:160])
    size = int.from_bytes(text[at : at + 32])
    return text[at + 32 : at + 32 + size]


def _decoded(batch: bytes) -> list[bytes]:
    try:
        return decode(batch)
    except FormatError:
        return []


@asynccontextmanager
async def opened_journal(path: Path) -> AsyncIterator[Journal]:
    """Open the journal at `path`, made if it is not there."""
    journal = await asyncio.to_thread(lambda: Journal.open(path, SystemClock(), create=not path.exists()))
    try:
        yield journal
    finally:
        await asyncio.to_thread(journal.close)


@asynccontextmanager
async def submitting(
    contract: Contract, journal: Journal, *, rpc: Rpc | None = None, pace: Pace = PACE, limits: Limits | None = None
) -> AsyncIterator[Submitter]:
    """Run a submitter of the funded account."""
    connections = contract.rpc() if rpc is None else rpc
    writer = await asyncio.to_thread(make_writer, contract, connections, limits=limits)
    submitter = Submitter(journal, writer, contract.address, (SystemClock(), Heard()), pace)
    try:
        await submitter.start()
        yield submitter
    finally:
        await submitter.close()
        await connections.close()
