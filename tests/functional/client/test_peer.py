"""Who a client talks to: a server's name is known before anything is said to it."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
import pytest
import zstandard

from auth.pki import CertificateAuthority, encode_tls_key, make_request, new_tls_key, parse_request
from auth.tls import client_context
from ledger.client.transport import Transport
from ledger.core.errors import FormatError, UnreachableError
from ledger.home.clock import SystemClock
from ledger.home.files import create_file

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

DAY = 86_400


@dataclass
class Impostor:
    """A TLS server that writes down all it hears. It answers every request in the same way, and sells tokens of its own name."""

    name: str
    port: int = 0
    heard: list[bytes] = field(default_factory=list)
    answer: bytes = b"{}"
    coding: str = ""
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
                self.heard.append(head + await reader.readexactly(length))
                sold = orjson.dumps({"access_token": f"token-of-{self.name}", "expires_in": 900})
                body = sold if b"/v1/token" in head else self.answer
                coding = f"Content-Encoding: {self.coding}\r\n" if self.coding else ""
                writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{coding}\r\n".encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()


class World:
    """A CA, and servers of any name under it at one host."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._ca = CertificateAuthority.create("net CA", SystemClock().now())
        self.context = client_context(self._ca.certificate)

    def _context(self, name: str, days: int) -> ssl.SSLContext:
        key = new_tls_key()
        issued = self._ca.issue(parse_request(make_request(key, name, ["127.0.0.1"])), SystemClock().now() + days * DAY)
        files = self._place / f"{name}.pem", self._place / f"{name}.key"
        create_file(files[0], issued.chain)
        create_file(files[1], encode_tls_key(key))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        return context

    @asynccontextmanager
    async def server(self, name: str, port: int = 0, *, days: int = 0) -> AsyncIterator[Impostor]:
        """Serve with a certificate that was issued so many days from now."""
        impostor = Impostor(name)
        context = await asyncio.to_thread(self._context, name, days)
        server = await asyncio.start_server(impostor.serve, "127.0.0.1", port, ssl=context)
        impostor.port = int(server.sockets[0].getsockname()[1])
        try:
            yield impostor
        finally:
            server.close()
            for writer in impostor.writers:
                writer.close()


@dataclass(frozen=True)
class Named:
    """Assertions that only say for which server they are."""

    scope: str = ""

    def assertion(self, server: str) -> str:
        return f"assertion-for-{server}"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_server_of_another_name_hears_nothing(world: World) -> None:
    async with world.server("node-7") as impostor:
        pinned = Transport(f"https://127.0.0.1:{impostor.port}", context=world.context, assertions=Named(), expected="master")
        async with pinned:
            with pytest.raises(UnreachableError, match="is node-7, not master"):
                await pinned.get("/v1/entries?start=0")
            with pytest.raises(UnreachableError, match="is node-7, not master"):
                await pinned.post("/v1/entries", b"secret plans", "text/plain")
            with pytest.raises(UnreachableError, match="is node-7, not master"):
                [chunk async for chunk in pinned.stream("/v1/watch", headers={}, idle_seconds=5)]
        assert impostor.heard == []


@pytest.mark.parametrize(("days", "said"), [(-200, "expired"), (20, "not yet valid")])
async def test_a_certificate_out_of_its_time_sends_people_to_their_clock(world: World, days: int, said: str) -> None:
    async with world.server("master", days=days) as server:
        async with Transport(f"https://127.0.0.1:{server.port}", context=world.context) as visitor:
            with pytest.raises(UnreachableError, match=said) as caught:
                await visitor.get("/checkpoint")
        assert caught.value.hint.startswith("Check this machine's clock")
        assert server.heard == []


async def test_pinned_server_is_served(world: World) -> None:
    async with (
        world.server("master") as server,
        Transport(f"https://127.0.0.1:{server.port}", context=world.context, assertions=Named(), expected="master") as pinned,
    ):
        assert (await pinned.get("/v1/entries?start=0")).status == 200
        assert b"assertion-for-master" in server.heard[1]
        assert b"Bearer token-of-master" in server.heard[2]


async def test_token_of_one_server_is_not_shown_to_the_next(world: World) -> None:
    async with world.server("a") as first:
        transport = Transport(f"https://127.0.0.1:{first.port}", context=world.context, assertions=Named())
        await transport.get("/v1/entries?start=0")
        assert b"Bearer token-of-a" in first.heard[-1]
    async with transport, world.server("b", first.port) as second:
        await asyncio.sleep(0.05)  # the connections that the first server closed are gone
        await transport.get("/v1/entries?start=0")
        heard = b"".join(second.heard)
        assert b"token-of-a" not in heard
        assert b"assertion-for-b" in heard
        assert b"Bearer token-of-b" in heard
        assert transport.server == "b"


async def test_password_of_netrc_is_never_sent(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    await asyncio.to_thread(create_file, netrc, b"machine 127.0.0.1 login operator password hunter2\ndefault login x password hunter3\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with (
        world.server("master") as server,
        Transport(f"https://127.0.0.1:{server.port}", context=world.context, assertions=Named()) as transport,
    ):
        await transport.get("/checkpoint", private=False)
        await transport.get("/v1/entries?start=0")
        assert server.heard
        assert not [request for request in server.heard if b"Basic" in request]


async def test_answer_in_a_coding_nobody_asked_for_is_refused(world: World) -> None:
    async with world.server("master") as server, Transport(f"https://127.0.0.1:{server.port}", context=world.context) as transport:
        server.answer, server.coding = await asyncio.to_thread(gzip.compress, bytes(50_000_000)), "gzip"
        with pytest.raises(FormatError, match="not asked for"):
            await transport.get("/checkpoint", private=False)


async def test_answer_in_the_coding_asked_for_is_unpacked(world: World) -> None:
    async with world.server("master") as server, Transport(f"https://127.0.0.1:{server.port}", context=world.context) as transport:
        server.answer, server.coding = await asyncio.to_thread(zstandard.compress, b"entry" * 200_000), "zstd"
        reply = await transport.get("/v1/entries", headers={"Accept-Encoding": "zstd"}, private=False)
        assert (reply.body, reply.received) == (b"entry" * 200_000, len(server.answer))
