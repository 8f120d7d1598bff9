"""Answers that leave in one write: what stands on the wire, and what may not."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import HttpVersion10
from aiohttp.test_utils import make_mocked_request

from ledger.http.whole import WholeResponse


class Wire(asyncio.Transport):
    """A transport that remembers each write."""

    def __init__(self, *, closing: bool = False) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self._closing = closing

    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append(bytes(data))


async def send(answer: WholeResponse, *, last: bool = False) -> bytes:
    wire = Wire()
    await answer.prepare(make_mocked_request("POST", "/v1/entries", transport=wire, closing=last))
    await answer.write_eof()
    (sent,) = wire.sent
    return sent


async def test_head_and_body_leave_in_one_write() -> None:
    answer = WholeResponse(status=201, body=b"abc", headers={"Content-Type": "text/plain", "Location": "/here"})
    head, _, body = (await send(answer)).partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    assert first == b"HTTP/1.1 201 Created"
    assert lines[:3] == [b"Content-Type: text/plain", b"Location: /here", b"Content-Length: 3"]
    assert lines[3].startswith(b"Date: ")
    assert lines[3].endswith(b" GMT")
    assert len(lines) == 4
    assert body == b"abc"
    assert answer.prepared
    assert answer.keep_alive


async def test_an_answer_that_ends_the_connection_says_so() -> None:
    answer = WholeResponse(body=b"abc")
    answer.force_close()
    assert b"\r\nConnection: close\r\n\r\nabc" in await send(answer)
    assert answer.keep_alive is False
    asked = WholeResponse(body=b"abc")
    assert b"\r\nConnection: close\r\n\r\nabc" in await send(asked, last=True)
    assert asked.keep_alive is False


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "a\0b"])
async def test_a_header_stays_one_header(value: str) -> None:
    wire = Wire()
    with pytest.raises(ValueError, match="line break"):
        await WholeResponse(body=b"abc", headers={"X": value}).prepare(make_mocked_request("POST", "/", transport=wire))
    assert wire.sent == []


async def test_a_peer_that_is_gone_is_a_lost_connection() -> None:
    wire = Wire(closing=True)
    with pytest.raises(ConnectionError):
        await WholeResponse(body=b"abc").prepare(make_mocked_request("POST", "/", transport=wire))
    assert wire.sent == []


async def test_everything_else_goes_the_common_way() -> None:
    old = make_mocked_request("POST", "/", version=HttpVersion10, transport=Wire())
    for request, body in ((old, b"abc"), (make_mocked_request("HEAD", "/", transport=Wire()), b"abc")):
        answer = WholeResponse(body=body)
        assert await answer.prepare(request) is request.writer
        await answer.write_eof()
        assert answer.headers["Content-Length"] == "3"
