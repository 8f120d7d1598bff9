"""A TCP proxy on the loopback that passes bytes on and counts them: what a connection costs on the wire, TLS and all."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CHUNK = 65_536
QUIET_SECONDS = 0.05


class Counter:
    """One proxy to one address. `sent` counts bytes to the server, `received` those that came back."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._tasks: set[asyncio.Task[None]] = set()
        self.sent = 0
        self.received = 0
        self.connections = 0
        self.url = ""

    @property
    def total(self) -> int:
        return self.sent + self.received

    async def settled(self) -> int:
        """Return the total once no more bytes come."""
        before = -1
        while before != self.total:
            before = self.total
            await asyncio.sleep(QUIET_SECONDS)
        return self.total

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(OSError, asyncio.CancelledError):
            upstream_reader, upstream_writer = await asyncio.open_connection(self._host, self._port)
            try:
                await asyncio.gather(self._pass(reader, upstream_writer, up=True), self._pass(upstream_reader, writer, up=False))
            finally:
                upstream_writer.close()
        writer.close()
        self._tasks.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, up: bool) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK):
                self.sent += len(chunk) if up else 0
                self.received += 0 if up else len(chunk)
                writer.write(chunk)
                await writer.drain()
        writer.close()

    async def cut(self) -> None:
        """Break what is connected."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(QUIET_SECONDS)  # the loop closes the sockets


@asynccontextmanager
async def counting(url: str) -> AsyncIterator[Counter]:
    """Stand before the server at `url`; `Counter.url` is the same server through the proxy."""
    parts = urlsplit(url)
    counter = Counter(parts.hostname or "", parts.port or 443)
    server = await asyncio.start_server(counter.serve, "127.0.0.1", 0)
    counter.url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield counter
    finally:
        server.close()
        await counter.cut()
        await server.wait_closed()
