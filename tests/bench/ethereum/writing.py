"""How fast entries get from the journal into blocks, and what a transaction costs this machine."""

from __future__ import annotations

import asyncio
import statistics
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from blockchain_adapters.codec import decode, encode
from blockchain_adapters.ethereum.calls import Calls
from blockchain_adapters.submit import Pace
from blockchain_adapters.transactions import Parcel
from tests.bench.ethereum.samples import sites
from tests.bench.figures import Bound, Figure, cpu_rate
from tests.support.chain_writing import account_of, entries_of, opened_journal, submitting
from tests.support.contract import Contract, mined, send

if TYPE_CHECKING:
    from pathlib import Path

    from blockchain_adapters.ethereum.artifact import Artifact
    from tests.bench.figures import Report
    from tests.support.anvil import Anvil

LEAST_RATE = 3_000  # policies a second, journal to mined
MOST_SIGNING = 1.5  # ms of CPU to encode and sign a transaction
BATCH = 100
ROUNDS = 3
AMOUNT = 6_000
SIGNED = 200
PACE = Pace(first=0.002, most=0.02, rest=0.2, patience=120.0, window=4)


def measure_computing(report: Report, chain: Anvil, artifact: Artifact) -> None:
    """Add what it takes to pack and unpack a batch of 100 airports, and to encode and sign its transaction."""
    entries = sites(BATCH)
    batch, calls, account = encode(entries), Calls(artifact), account_of(chain)

    def sign() -> int:
        for nonce in range(SIGNED):
            fields = {"type": 2, "chainId": 1, "nonce": nonce, "to": account.address, "value": 0, "gas": 10**6}
            fees = {"maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9}
            account.sign({**fields, **fees, "data": calls.record(Parcel((), expected=nonce), batch)})
        return SIGNED

    report.add(Figure("packing, an entry", 1e6 / cpu_rate(partial(_repeat, encode, entries)) / BATCH, "µs CPU"))
    report.add(Figure("unpacking, an entry", 1e6 / cpu_rate(partial(_repeat, decode, batch)) / BATCH, "µs CPU"))
    bound = Bound(most=MOST_SIGNING, of_value=True)
    report.add(Figure("encode and sign a transaction", 1e3 / cpu_rate(sign), "ms CPU", remark=f"of {BATCH} airports", bound=bound))


def _repeat(work: object, value: object) -> int:
    for _ in range(20):
        work(value)  # type: ignore[operator]  # encode or decode
    return 20


async def measure_rate(report: Report, chain: Anvil, artifact: Artifact, folder: Path) -> None:
    """Add how many entries a second get from the journal into blocks, in batches as they come and of 100, beside bare transactions."""
    amount, entries = AMOUNT, sites(AMOUNT)
    found: dict[str, list[float]] = {"bare": [], "free": [], "free CPU": [], "hundred": [], "hundred CPU": []}
    for at in range(ROUNDS):
        found["bare"].append(await _bare(chain, artifact))
        for name, some, most in (("free", entries, 1_000), ("hundred", entries[: amount // 2], BATCH)):
            rate, cpu = await _through(chain, folder / f"{name}{at}", some, most)
            found[name].append(rate)
            found[f"{name} CPU"].append(cpu)
    bare, free, free_cpu, hundred, hundred_cpu = (statistics.median(one) for one in found.values())
    name = "a transaction at a time, signed elsewhere"
    report.add(Figure(name, bare, "/s", remark="one policy each: what a ledger without batches does"))
    bound = Bound(least=LEAST_RATE, of_value=True)
    remark = f"{amount:,} airports; both processes share this machine"
    report.add(Figure("policies, journal to mined", free, "/s", name, remark, bound))
    report.add(
        Figure(f"policies, journal to mined, {BATCH} a transaction", hundred, "/s", name, "four under way, each waits for the disk", bound)
    )

    for size, cpu in (("1,000", free_cpu), (str(BATCH), hundred_cpu)):
        report.add(Figure(f"a policy, journal to mined, {size} a transaction", cpu, "µs CPU", remark="of the writer, without the chain"))


async def _bare(chain: Anvil, artifact: Artifact, count: int = 100) -> float:
    contract = await Contract.deploy(chain)
    call = Calls(artifact).record(Parcel(()), encode(sites(1)))
    begin = time.perf_counter()
    for _ in range(count):
        await mined(chain, await send(chain, call, contract.address))
    return count / (time.perf_counter() - begin)


async def _through(chain: Anvil, folder: Path, entries: list[bytes], most: int) -> tuple[float, float]:
    """Return how many entries a second go through a journal of their own into a contract of their own, and µs of CPU each."""
    contract = await Contract.deploy(chain)
    await asyncio.to_thread(folder.mkdir)
    async with opened_journal(folder / "journal.db") as journal, submitting(contract, journal, pace=replace(PACE, batch=most)) as submitter:
        begin, cpu = time.perf_counter(), time.process_time()
        await submitter.submit(entries)
        spent, cpu = time.perf_counter() - begin, time.process_time() - cpu
    assert await entries_of(contract) == entries
    return len(entries) / spent, cpu / len(entries) * 1e6
