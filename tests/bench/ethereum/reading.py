"""How fast a chain's log is read and verified: from the contract's logs to entries whose signatures hold, and to a copy with its state."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING

from blockchain_adapters.chainfile import ChainFile
from blockchain_adapters.codec import encode
from blockchain_adapters.directbackend import DirectBackend
from blockchain_adapters.ethereum.backend import EthereumSource
from ledger.client.ordered import ChainSyncer
from ledger.engine.replica import Replica
from ledger.engine.store import Store
from ledger.home.clock import SystemClock
from tests.bench.chain_reading import read_and_verify
from tests.bench.figures import Bound, Figure
from tests.support.contract import Contract, mined
from tests.support.small_network import SmallNetwork

if TYPE_CHECKING:
    from pathlib import Path
    from typing import NoReturn

    from tests.bench.figures import Report
    from tests.support.anvil import Anvil

LEAST_RATE = 20_000  # policies a second, read and verified
AMOUNT = 12_000
BATCH = 500
ROUNDS = 3


async def measure_reading(report: Report, chain: Anvil, folder: Path) -> None:
    """Add the rates of reading, of reading and verifying, and of a whole first sync."""
    contract = await Contract.deploy(chain)
    network = SmallNetwork(order=contract.order)
    await contract.append(*(one.entry for one in network.first))
    things = [one.entry for one in network.things(AMOUNT)]
    for start in range(0, AMOUNT, BATCH):
        await mined(chain, await contract.submit(encode(things[start : start + BATCH])))
    taken = [await _round(contract, network, folder / f"reading-{number}") for number in range(ROUNDS)]
    read, verified, synced, computed = (statistics.median(one[place] for one in taken) for place in range(4))
    remark = f"{AMOUNT:,} entries in batches of {BATCH}"
    report.add(Figure("reading a contract", AMOUNT / read, "entries/s", remark=remark))
    bound = Bound(least=LEAST_RATE, of_value=True)
    report.add(Figure("reading and verifying", AMOUNT / verified, "entries/s", remark="signatures on threads", bound=bound))
    report.add(Figure("reading and verifying, an entry", 1e6 * computed / AMOUNT, "µs CPU", remark="of this process, all threads"))
    report.add(Figure("first sync from a contract", AMOUNT / synced, "entries/s", remark="with the fold, committed"))


async def _round(contract: Contract, network: SmallNetwork, folder: Path) -> tuple[float, float, float, float]:
    """Return the seconds to read, to read and verify, to sync from nothing, and the processor's seconds of the second."""
    await asyncio.to_thread(folder.mkdir)
    source = EthereumSource(contract.rpc(), await asyncio.to_thread(ChainFile.open, folder / "chain.db"), SystemClock())
    backend = DirectBackend(source, network.id, _no_writer)
    read, verified, computed = await read_and_verify(source.open, backend)
    await backend.close()
    return read, verified, await _sync(contract, network, folder), computed


async def _sync(contract: Contract, network: SmallNetwork, folder: Path) -> float:
    source = EthereumSource(contract.rpc(), await asyncio.to_thread(ChainFile.open, folder / "again.db"), SystemClock())
    backend = DirectBackend(source, network.id, _no_writer)
    store = await asyncio.to_thread(lambda: Store.open(folder / "ledger.db", create=True))
    replica = Replica(store, network.id)
    syncer = ChainSyncer(replica, clock=SystemClock(), evidence=folder)
    await syncer.load()
    began = time.perf_counter()
    await source.open()
    await syncer.step(backend, "the contract")
    spent = time.perf_counter() - began
    await backend.close()
    await asyncio.to_thread(replica.close)
    await asyncio.to_thread(store.close)
    return spent


async def _no_writer() -> NoReturn:
    raise AssertionError("nothing is written here")
