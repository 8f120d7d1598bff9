"""A server whose answer never ends is given up after a bound: nobody knows of a GET, and a POST may have been done."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from auth.pki import CertificateAuthority, CertificateRequest, encode_tls_key, new_tls_key
from auth.tls import client_context
from ledger.client.wire import Wire
from ledger.core.errors import OutcomeUnknown, UnreachableError
from ledger.home.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

BOUND_SECONDS = 2.0
PAUSE_SECONDS = 0.05
ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


class Dribbler:
    """Answers any request with one byte after another, until the reader goes; remembers the requests that came whole."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.dribbled = 0
        self.left = asyncio.Event()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            lengths = [line for line in head.lower().splitlines() if line.startswith(b"content-length:")]
            self.heard.append(head + await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0))
            writer.write(ENDLESS)
            while not reader.at_eof():
                writer.write(b"x")
                self.dribbled += 1
                await writer.drain()
                await asyncio.sleep(PAUSE_SECONDS)
        self.left.set()
        writer.close()


def certified(folder: Path) -> tuple[bytes, ssl.SSLContext]:
    """Return a new CA (PEM), and the context of a server under it (blocking)."""
    now = SystemClock().now()
    authority, key = CertificateAuthority.create("slow CA", now), new_tls_key()
    (folder / "cert.pem").write_bytes(authority.issue(CertificateRequest("slow", ("127.0.0.1",), key.public_key()), now).chain)
    (folder / "key.pem").write_bytes(encode_tls_key(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return authority.certificate, context


@asynccontextmanager
async def dribbling(folder: Path) -> AsyncIterator[tuple[Dribbler, Wire]]:
    dribbler = Dribbler()
    ca, context = await asyncio.to_thread(certified, folder)
    async with await asyncio.start_server(dribbler.answer, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        trusting = await asyncio.to_thread(client_context, ca)
        wire = Wire(f"https://127.0.0.1:{port}", trusting, lambda _: None, total_seconds=BOUND_SECONDS)
        try:
            yield dribbler, wire
        finally:
            await wire.close()
        await dribbler.left.wait()


async def test_get_that_dribbles_for_ever_is_unreachable(tmp_path: Path) -> None:
    async with dribbling(tmp_path) as (dribbler, wire):
        with pytest.raises(UnreachableError, match="did not answer"):
            await wire.request("GET", "/checkpoint", headers={}, body=None)
        await dribbler.left.wait()  # the connection is given up too
    assert [request.split(b" ", 2)[:2] for request in dribbler.heard] == [[b"GET", b"/checkpoint"]]
    assert dribbler.dribbled > 1


async def test_post_that_was_sent_has_an_unknown_outcome(tmp_path: Path) -> None:
    async with dribbling(tmp_path) as (dribbler, wire):
        with pytest.raises(OutcomeUnknown, match="did not answer") as raised:
            await wire.request("POST", "/v1/entries", headers={}, body=b"an entry")
        await dribbler.left.wait()
    assert [request.endswith(b"\r\n\r\nan entry") for request in dribbler.heard] == [True]  # heard whole, once: nothing is sent again
    assert raised.value.context["operation"] == "/v1/entries"
