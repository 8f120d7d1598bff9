"""What we change in aiohttp's connections: our own error answers, no inflating of bodies, a cap on connections.

A connection that asks to speak another protocol ends after its answer: what follows such a request need not be HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader

    Dispatch = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
    Unreadable = Callable[[web.BaseRequest, int, BaseException | None], web.Response]

KEEPALIVE_SECONDS = 90.0
READ_BUFFER = 64 * 1024


class Connection(RequestHandler):
    """One connection. What cannot be parsed as HTTP is answered like every other error."""

    __slots__ = ("_unreadable",)

    def __init__(self, server: ConnectionServer, unreadable: Unreadable, **options: Any) -> None:
        super().__init__(server, **options)
        self._unreadable = unreadable

    @property
    def busy(self) -> bool:
        """Tell whether a request is being read or answered."""
        return self._current_request is not None or bool(self._messages)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - the parser's words stay in the log
    ) -> web.StreamResponse:
        """Return a problem document; the connection closes after it. Raises `ConnectionError` when part of an answer is out."""
        if request.writer.output_size > 0:
            raise ConnectionError("part of the answer is already sent")
        answer = self._unreadable(request, status, exc)
        answer.force_close()
        return answer


class ConnectionServer(web.Server):
    """Makes connections, at most `cap` at a time; one more is cut at once, before its TLS handshake costs anything.

    One that has not sent a whole request after `keepalive_seconds` is ended, however often it sends a little.
    """

    def __init__(self, dispatch: Dispatch, unreadable: Unreadable, *, cap: int, body_cap: int) -> None:
        super().__init__(dispatch, request_factory=self._make)
        self._unreadable = unreadable
        self._cap = cap
        self.keepalive_seconds = KEEPALIVE_SECONDS
        self._body_cap = body_cap

    def __call__(self) -> RequestHandler:
        """Return the protocol of a new connection."""
        return Connection(
            self,
            self._unreadable,
            loop=self._loop,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=self.keepalive_seconds,
            read_bufsize=READ_BUFFER,
        )

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Count the connection, and cut it when it is one too many."""
        super().connection_made(handler, transport)
        if len(self._connections) > self._cap:
            transport.abort()

    def close_idle(self) -> int:
        """Close the connections that have no request under way; return how many have one."""
        busy = 0
        for connection in self.connections:
            if isinstance(connection, Connection) and connection.busy:
                busy += 1
            else:
                connection.close()
        return busy

    def _make(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        if message.upgrade:
            protocol.close()
        return web.BaseRequest(message, payload, protocol, writer, task, self._loop, client_max_size=self._body_cap)
