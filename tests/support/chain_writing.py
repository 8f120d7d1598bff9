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
from blockchain_adapters.ethereum.ticket import parse_ticket
from blockchain_adapters.ethereum.writer import Limits, Writer
from blockchain_adapters.submit import Pace, Submitter
from blockchain_adapters.transactions import Parcel
from ledger.core.errors import FormatError
from ledger.engine.journal import Journal, State
from ledger.home.clock import SystemClock
from tests.support.small_network import Heard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from blockchain_adapters.ethereum.rpc import Rpc
    from ledger.engine.journal import Operation
    from tests.support.anvil import Anvil
    from tests.support.contract import Contract, ContractAt, Endpoint

PACE = Pace(first=0.005, most=0.05, rest=0.2, patience=20.0, kept=100)
CONFIRMATIONS = 2
NEVER = 1_000_000  # confirmations that no chain of a test comes to
BATCHES = 3  # topics of the event that holds a batch: its name, the number, the submitter


def account_of(node: Endpoint) -> Account:
    """Return the funded account of a development chain."""
    return Account(EthAccount.from_key(node.key))


def make_writer(contract: ContractAt[Endpoint], rpc: Rpc, *, limits: Limits | None = None, confirmations: int = CONFIRMATIONS) -> Writer:
    """Return a writer for which a block is final when `confirmations` follow it."""

    async def final(head: int) -> int:
        return head - confirmations

    return Writer(rpc, account_of(contract.node), load_artifact(), (SystemClock(), final), limits)


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
    contract: ContractAt[Endpoint],
    journal: Journal,
    *,
    rpc: Rpc | None = None,
    pace: Pace = PACE,
    limits: Limits | None = None,
    confirmations: int = CONFIRMATIONS,
) -> AsyncIterator[Submitter]:
    """Run a submitter of the funded account."""
    connections = contract.rpc() if rpc is None else rpc
    writer = await asyncio.to_thread(make_writer, contract, connections, limits=limits, confirmations=confirmations)
    submitter = Submitter(journal, writer, contract.address, (SystemClock(), Heard()), pace)
    try:
        await submitter.start()
        yield submitter
    finally:
        await submitter.close()
        await connections.close()


async def until(done: Callable[[], object], what: str = "it") -> None:
    """Wait until `done` says so, a coroutine function or not."""
    for _ in range(1_000):
        found = done()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{what} did not come")


async def states(journal: Journal) -> set[State]:
    """Return every state that an operation is in."""
    return {one.state for one in await journal.select()}


async def has_all(contract: Contract, entries: list[bytes]) -> bool:
    """Tell whether these entries stand on the contract, and nothing else."""
    return await entries_of(contract) == entries


async def is_replaced(journal: Journal, place: str) -> bool:
    """Tell whether another transaction carries what that one did."""
    return all(one.place != place for one in await journal.select())


async def sent(journal: Journal, count: int = 1) -> list[Operation]:
    """Wait until operations are on their way; return them."""

    async def enough() -> bool:
        return len(await journal.select([State.SENT])) >= count

    await until(enough)
    return await journal.select([State.SENT])


async def settle(contract: Contract, submitter: Submitter) -> None:
    """Let blocks come until everything is final."""
    for _ in range(100):
        await contract.node.mine(CONFIRMATIONS + 1)
        submitter.wake()
        await asyncio.sleep(0.05)
        if not submitter.unsettled:
            return
    raise AssertionError(f"not final: {submitter.condition}")


@asynccontextmanager
async def held_back(anvil: Anvil, journal: Journal, submitter: Submitter, entries: list[bytes]) -> AsyncIterator[Operation]:
    """Submit entries while no block comes, until they have left; give the first. Afterwards a block takes them, and blocks come again."""
    await anvil.automine(on=False)
    task = asyncio.create_task(submitter.submit(entries))
    yield (await sent(journal, len(entries)))[0]
    await anvil.mine()
    await task
    await anvil.automine(on=True)


@asynccontextmanager
async def closing(rpc: Rpc) -> AsyncIterator[Rpc]:
    """Close a connection at the end."""
    try:
        yield rpc
    finally:
        await rpc.close()


async def append_call(contract: Contract, entry: bytes) -> bytes:
    """Return the call that appends an entry, for somebody else to send."""
    async with closing(contract.rpc()) as rpc:
        writer = await asyncio.to_thread(make_writer, contract, rpc)
        return parse_ticket((await writer.prepare(Parcel((entry,)))).draft.ticket).call
