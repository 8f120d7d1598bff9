"""Answers that are whole when they begin: head and body leave in one write, made here.

`web.Response` does the same in three steps, over a writer that can also compress and send chunks; it stays the way of
everything but HTTP/1.1, and of answers without a body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import ClientConnectionResetError, HttpVersion11, hdrs, web
from aiohttp.helpers import rfc822_formatted_time

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter


class WholeResponse(web.Response):
    """An answer with a body of ready bytes, for GET and POST. Its headers are written as they stand."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write head and body. Raises `ConnectionError` when the peer is gone, `ValueError` for a header that would be two."""
        body = self._body
        if self.prepared or not isinstance(body, bytes) or request.version != HttpVersion11 or request.method == hdrs.METH_HEAD:
            return await super().prepare(request)
        if self._keep_alive is None:
            self._keep_alive = request.keep_alive
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ClientConnectionResetError("the peer is gone")
        transport.write(self._head(len(body)) + body)
        self._eof_sent = True
        return None

    def _head(self, length: int) -> bytes:
        lines = [f"{name}: {value}" for name, value in self._headers.items()]
        lines.append(f"Content-Length: {length}\r\nDate: {rfc822_formatted_time()}" + ("" if self._keep_alive else "\r\nConnection: close"))
        text = "\r\n".join(lines)
        breaks = len(lines) + (0 if self._keep_alive else 1)
        if text.count("\r") != breaks or text.count("\n") != breaks or "\0" in text:
            raise ValueError("a header holds a line break")
        return f"HTTP/1.1 {self._status} {self._reason}\r\n{text}\r\n\r\n".encode()
