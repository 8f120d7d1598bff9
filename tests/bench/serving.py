"""A master process over TLS, beside etcd, and a node that follows it: publish, sync, query, bytes on the wire, memory."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, closing
from itertools import islice
from typing import TYPE_CHECKING

from auth.keystore import KeyStore
from ledger.client.client import LedgerClient
from ledger.client.https import JSON_LINES
from ledger.client.place import Place
from ledger.client.sync import Syncer
from ledger.engine.replica import Replica
from ledger.engine.store import Store
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from tests.bench.etcd import etcd_running, find_etcd
from tests.bench.figures import Figure, Report
from tests.bench.loading import WARMUP, Target, take_turns, write_entries
from tests.bench.network import Network
from tests.support.counting import counting
from tests.support.live import LiveNetwork, found_network, live

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ledger.client.answers import SyncReport
    from ledger.client.sync import LogSource
    from ledger.core.envelope import Envelope
    from tests.support.counting import Counter

ROUNDS = 3
LOADS = {1: 10, 32: 2, 256: 2}  # connections: which part of the load each round is
BULK_LINES = 1_000
BULK_AT_ONCE = 2
QUERIES = 200


class Served:
    """The network under measurement: its master, and envelopes that it has not seen."""

    def __init__(self, network: LiveNetwork, folder: Path, load: int) -> None:
        self.network = network
        self.folder = folder
        self.load = load
        author = KeyStore(Home(network.home).keys).load("member")
        every = Network(network.network, [], author).envelopes(100 * load)
        # Sites refer to nothing, so that it does not matter in which order they arrive.
        self._envelopes: Iterator[Envelope] = (one for one in every if one.statement.kind == "site")
        token_file = folder / "token"
        token_file.write_text(asyncio.run(network.access_token(scope="read write")))
        self.target = Target("master", network.url, network.ca_file, token_file, network.master.pid)

    def fresh(self, count: int) -> list[bytes]:
        """Return that many entries never sent before."""
        return [envelope.entry for envelope in islice(self._envelopes, count)]


def measure_serving(report: Report, load: int, folder: Path) -> None:
    """Add what a master takes, what a node costs it, and what both weigh. `load`: about how many entries each case sends."""
    with ExitStack() as stack:
        network = stack.enter_context(live(found_network(folder / "founded"), folder))
        served = Served(network, folder, load)
        home = asyncio.run(network.join("node"))
        etcd = find_etcd()
        others = [] if etcd is None else [stack.enter_context(etcd_running(etcd, folder / "etcd"))]
        for connections, part in LOADS.items():
            rounds = [write_entries(folder / f"{connections}-{number}", served.fresh(load // part + WARMUP)) for number in range(ROUNDS)]
            take_turns(report, [*others, served.target], rounds, connections)
        asyncio.run(_measure_bulk(report, served))
        report.add(Figure("memory, master", served.target.resident() / 2**20, "MiB", remark=f"after {log_size(network):,} entries"))
        asyncio.run(_measure_following(report, network, home))
        asyncio.run(_measure_queries(report, home))
        node = network.start_node(home)
        weight = Target("node", node.url, network.ca_file, network.ca_file, node.pid).resident()
        report.add(Figure("memory, node", weight / 2**20, "MiB", "memory, master", "as started, with this log"))


def log_size(network: LiveNetwork) -> int:
    """Return how many entries the log of a network has."""
    with closing(Store.open(Home(network.home).database, writable=False)) as store:
        return store.read_now(lambda snapshot: snapshot.head().size)


async def _measure_bulk(report: Report, served: Served) -> None:
    """Publish many a request, two requests at a time."""
    entries = served.fresh(served.load // BULK_LINES * BULK_LINES)
    bodies = [b"\n".join(entries[start : start + BULK_LINES]) for start in range(0, len(entries), BULK_LINES)]
    place = await asyncio.to_thread(Place.find, served.network.home)
    async with place.transport(scope="write") as transport:
        await transport.token()
        turns = asyncio.Semaphore(BULK_AT_ONCE)

        async def send(body: bytes) -> int:
            async with turns:
                reply = await transport.post("/v1/entries", body, JSON_LINES, headers={"Prefer": "return=minimal"})
                return reply.body.count(b'"digest"')

        begin = time.perf_counter()
        placed = sum(await asyncio.gather(*map(send, bodies)))
        seconds = time.perf_counter() - begin
    if placed != len(entries):
        raise RuntimeError(f"{placed} of {len(entries)} entries were placed")
    report.add(Figure("master, bulk", placed / seconds, "/s", "verify, bare", f"{BULK_LINES:,} a request, {BULK_AT_ONCE} at a time"))


async def _measure_following(report: Report, network: LiveNetwork, home: Path) -> None:
    """Bring a node from nearly nothing up to date, then let it poll: nothing new, one new policy."""
    place = await asyncio.to_thread(Place.find, home)
    store = await asyncio.to_thread(Store.open, place.database)
    replica = Replica(store, place.network)
    syncer = Syncer(replica, clock=SystemClock(), evidence=place.home.evidence)
    await syncer.load()
    async with counting(network.url) as wire:
        source = await asyncio.to_thread(place.https, wire.url)
        begin = time.perf_counter()
        whole = await syncer.step(source, wire.url)
        seconds = time.perf_counter() - begin
        remark = f"{whole.entries:,} entries in {seconds:.1f} s, {whole.requests} requests, verified and judged"
        report.add(Figure("sync", whole.entries / seconds, "/s", "verify, bare", remark))
        on_wire = await wire.settled()
        report.add(Figure("sync, on the wire, each", on_wire / whole.entries, "B", remark="TLS and all, both ways"))
        idle, octets = await _weigh(wire, syncer, source)
        report.add(Figure("idle poll", octets, "B", remark=f"{idle.requests} request, kept alive, both ways"))
        await network.publish("one more")
        one, octets = await _weigh(wire, syncer, source)
        report.add(Figure("one more policy", octets, "B", remark=f"{one.requests} requests, {one.entries} entry"))
        await source.close()
    await asyncio.to_thread(replica.close)
    await asyncio.to_thread(store.close)


async def _weigh(wire: Counter, syncer: Syncer, source: LogSource) -> tuple[SyncReport, int]:
    before = await wire.settled()
    report = await syncer.step(source, wire.url)
    return report, await wire.settled() - before


async def _measure_queries(report: Report, home: Path) -> None:
    """Ask the replica for one site among all."""
    async with LedgerClient.open(home=home) as client:
        for name, clause, count in (("query, one of all sites", "icao = KJFK", 10), ("query, by id", "", QUERIES)):
            (shown,) = (await client.get("site", "icao = KJFK")).policies
            content = shown["site"]
            policy = str(content["id"]) if isinstance(content, dict) else ""
            begin = time.perf_counter()
            for _ in range(count):
                found = await client.get("site", clause) if clause else await client.policy(policy)
                if not found:
                    raise RuntimeError("nothing was found")
            report.add(Figure(name, count / (time.perf_counter() - begin), "/s", "bare, read", "on the replica, by the client"))
