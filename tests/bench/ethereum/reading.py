"""How fast a chain's log is read and verified: from the contract's logs to entries whose signatures hold, and to a copy with its state."""

from __future__ import annotations

import asyncio
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from blockchain_adapters.chainfile import ChainFile
from blockchain_adapters.codec import encode
from blockchain_adapters.directbackend import DirectBackend
from blockchain_adapters.ethereum.backend import EthereumSource
from ledger.client.ordered import ChainSyncer
from ledger.core.envelope import pae, parse_envelope
from ledger.core.merkle import leaf_hashes
from ledger.engine.replica import Replica, paused_gc
from ledger.engine.signatures import THREADS
from ledger.engine.store import Store
from ledger.home.clock import SystemClock
from tests.bench.figures import Bound, Figure
from tests.support.contract import Contract, mined
from tests.support.small_network import SmallNetwork, key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import NoReturn

    from ledger.core.envelope import Envelope
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
    pool = ThreadPoolExecutor(THREADS)
    began, computing = time.perf_counter(), time.process_time()
    await source.open()
    await backend.catch_up()
    read = time.perf_counter() - began
    at, before = 0, list[asyncio.Task[None]]()
    while page := await backend.read(at, at + 1_000):
        before.append(asyncio.create_task(asyncio.to_thread(_verify, page, pool)))
        at += len(page)
        if len(before) == THREADS:
            await before.pop(0)
    await asyncio.gather(*before)
    verified, computed = time.perf_counter() - began, time.process_time() - computing
    await backend.close()
    pool.shutdown()
    return read, verified, await _sync(contract, network, folder), computed


def _verify(page: list[bytes], pool: ThreadPoolExecutor) -> None:
    with paused_gc():
        leaf_hashes(page)
        envelopes = [parse_envelope(entry) for entry in page]
        assert all(all(one) for one in pool.map(_hold, [envelopes[start::THREADS] for start in range(THREADS)]))


def _hold(envelopes: Sequence[Envelope]) -> list[bool]:
    """Tell of each entry whether its signatures hold."""
    known = {key(name).public.keyid: key(name).public for name in ("author", "admin")}
    return [all(known[one.keyid].verify(one.sig, pae(envelope.payload)) for one in envelope.signatures) for envelope in envelopes]


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
