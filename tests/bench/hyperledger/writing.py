"""How long a policy takes from the caller into a block, and how many a second get there in batches."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]  # it has no types

from blockchain_adapters.codec import decode, encode
from blockchain_adapters.hyperledger.backend import PACE
from blockchain_adapters.hyperledger.record import parse_record
from tests.bench.ethereum.samples import operators, sites
from tests.bench.figures import Bound, Figure
from tests.bench.hyperledger.bridging import MOST_MEMORY, memory
from tests.support.fabric.peers import append
from tests.support.small_network import SmallNetwork

if TYPE_CHECKING:
    from blockchain_adapters.hyperledger.peer import Peer, PeerBlock
    from blockchain_adapters.hyperledger.source import FabricSource
    from tests.bench.figures import Report
    from tests.support.channel import Bench

MOST_LATENCY = 40.0  # ms, one policy, from the caller into a block
LEAST_RATE = 5_000  # policies a second, journal to committed
ONES = 60
AMOUNT = 20_000
ROUNDS = 3
SHAPES = (("airports, 1,000 a transaction", 1_000, 1), ("airports, 100 a transaction, four under way", 100, 4))


async def measure_writing(report: Report, bench: Bench) -> None:
    """Add latency and rates, each beside bare transactions of the same network."""
    source = await bench.source()
    network = SmallNetwork(order=source.here)
    backend = await bench.direct(network, source, pace=PACE)
    await backend.append([one.entry for one in network.first])
    things = [one.entry for one in network.things(2 * ONES)]
    found: dict[str, list[float]] = {"bare": [], "whole": []}
    for at, thing in enumerate(things):  # in turns; the first of each are not counted
        began = time.perf_counter()
        if at % 2:
            await append(source.peers[0].peer, encode([thing]))
        else:
            await backend.append([thing])
        found["bare" if at % 2 else "whole"].append((time.perf_counter() - began) * 1e3)
    name = "one policy, a bare transaction"
    report.add(_spread(name, found["bare"][10:], "endorse, submit and its status, nothing written down", None, None))
    bound = Bound(most=MOST_LATENCY, of_value=True)
    report.add(
        _spread("one policy, publish to committed", found["whole"][10:], "p50, with the journal, read back from a block", name, bound)
    )
    await _measure_rates(report, bench)
    remark = "resident, after all of that"
    bound = Bound(most=MOST_MEMORY, of_value=True)
    report.add(Figure("bridge, memory in use", memory(source.bridge), "MB", remark=remark, bound=bound))


def _spread(name: str, taken: list[float], remark: str, baseline: str | None, bound: Bound | None) -> Figure:
    middle = statistics.median(taken)
    return Figure(name, middle, "ms", baseline, remark, bound, tail=statistics.quantiles(taken, n=100)[98] / middle)


async def _measure_rates(report: Report, bench: Bench) -> None:
    source = await bench.source()
    kinds = {shape: sites(AMOUNT) for shape, _, _ in SHAPES} | {"operators of 500 B, 1,000 a transaction": operators(AMOUNT)}
    shapes = {shape: (most, window) for shape, most, window in SHAPES} | {"operators of 500 B, 1,000 a transaction": (1_000, 1)}
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    spent: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, entries in kinds.items():
            most, window = shapes[name]
            rate, cpu = await _through(bench, source, entries[: 20 * most], most, window)
            rates[name].append(rate)
            spent[name].append(cpu)
    bare = statistics.median([await _bare(source) for _ in range(ROUNDS)])
    for name, found in spent.items():
        remark = "of the writer and the bridge, without the network"
        report.add(Figure(f"a policy, journal to committed, {name}", statistics.median(found), "µs CPU", remark=remark))
    base = "policies, one a transaction, one after the other"
    report.add(Figure(base, bare, "/s", remark="bare transactions"))
    for name, found in rates.items():
        bound = Bound(least=LEAST_RATE, of_value=True) if shapes[name][0] == 1_000 else None
        report.add(Figure(f"policies, journal to committed, {name}", statistics.median(found), "/s", base, bound=bound))


async def _bare(source: FabricSource, count: int = 50) -> float:
    batch = encode(sites(1))
    began = time.perf_counter()
    for _ in range(count):
        await append(source.peers[0].peer, batch)
    return count / (time.perf_counter() - began)


async def _through(bench: Bench, source: FabricSource, entries: list[bytes], most: int, window: int) -> tuple[float, float]:
    """Return how many entries a second go from a fresh journal into blocks, and µs of CPU each, of this process and the bridge.

    Every one of them must stand there afterwards.
    """
    first, _ = await source.peers[0].peer.height()
    writing, _ = await bench.writing(source, pace=replace(PACE, batch=most, window=window))
    began, computing = time.perf_counter(), _computed(source)
    await writing.submit(entries)
    spent, computed = time.perf_counter() - began, _computed(source) - computing
    await writing.close()
    assert sorted(await _standing(source.peers[0].peer, first)) == sorted(entries)
    return len(entries) / spent, computed / len(entries) * 1e6


def _computed(source: FabricSource) -> float:
    """Return the processor's seconds of this process and of the bridge."""
    theirs = psutil.Process(source.bridge.pid).cpu_times()
    return float(time.process_time() + theirs.user + theirs.system)


async def _standing(peer: Peer, first: int) -> list[bytes]:
    height, _ = await peer.height()
    found: list[bytes] = []
    while first < height:
        blocks = await peer.blocks(first, 10.0)
        first += len(blocks)
        found += await asyncio.to_thread(_entries, blocks)
    return found


def _entries(blocks: list[PeerBlock]) -> list[bytes]:
    return [entry for block in blocks for event in block.events for entry in decode(parse_record(event.payload).batch)]
