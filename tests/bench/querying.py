"""How fast queries find their policies: by an index, by a range of one, by looking at all; in process, and over HTTPS.

Times are of CPU, of all threads: what else the machine does has little say. Over HTTPS that is client and server together.
"""

from __future__ import annotations

import asyncio
import io
import ssl
import statistics
import time
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

import aiohttp
import trustme

from auth.principal import Principal
from ledger.core.canonical import sha256_hex
from ledger.core.state import Accepted, Record
from ledger.engine.indexes import IndexChange
from ledger.engine.queries import search
from ledger.engine.store import Store
from ledger.home.clock import SystemClock
from ledger.http.feed import Hub, SignedHead
from ledger.http.logs import EventLog
from ledger.http.query_routes import QueryRoutes
from ledger.http.routes import RouteTable
from ledger.http.server import Address, HttpServer, ServerParts
from ledger.query import judge_of, parse_query
from tests.bench.figures import Bound, Figure, Report
from tests.bench.network import IAT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    from ledger.core.canonical import JSONObject
    from ledger.engine.queries import Search
    from ledger.engine.transaction import Transaction
    from ledger.http.call import Call

SCAN = "query: plain scan"
BATCH = 5_000
POINTS = 200
HTTPS = "query: by an indexed attribute, over HTTPS"
SCAN_BOUND = 600.0
BOUNDS = {"query: by an indexed attribute": 1.0, "query: by an indexed text": 1.0, "query: range of 100 on an index": 5.0, HTTPS: 3.0}
ROUNDS = 5


def body_of(number: int) -> JSONObject:
    """Return the body of an operator: about 300 bytes."""
    return {
        "name": f"operator {number}", "company": f"company {number % 500}", "ip": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
        "port": 32148 + number % 7, "serial": number, "load": number / 7, "country": "NO", "city": "Oslo", "loc": "59.91, 10.75",
        "cluster": sha256_hex(str(number % 1000).encode())[:32], "tags": ["edge", f"rack {number % 40}"], "main": number % 3 == 0,
    }  # fmt: skip


def fill(store: Store, count: int) -> None:
    """Put so many operators into a store, without a log around them."""

    def work(start: int, transaction: Transaction) -> None:
        for number in range(start, min(start + BATCH, count)):
            text = str(number)
            record = Record("operator", f"o{number}", True, sha256_hex(text.encode()), number, number, "root", "root", IAT, body_of(number))
            transaction.accept(transaction.add(text.encode()), Accepted((record,)))

    for start in range(0, count, BATCH):
        store.write_now(lambda transaction, start=start: work(start, transaction))  # type: ignore[misc]  # the loop's own value


def measure_querying(report: Report, count: int, folder: Path) -> None:
    """Add the times of queries on `count` policies, beside one pass of the reference over all of them."""
    with closing(Store.open(folder / "querying.db", create=True)) as store:
        fill(store, count)
        seconds = time.process_time()
        for attribute in ("serial", "name"):
            change = IndexChange.of("operator", attribute)
            store.write_now(lambda transaction, change=change: transaction.change_indexes(change.apply))  # type: ignore[misc]  # as above
        seconds = (time.process_time() - seconds) / 2
        asyncio.run(_measure(report, store, count))
        report.add(Figure("query: make an index", 1_000 * seconds, "ms", SCAN, f"over {count:,} policies, in the writer"))


async def _measure(report: Report, store: Store, count: int) -> None:
    plain = parse_query(f"operator where city contains Bergen or serial = {count - 1}")
    judge = judge_of(plain.where)

    def scan(asked: Search) -> list[str]:
        found = (one.policy() for one in asked.find(("operator",)))
        return [str(policy) for policy in found if judge("operator", policy["operator"])]

    texts = {
        "query: by an indexed attribute": ("operator where serial = {n}", POINTS),
        "query: by an indexed text": ("operator where name = 'operator {n}'", POINTS),
        "query: range of 100 on an index": ("operator where serial >= {n} and serial < {m}", 50),
        "query: full scan, number": ("operator where load > {n} and load < {m}", ROUNDS),
        "query: full scan, text in a list": ("operator where tags = 'rack 7' and port = 32150", ROUNDS),
        "query: full scan, ci": ("operator where city contains BERGEN ci", ROUNDS),
    }
    times: dict[str, list[float]] = {SCAN: [], **{name: [] for name in texts}}
    for turn in range(ROUNDS):
        times[SCAN].append(await _timed(lambda: search(store, scan, now=0)))
        for name, (text, rounds) in texts.items():
            for number in range(turn, rounds, ROUNDS):
                start = (number * 7919) % max(1, count - 100)
                query = parse_query(text.format(n=start, m=start + 100))
                times[name].append(await _timed(lambda query=query: search(store, lambda asked: asked.select(query), now=0)))  # type: ignore[misc]  # as above
    times[HTTPS] = await _over_https(store, count)
    for name, found in times.items():
        median, high = statistics.median(found), sorted(found)[min(len(found) - 1, int(len(found) * 0.99))]
        baseline = None if name == SCAN else SCAN
        bound = None if name == SCAN else Bound(most=BOUNDS.get(name, SCAN_BOUND), of_value=True)
        report.add(Figure(name, 1_000 * median, "ms", baseline, f"p50 over {count:,} policies", bound, high / median))


class Anyone:
    """An `Authorizer` that lets everybody in: what tokens cost is measured with publishing."""

    def authorize(self, call: Call, scopes: tuple[str, ...]) -> Principal:
        """See Authorizer."""
        return Principal(name="anyone", keyid="", scopes=frozenset(scopes))

    def still(self, call: Call) -> bool:
        """See Authorizer."""
        return True


async def _nothing(_start: int, _end: int) -> Sequence[bytes]:
    return ()


async def _over_https(store: Store, count: int) -> list[float]:
    """Return the times of an indexed query over one kept connection, TLS 1.3."""
    authority = trustme.CA()
    server_side, client_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    server_side.minimum_version = ssl.TLSVersion.TLSv1_3
    authority.issue_cert("127.0.0.1").configure_cert(server_side)
    authority.configure_trust(client_side)
    routes = QueryRoutes(Hub(SignedHead(count, b""), _nothing), store, SystemClock()).routes()
    server = HttpServer(ServerParts(RouteTable(routes), Anyone(), EventLog(io.BytesIO(), SystemClock())))
    address = await server.start(Address("127.0.0.1", 0), server_side)
    times: list[float] = []
    async with aiohttp.ClientSession() as session:
        for number in range(2 * POINTS):
            query = quote(f"operator where serial = {number * 7919 % count}")
            start = time.process_time()
            async with session.get(f"https://{address.host}:{address.port}/v1/policies?q={query}", ssl=client_side) as reply:
                assert len((await reply.json())["policies"]) == 1
            times.append(time.process_time() - start)
    await server.stop(0.0)
    return times[POINTS:]


async def _timed(work: Callable[[], Awaitable[object]]) -> float:
    start = time.process_time()
    await work()
    return time.process_time() - start
