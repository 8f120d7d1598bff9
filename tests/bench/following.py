"""A node that follows a master with a large log, from nothing and then step by step: seconds, CPU, bytes on the wire, memory.

`python -m tests.bench.following HOME` syncs one home to its end and says what that took: it is a process of its own, so that
its memory and its CPU time are its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import nacl.bindings

from ledger.client.https import JSON_LINES
from ledger.client.place import Place
from ledger.client.sync import Syncer
from ledger.core.envelope import pae, sign
from ledger.core.statement import Statement
from ledger.engine.replica import Replica
from ledger.engine.store import Store
from ledger.home.clock import SystemClock
from tests.bench.baselines import BARE_MEMORY, measure_bare_memory
from tests.bench.figures import Bound, Figure, Report
from tests.bench.loading import Target
from tests.bench.logs import grown
from tests.bench.network import IAT, make_network
from tests.support.counting import counting
from tests.support.live import reaches

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from ledger.client.answers import SyncReport
    from ledger.client.https import HttpsBackend
    from ledger.core.envelope import Envelope
    from tests.bench.logs import Grown
    from tests.support.counting import Counter

ROUNDS = 3
THREADS = 2
STEP_SECONDS = 600
SETTLE_SECONDS = 2.0
CHANGES = (0, 1, 100)
ALIKE = Bound(0.95, 1.05)
MEMORY = Bound(most=200, of_value=True)


class Outcome(TypedDict):
    """What a node took to sync: wall time, CPU of itself and of its processes, the most memory it ever had, what it fetched."""

    seconds: float
    cpu: float
    verifier_cpu: float
    peak: int
    entries: int
    requests: int
    received: int


# -- from nothing ------------------------------------------------------------------------------------------------


def measure_bootstrap(report: Report, count: int, folder: Path) -> None:
    """Add the time that a fresh node takes for `count` policies beside that of checking as many signatures, and memory."""
    claims = signed_messages(count)
    with grown(count, folder / "bootstrap") as network:
        master = Target("master", network.network.url, network.network.ca_file, network.network.ca_file, network.network.master.pid)
        bare, nodes, served = [], [], []
        for number in range(ROUNDS):
            bare.append(verify_on_threads(claims))
            before = master.cpu_seconds()
            nodes.append(bootstrap(network.fresh_node(f"node-{number}")))
            served.append(master.cpu_seconds() - before)
        add_bootstrap(report, bare, nodes, statistics.median(served))
        remark = f"{count:,} policies, served {ROUNDS} times"
        report.add(Figure("memory, master", master.resident() / 2**20, "MiB", BARE_MEMORY, remark, MEMORY))
        _measure_agent(report, network, count)


def add_bootstrap(report: Report, bare: Sequence[float], nodes: Sequence[Outcome], served: float) -> None:
    """Add the medians of the rounds."""
    count = nodes[0]["entries"]
    name = f"verify, bare, {count:,} on {THREADS} threads"
    report.add(Figure(name, statistics.median(bare), "s", remark="PyNaCl, threads of one process"))
    seconds, cpu, verifier = (statistics.median(one[key] for one in nodes) for key in ("seconds", "cpu", "verifier_cpu"))
    remark = f"aimed at: 4 s; CPU: node {cpu - verifier:.1f} s, its verifier {verifier:.1f} s, master {served:.1f} s"
    report.add(Figure(f"bootstrap, {count:,} entries", seconds, "s", name, remark, Bound(most=2)))
    on_wire = statistics.median(one["received"] for one in nodes) / count
    report.add(Figure("bootstrap, bodies, each", on_wire, "B", "entries, each", f"zstd; {nodes[0]['requests']} requests"))
    peak = statistics.median(one["peak"] for one in nodes) / 2**20
    measure_bare_memory(report)
    report.add(Figure("memory, bootstrap, at its peak", peak, "MiB", BARE_MEMORY, "the node without its verifier", MEMORY))


def _measure_agent(report: Report, network: Grown, count: int) -> None:
    """Add what an agent weighs that started from nothing, once it has everything and some reads are done."""
    home = network.fresh_node("agent")
    node = network.network.start_node(home)
    asyncio.run(reaches(home, count))
    time.sleep(SETTLE_SECONDS)
    weight = Target("node", node.url, network.network.ca_file, network.network.ca_file, node.pid).resident()
    report.add(Figure("memory, node", weight / 2**20, "MiB", BARE_MEMORY, f"an agent after its bootstrap of {count:,}", MEMORY))


def bootstrap(home: Path) -> Outcome:
    """Sync a home in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.following", str(home)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=STEP_SECONDS, check=True)
    outcome: Outcome = json.loads(done.stdout)
    return outcome


def signed_messages(count: int) -> list[tuple[bytes, bytes]]:
    """Return `count` signatures, each before what it signs, with its key: of the sizes of entries' statements."""
    network = make_network()
    some = list(network.envelopes(min(count, 5_000)))
    signed = [(one.signatures[0].sig + pae(one.payload), network.author.public.raw) for one in some]
    return list(islice(_forever(signed), count))


def _forever(items: Sequence[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    while True:
        yield from items


def verify_on_threads(claims: Sequence[tuple[bytes, bytes]]) -> float:
    """Return the seconds that checking every signature takes on two threads."""

    def check(part: Sequence[tuple[bytes, bytes]]) -> None:
        for signed, key in part:
            nacl.bindings.crypto_sign_open(signed, key)

    with ThreadPoolExecutor(THREADS) as pool:
        begin = time.perf_counter()
        list(pool.map(check, [claims[start::THREADS] for start in range(THREADS)]))
        return time.perf_counter() - begin


# -- step by step ------------------------------------------------------------------------------------------------


def measure_steps(report: Report, sizes: Sequence[int], folder: Path) -> None:
    """Add the bytes of a step over 0, 1 and 100 changed policies, at each of these sizes of the log, beside the first of them."""
    for size in sizes:
        with grown(size, folder / f"steps-{size}") as network:
            asyncio.run(_measure_steps(report, network, size, sizes[0]))


async def _measure_steps(report: Report, network: Grown, size: int, least: int) -> None:
    changed = network.author.envelopes(sum(CHANGES) + 200)
    sites = (one for one in changed if one.statement.kind == "site")
    async with counting(network.network.url) as wire, following(network.fresh_node("node"), wire.url) as (syncer, source):
        await syncer.step(source, wire.url)
        await _publish(network, list(islice(sites, 1)))  # with the mark that is due: none comes for a minute after it
        await syncer.step(source, wire.url)
        for count in CHANGES:
            await _publish(network, list(islice(sites, count)))
            step, octets = await weigh(wire, syncer, source)
            if step.entries != count:
                raise RuntimeError(f"{step.entries} entries came for {count} changed policies")
            base, bound = ("entries, each", None) if size == least else (f"sync of {count} changed, at {least:,}", ALIKE)
            remark = f"{step.requests} requests, TLS and all, both ways"
            report.add(Figure(f"sync of {count} changed, at {size:,}", octets, "B", base, remark, bound))


@asynccontextmanager
async def following(home: Path, url: str) -> AsyncIterator[tuple[Syncer, HttpsBackend]]:
    """Open the replica of a home, and the log at `url` as its source."""
    place = await asyncio.to_thread(Place.find, home)
    store = await asyncio.to_thread(Store.open, place.database)
    replica = Replica(store, place.network)
    syncer = Syncer(replica, clock=SystemClock(), evidence=place.home.evidence)
    await syncer.load()
    source = await asyncio.to_thread(place.https, url)
    try:
        yield syncer, source
    finally:
        await source.close()
        await asyncio.to_thread(replica.close)
        await asyncio.to_thread(store.close)


async def weigh(wire: Counter, syncer: Syncer, source: HttpsBackend) -> tuple[SyncReport, int]:
    """Take one step; return it with the bytes that it put on the wire, both ways."""
    before = await wire.settled()
    report = await syncer.step(source, wire.url)
    return report, await wire.settled() - before


async def _publish(network: Grown, before: Sequence[Envelope]) -> None:
    """Put the policies of these first statements again, changed, in one request."""
    if not before:
        return
    author = network.author.author
    entries = []
    for number, envelope in enumerate(before):
        one = envelope.statement
        body = {**(one.body or {}), "changed": number}
        entries.append(sign(Statement(one.ledger, "put", one.kind, one.id, one.digest, one.by, IAT, body), [author]).entry)
    place = await asyncio.to_thread(Place.find, network.network.home)
    async with place.transport(scope="write") as transport:
        reply = await transport.post("/v1/entries", b"\n".join(entries), JSON_LINES, headers={"Prefer": "return=minimal"})
    if reply.body.count(b'"digest"') != len(entries):
        raise RuntimeError(f"not every changed policy was placed: {reply.body[:300]!r}")


# -- the process that syncs --------------------------------------------------------------------------------------


async def _sync(home: Path) -> Outcome:
    url = (await asyncio.to_thread(Place.find, home)).url.text
    async with following(home, url) as (syncer, source):
        before, begin = os.times(), time.perf_counter()
        step = await syncer.step(source, url)
        seconds, after = time.perf_counter() - begin, os.times()
    verifier = after.children_user + after.children_system - before.children_user - before.children_system
    own = after.user + after.system - before.user - before.system
    # Not `ru_maxrss`, which a new program inherits from the process that started it.
    status = await asyncio.to_thread(Path("/proc/self/status").read_text)
    peak = 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    return Outcome(
        seconds=seconds,
        cpu=own + verifier,
        verifier_cpu=verifier,
        peak=peak,
        entries=step.entries,
        requests=step.requests,
        received=step.received,
    )


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(_sync(Path(sys.argv[1])))))
