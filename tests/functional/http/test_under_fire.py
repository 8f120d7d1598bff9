"""What no honest client sends, as raw bytes over TLS: the right problem or a clean end, and the next honest request is answered."""

from __future__ import annotations

import asyncio
import re
import socket
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.support.live import eventually
from tests.support.masters import trusting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ledger.http.server import HttpServer
    from tests.support.masters import Network

PATIENCE = 15.0
MANY = 200_000
STATUS = re.compile(rb"HTTP/(?:0\.9|1\.[01]) (\d{3}) ")


@dataclass(frozen=True)
class Wire:
    """One TLS connection, and what is read from it."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, sent: bytes) -> list[int]:
        """Send bytes, read until the server ends the connection, and return the statuses of its answers."""
        self.writer.write(sent)
        return statuses(await self.rest())

    async def rest(self) -> bytes:
        """Return everything until the server ends the connection."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()


def statuses(answers: bytes) -> list[int]:
    """Return the statuses of answers that came one after the other; each error among them is a problem document of ours."""
    found = []
    while answers:
        head, _, rest = answers.partition(b"\r\n\r\n")
        match = STATUS.match(head)
        assert match, answers[:200]
        status = int(match[1])
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        assert length, head
        body, answers = rest[: int(length[1])], rest[int(length[1]) :]
        if status >= 400:
            assert b"application/problem+json" in head, head
            assert orjson.loads(body)["status"] == status
        found.append(status)
    return found


@asynccontextmanager
async def wired(network: Network) -> AsyncIterator[Wire]:
    """Open a connection as no library would use it."""
    host, _, port = network.url.removeprefix("https://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=await asyncio.to_thread(trusting, network.home))
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


def server_of(network: Network) -> HttpServer:
    """Return the server behind the routes."""
    listeners = network.master._listeners
    assert listeners is not None
    return listeners._servers[0]


async def check_up(network: Network) -> None:
    """Assert that an honest client is served, and that nothing broke inside."""
    assert (await network.get("/checkpoint")).status == 200
    assert (await network.get("/v1/policies", who=network.admin)).status == 200
    assert [line for line in network.lines() if line["level"] == "error"] == []


async def fire(network: Network, sent: bytes) -> list[int]:
    """Send bytes on a connection of their own, and return the statuses of the answers until it ends; the service is up afterwards."""
    async with wired(network) as wire:
        found = await wire.ask(sent)
    await check_up(network)
    return found


def get(target: bytes, *lines: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    """Return a request that ends its connection."""
    return b"\r\n".join([b"GET " + target + b" " + version, b"Host: a", b"Connection: close", *lines]) + b"\r\n\r\n"


def post(*lines: bytes, body: bytes = b"") -> bytes:
    """Return a form for the token route, the one that everybody may send bodies to."""
    head = (b"POST /v1/token HTTP/1.1", b"Host: a", b"Content-Type: application/x-www-form-urlencoded")
    return b"\r\n".join([*head, *lines]) + b"\r\n\r\n" + body


HIDDEN = b"GET /v1/crl HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
SMUGGLING = {
    "length and chunks": post(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + HIDDEN),
    "chunks and length": post(b"Transfer-Encoding: chunked", b"Content-Length: 6", body=b"0\r\n\r\n" + HIDDEN),
    "two lengths": post(b"Content-Length: 0", b"Content-Length: 70", body=HIDDEN),
    "two equal lengths": post(b"Content-Length: 5", b"Content-Length: 5", body=b"a=b&c" + HIDDEN),
    "a list of lengths": post(b"Content-Length: 0, 70", body=HIDDEN),
    "a signed length": post(b"Content-Length: +5", body=b"a=b&c" + HIDDEN),
    "a length in hex": post(b"Content-Length: 0x5", body=b"a=b&c" + HIDDEN),
    "a length with an underscore": post(b"Content-Length: 1_0", body=b"a=b&ca=b&c" + HIDDEN),
    "an empty length": post(b"Content-Length: ", body=HIDDEN),
    "a length beyond all": post(b"Content-Length: " + b"9" * 40, body=HIDDEN),
    "a folded header": post(b"X-One: a\r\n b", b"Content-Length: 0"),
    "a folded coding": post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n" + HIDDEN),
    "space before the colon": post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + HIDDEN),
    "another coding": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + HIDDEN),
    "chunked is not last": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + HIDDEN),
    "chunked twice": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + HIDDEN),
    "a coding after a control": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n" + HIDDEN),
    "bare line feeds": post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + HIDDEN).replace(b"\r\n", b"\n"),
    "a bare carriage return": post(b"X-One: a\rTransfer-Encoding: chunked", b"Content-Length: 0"),
    "a chunk of no size": post(b"Transfer-Encoding: chunked", body=b"\r\n\r\n" + HIDDEN),
    "a chunk of a signed size": post(b"Transfer-Encoding: chunked", body=b"-1\r\na\r\n0\r\n\r\n" + HIDDEN),
    "a chunk of 0x": post(b"Transfer-Encoding: chunked", body=b"0x5\r\na=b&c\r\n0\r\n\r\n" + HIDDEN),
    "a chunk with an underscore": post(b"Transfer-Encoding: chunked", body=b"0_5\r\na=b&c\r\n0\r\n\r\n" + HIDDEN),
    "a chunk that ends late": post(b"Transfer-Encoding: chunked", body=b"3\r\na=b&c\r\n0\r\n\r\n" + HIDDEN),
    "a chunk after a bare line feed": post(b"Transfer-Encoding: chunked", body=b"5\na=b&c\r\n0\r\n\r\n" + HIDDEN),
    "a chunk extension with a line feed": post(b"Transfer-Encoding: chunked", body=b"5;a\nb\r\na=b&c\r\n0\r\n\r\n" + HIDDEN),
    "a chunk beyond all": post(b"Transfer-Encoding: chunked", body=b"f" * 17 + b"\r\na=b&c\r\n0\r\n\r\n" + HIDDEN),
}


@pytest.mark.parametrize("sent", SMUGGLING.values(), ids=SMUGGLING.keys())
async def test_request_that_two_readers_would_end_differently_hides_no_second_one(network: Network, sent: bytes) -> None:
    found = await fire(network, sent)
    assert found == [400], found


async def test_chunk_extensions_and_trailers_are_read_over(network: Network) -> None:
    body = b"5;name=value;other\r\na=b&c\r\n0\r\nX-Trailer: Content-Length: 9\r\n\r\n"
    assert await fire(network, post(b"Transfer-Encoding: chunked", b"Connection: close", body=body)) == [400]
    async with wired(network) as wire:
        wire.writer.write(post(b"Transfer-Encoding: chunked", body=body))
        head = await wire.reader.readuntil(b"\r\n\r\n")
        refused = orjson.loads(await wire.reader.readexactly(int(re.search(rb"Content-Length: (\d+)", head)[1])))  # type: ignore[index] # it is there
        assert refused["code"] == "usage"  # the form was read whole: its fields are what is wrong
        assert await wire.ask(HIDDEN) == [200]


UNREADABLE = {
    "no version": b"GET /checkpoint\r\n\r\n",
    "HTTP/0.9 by name": get(b"/checkpoint", version=b"HTTP/0.9"),
    "HTTP/2 by name": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": get(b"/checkpoint", version=b"HTTP/9.9"),
    "a NUL in the target": get(b"/check\x00point"),
    "a NUL in a value": get(b"/checkpoint", b"X-One: a\x00b"),
    "a NUL in a name": get(b"/checkpoint", b"X\x00One: a"),
    "only NULs": bytes(4096),
    "a TLS greeting inside TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "no name": get(b"/checkpoint", b": value"),
    "no colon": get(b"/checkpoint", b"just a line"),
    "a control in the method": b"G\x01T /checkpoint HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space in the target": get(b"/check point"),
    "a control in a value": get(b"/checkpoint", b"X-One: a\x07b"),
    "a long target": get(b"/" + b"a" * 9_000),
    "a long value": get(b"/checkpoint", b"X-One: " + b"a" * 9_000),
    "a long name": get(b"/checkpoint", b"X" * 9_000 + b": a"),
    "a thousand headers": get(b"/checkpoint", *(b"X-%d: a" % n for n in range(1_000))),
    "a thousand equal headers": get(b"/checkpoint", *[b"Cookie: a"] * 1_000),
}


@pytest.mark.parametrize("sent", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_what_is_no_request_is_a_problem_and_the_end(network: Network, sent: bytes) -> None:
    assert await fire(network, sent) == [400]


@pytest.mark.parametrize(
    "target",
    [
        b"/tile/../checkpoint",
        b"/tile/0/../0/000",
        b"/tile/%2e%2e/checkpoint",
        b"/tile/0/000%2fx",
        b"/tile/0/%30%30%30",
        b"/tile/0//000",
        b"/tile//0/000",
        b"/tile/0/000/",
        b"/tile/00/000",
        b"/tile/0/0",
        b"/tile/0/x001/",
        b"/tile/0/x000/000",
        b"/tile/0/000.p/256",
        b"/tile/0/000.p/0",
        b"/tile/0/000.p/01",
        b"/tile/0/000.p/-1",
        b"/tile/64/000",
        b"/tile/0/" + b"x999/" * 600 + b"999",
        b"/tile/entries/..%5c..%5cledger.db",
        b"/tile/entries/000;x=1",
        b"/tile/entries/\xff\xfe",
        b"/tile/entries/000\\..\\000",
        b"/TILE/0/000",
        b"/tile",
        b"/tile/",
        b"/..;/v1/status",
        b"/%2e/checkpoint",
        b"//checkpoint",
        b"/checkpoint/",
        b"*",
        b"/",
    ],
)
async def test_path_trick_finds_nothing(network: Network, target: bytes) -> None:
    token = (await network.login(network.admin)).encode()
    (status,) = await fire(network, get(target, b"Authorization: Bearer " + token))
    assert status in {400, 404}, status


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        (b"https://elsewhere/checkpoint", 200),
        (b"http://user:secret@elsewhere:1/checkpoint", 200),
        (b"https://elsewhere/tile/../checkpoint", 401),
        (b"https://elsewhere", 404),
        (b"ftp://elsewhere/checkpoint", 200),
        (b"https://[::1/checkpoint", 400),
        (b"https://elsewhere:99999999/checkpoint", 400),
    ],
)
async def test_absolute_target_names_a_path_of_ours_or_nothing(network: Network, target: bytes, wanted: int) -> None:
    assert await fire(network, get(target)) == [wanted]


@pytest.mark.parametrize("method", [b"CONNECT", b"TRACE", b"PROPFIND", b"get", b"X" * 200])
async def test_method_that_no_route_has_is_refused(network: Network, method: bytes) -> None:
    target = b"elsewhere:443" if method == b"CONNECT" else b"/checkpoint"
    (status,) = await fire(network, method + b" " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert status in {400, 404, 405}


async def test_upgrade_is_declined_and_hides_nothing(network: Network) -> None:
    lines = (b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    sent = b"\r\n".join([b"GET /checkpoint HTTP/1.1", b"Host: a", b"Connection: upgrade", *lines]) + b"\r\n\r\n" + HIDDEN
    assert await fire(network, sent) == [200]
    h2c = b"GET /checkpoint HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n"
    assert await fire(network, h2c + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == [200]
    assert await fire(network, h2c + HIDDEN) == [200]


async def test_many_requests_at_once_are_answered_in_order(network: Network) -> None:
    turns = [b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"]
    many = b"".join(turns * 200)
    assert await fire(network, many + get(b"/checkpoint")) == [200, 404] * 200 + [200]


async def test_nothing_after_a_broken_request_is_answered(network: Network) -> None:
    good = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    found = await fire(network, good + b"what is this\r\n\r\n" + good)
    assert found in ([400], [200, 400])  # what came in the same packet before it may go unanswered


async def test_requests_without_end_and_answers_never_read_cost_little(network: Network) -> None:
    """A peer that asks and asks and reads nothing is no longer read from, long before its answers fill the memory."""
    async with wired(network) as wire:
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined] # the transport of a stream has it
        asked = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 100
        taken = 0
        with suppress(TimeoutError):
            while taken < MANY:
                wire.writer.write(asked)
                await asyncio.wait_for(wire.writer.drain(), 1.5)
                taken += 100
        await check_up(network)
    assert taken < MANY


@pytest.mark.parametrize("path", ["/v1/token", "/v1/checkpoints", "/v1/entries", "/v1/certificates", "/healthz", "/nowhere"])
async def test_body_that_says_it_is_huge_is_refused_unread(network: Network, path: str) -> None:
    kind = {"/v1/checkpoints": "text/plain", "/v1/entries": "application/jsonl", "/v1/certificates": "application/pkcs10"}
    token = await network.login(network.admin)
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: {10**12}\r\n"
    async with wired(network) as wire:
        wire.writer.write(f"{head}Content-Type: {kind.get(path, 'application/x-www-form-urlencoded')}\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            answer = await wire.reader.readuntil(b"\r\n\r\n")
    assert STATUS.match(answer)[1] in {b"413", b"404", b"405"}  # type: ignore[index] # it is there
    await check_up(network)


async def test_body_that_stops_is_a_time_out_and_one_that_ends_early_an_end(network: Network) -> None:
    server_of(network).body_seconds = 0.3
    async with wired(network) as wire:
        wire.writer.write(post(b"Content-Length: 100", b"Connection: close", body=b"a="))
        async with asyncio.timeout(PATIENCE):
            assert (await wire.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 408")
    async with wired(network) as wire:
        wire.writer.write(post(b"Content-Length: 100", body=b"a="))
        await wire.writer.drain()
        wire.writer.transport.abort()
    await check_up(network)


async def test_body_that_drips_is_a_time_out(network: Network) -> None:
    server_of(network).body_seconds = 0.5
    async with wired(network) as wire:
        wire.writer.write(post(b"Transfer-Encoding: chunked", b"Connection: close"))
        answer = asyncio.create_task(wire.reader.readuntil(b"\r\n\r\n"))
        while not answer.done():
            wire.writer.write(b"1\r\na\r\n")
            await asyncio.sleep(0.05)
        assert (await answer).startswith(b"HTTP/1.1 408")
    await check_up(network)


async def test_headers_that_drip_and_connections_that_say_nothing_are_ended(network: Network) -> None:
    connections = server_of(network)._server
    assert connections is not None
    connections.keepalive_seconds = 0.7
    async with wired(network) as silent, wired(network) as slow:
        slow.writer.write(b"GET /checkpoint HTTP/1.1\r\nHost: a\r\n")
        end = asyncio.create_task(slow.rest())
        async with asyncio.timeout(PATIENCE):
            while not end.done():
                slow.writer.write(b"X-One: a\r\n")
                await asyncio.sleep(0.05)
        assert await end == b""
        assert await silent.rest() == b""
    await check_up(network)


async def test_half_open_connections_leave_nothing_behind(network: Network) -> None:
    """Peers that connect and never greet, that leave in the middle of a request, and that close one direction only."""
    host, _, port = network.url.removeprefix("https://").rpartition(":")
    loop = asyncio.get_running_loop()
    mute = [socket.socket() for _ in range(40)]
    for one in mute:
        one.setblocking(False)
        await loop.sock_connect(one, (host, int(port)))
    for number in range(20):
        async with wired(network) as wire:
            wire.writer.write(b"GET /checkpoint HTTP/1.1\r\nHo"[: 5 + number])
            await wire.writer.drain()
    await check_up(network)
    for one in mute:
        one.close()
    await network.session.close()
    await eventually(lambda: server_of(network).open_connections == 0, "every connection is gone")
