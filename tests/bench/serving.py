"""A master process over TLS, beside etcd: publishing at three numbers of connections and in bulk, then a node that is asked."""

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
from ledger.engine.store import Store
from ledger.home.home import Home
from tests.bench.etcd import etcd_running, find_etcd
from tests.bench.figures import Figure, Report
from tests.bench.following import following
from tests.bench.loading import WARMUP, Target, take_turns, write_entries
from tests.bench.network import Network
from tests.support.live import LiveNetwork, found_network, live

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ledger.core.envelope import Envelope

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
        asyncio.run(_catch_up(home, network.url))
        asyncio.run(_measure_queries(report, home))


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
    remark = f"{BULK_LINES:,} a request, {BULK_AT_ONCE} at a time"
    report.add(Figure("master, bulk", placed / seconds, "/s", "verify, bare", remark, also=report.known("bare, 1,000 a commit")))


async def _catch_up(home: Path, url: str) -> None:
    async with following(home, url) as (syncer, source):
        await syncer.step(source, url)


async def _measure_queries(report: Report, home: Path) -> None:
    """Ask the replica for one site among all; beside bare reads when they were measured."""
    base = next(iter(report.known("bare, read")), None)
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
            report.add(Figure(name, count / (time.perf_counter() - begin), "/s", base, "on the replica, by the client"))
