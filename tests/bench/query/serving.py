"""An indexed query over HTTPS, one kept connection with TLS 1.3: the CPU of client and server together."""

from __future__ import annotations

import asyncio
import io
import ssl
import statistics
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import aiohttp
import trustme

from auth.principal import Principal
from ledger.home.clock import SystemClock
from ledger.http.feed import Hub
from ledger.http.frames import SignedHead
from ledger.http.logs import EventLog
from ledger.http.query_routes import QueryRoutes
from ledger.http.routes import RouteTable
from ledger.http.server import Address, HttpServer, ServerParts
from tests.bench.figures import Bound, Figure
from tests.bench.query.asking import SCAN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.engine.store import Store
    from ledger.http.call import Call
    from tests.bench.figures import Report

REQUESTS = 400
WARMUP = 100
MOST = 3.0  # milliseconds


class Anyone:
    """An `Authorizer` that lets everybody in: what tokens cost is measured with publishing."""

    def authorize(self, _call: Call, scopes: tuple[str, ...]) -> Principal:
        """See Authorizer."""
        return Principal(name="anyone", keyid="", scopes=frozenset(scopes))

    def still(self, _call: Call) -> bool:
        """See Authorizer."""
        return True


def measure_https(report: Report, store: Store, count: int) -> None:
    """Add the median of an indexed query."""
    times = sorted(asyncio.run(_ask(store, count)))
    median, tail = statistics.median(times), times[int(len(times) * 0.99)]
    bound = Bound(most=MOST, of_value=True)
    report.add(
        Figure("get by an indexed attribute, over HTTPS", 1_000 * median, "ms", SCAN, "p50, client and server", bound, tail / median)
    )


async def _nothing(_start: int, _end: int) -> Sequence[bytes]:
    return ()


async def _ask(store: Store, count: int) -> list[float]:
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
        for number in range(WARMUP + REQUESTS):
            query = quote(f"operator where port = {30_000 + number * 7}")
            begin = time.process_time()
            async with session.get(f"https://{address.host}:{address.port}/v1/policies?q={query}", ssl=client_side) as reply:
                assert len((await reply.json())["policies"]) == 1
            times.append(time.process_time() - begin)
    await server.stop(0.0)
    return times[WARMUP:]
