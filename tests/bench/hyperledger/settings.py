"""What the settings of a channel do to one writer: how many transactions make a block, how long a block waits, and the write batch."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import time
from typing import TYPE_CHECKING

from blockchain_adapters.codec import encode
from blockchain_adapters.hyperledger.bridge import Bridge
from blockchain_adapters.hyperledger.peer import Peer
from tests.bench.ethereum.samples import sites
from tests.bench.figures import Figure
from tests.support.fabric.configuration import Plan
from tests.support.fabric.peers import append
from tests.support.fabric.real import running_real_network

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.figures import Report

PLANS = (
    Plan(most=1, timeout="50ms"),
    Plan(most=1, timeout="50ms", write_batch=False),
    Plan(most=10, timeout="50ms"),
    Plan(most=100, timeout="50ms"),
    Plan(most=100, timeout="200ms"),
    Plan(most=500, timeout="2s"),
)
SIZES = (1, 100, 1_000)
ONES = 12
WRITERS = 16
WARM = 15


async def measure_settings(report: Report, parts: tuple[Path, Path], folder: Path) -> None:
    """Add, for each plan, the median time of a transaction with 1, 100 and 1,000 policies, and what sixteen writers get through."""
    batches = {size: encode(sites(size)) for size in SIZES}
    for plan in PLANS:
        name = f"MaxMessageCount {plan.most}, BatchTimeout {plan.timeout}{'' if plan.write_batch else ', no write batch'}"
        async with running_real_network(folder, plan) as network:
            bridge = Bridge(*parts)
            peer = Peer(bridge, network.profile())
            for _ in range(WARM):  # Java compiles what it runs
                await append(peer, batches[1])
            for size, batch in batches.items():
                taken = [await _timed(peer, batch) for _ in range(ONES)]
                report.add(Figure(f"{name}: a transaction of {size:,}", statistics.median(taken) * 1e3, "ms"))
            began = time.perf_counter()
            await asyncio.gather(*(_several(peer, batches[1]) for _ in range(WRITERS)))
            rate = WRITERS * ONES / (time.perf_counter() - began)
            report.add(Figure(f"{name}: {WRITERS} writers, one policy each", rate, "/s"))
            await bridge.close()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _timed(peer: Peer, batch: bytes) -> float:
    began = time.perf_counter()
    await append(peer, batch)
    return time.perf_counter() - began


async def _several(peer: Peer, batch: bytes) -> None:
    for _ in range(ONES):
        await append(peer, batch)
