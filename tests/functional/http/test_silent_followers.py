"""Followers that open the feed and never read: they cost next to nothing, slow nobody, and are cut."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import orjson

from tests.functional.http.test_watch import watching
from tests.support.live import eventually
from tests.support.masters import LINES, trusting

if TYPE_CHECKING:
    import ssl

    from ledger.http.feed import Hub
    from tests.support.masters import Network

SILENT = 50
STALL_SECONDS = 2.0
WAITING_BYTES = 768 * 1024  # for one of them: a page, what is not encrypted yet, a little
NOTE = "x" * 6_000


async def keep_silent(network: Network, context: ssl.SSLContext, stack: AsyncExitStack) -> None:
    """Open a stream, read the first of it, and then nothing more."""
    host, _, port = network.url.removeprefix("https://").rpartition(":")
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.setblocking(False)
    await asyncio.get_running_loop().sock_connect(peer, (host, int(port)))
    reader, writer = await asyncio.open_connection(sock=peer, ssl=context, server_hostname=host)
    stack.callback(abort, reader, writer)
    writer.write(f"GET /v1/watch HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {network.admin.token}\r\n\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    writer.transport.pause_reading()  # type: ignore[attr-defined] # the transport of a stream has it


def abort(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End a connection; until then, both ends of the stream are held."""
    writer.transport.abort()


def hub_of(network: Network) -> Hub:
    hub = network.master._hub
    assert hub is not None
    return hub


async def publish_much(network: Network, lap: int) -> int:
    """Publish some 300 KB and return the size of the log then."""
    lines = b"\n".join(network.put("site", {"name": f"site-{lap}-{n}", "note": NOTE}).entry for n in range(24))
    reply = await asyncio.wait_for(network.call("POST", "/v1/entries", who=network.admin, headers={"Content-Type": LINES}, body=lines), 10)
    return 1 + max(int(orjson.loads(line)["index"]) for line in reply.body.splitlines())


async def test_followers_that_never_read_cost_little_and_are_cut(network: Network) -> None:
    hub = hub_of(network)
    hub._stall_seconds = STALL_SECONDS
    await network.login(network.admin)
    context = await asyncio.to_thread(trusting, network.home)
    async with AsyncExitStack() as stack, watching(network) as honest:
        await honest.until_head(0)
        for _ in range(SILENT):
            await keep_silent(network, context, stack)
        assert hub.followers == SILENT + 1
        waiting = 0
        for lap in range(12):
            size = await publish_much(network, lap)
            await honest.until_head(size)
            waiting = max([waiting, *(follower.transport.get_write_buffer_size() for follower in hub._followers)])
        assert 0 < waiting < WAITING_BYTES
        await eventually(lambda: hub.followers == 1, "those who do not read are cut")
        size = await publish_much(network, 99)
        assert await honest.until_head(size) == size
    assert [line for line in network.lines() if line["level"] == "error"] == []
