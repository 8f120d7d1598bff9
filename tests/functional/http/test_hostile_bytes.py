"""What somebody without any right may send: refused by a domain error, before it costs memory."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.support.masters import trusting

if TYPE_CHECKING:
    from tests.support.masters import Network

CHUNK = 64 * 1024
ENDLESS = 64


def encode(part: bytes) -> str:
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


@pytest.mark.parametrize("path", ["/v1/token", "/v1/checkpoints"])
async def test_endless_body_is_refused_at_the_cap_of_its_route(network: Network, path: str) -> None:
    host, _, port = network.url.removeprefix("https://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), ssl=await asyncio.to_thread(trusting, network.home))
    kind = "text/plain" if path == "/v1/checkpoints" else "application/x-www-form-urlencoded"
    writer.write(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
    sent = 0
    while not answer.done() and sent < ENDLESS:
        writer.write(b"%x\r\n%b\r\n" % (CHUNK, b"a" * CHUNK))
        await asyncio.sleep(0.02)
        sent += 1
    assert (await answer).startswith(b"HTTP/1.1 413")
    assert sent < ENDLESS // 4
    writer.close()


HEADERS = [
    b'{"alg":"EdDSA","kid":"\\ud800"}',
    b'{"alg":"EdDSA","kid":"a\\u0000b"}',
    b'{"alg":"EdDSA","kid":[]}',
    b'{"alg":"none"}',
    b"[" * 2_800,
    b'{"alg":"EdDSA","kid":' + b"9" * 2_500 + b"}",
    b"\xff",
]


@pytest.mark.parametrize("header", HEADERS)
async def test_token_of_any_form_is_no_failure_of_ours(network: Network, header: bytes) -> None:
    token = f"{encode(header)}.{encode(orjson.dumps({'iss': 'x'}))}.{encode(bytes(64))}"
    assert (await network.ask_token(token)).status == 401
    assert (await network.get("/v1/status", headers={"Authorization": f"Bearer {token}"})).status == 401
    assert not [line for line in network.lines() if line["level"] == "error"]
