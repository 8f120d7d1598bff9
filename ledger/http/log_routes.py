"""The log over HTTP: checkpoint, tiles and entry bundles (C2SP tlog-tiles), ranges of entries, the feed.

Only what a signed size covers is served. Tiles, bundles and ranges inside that size never change, so they are
`immutable`; `public` only on a server that everyone may read, else `private`. The checkpoint is asked for again each
time (`no-cache`), which costs one 304 while nothing changed.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, TypeVar

import zstandard
from aiohttp import HttpVersion11, web

from ledger.core.errors import FormatError, LedgerError, NotFoundError, UnsupportedError, UsageError
from ledger.core.limits import LIMITS
from ledger.core.tiles import frame, parse_tile_path, tile_hashes
from ledger.http.call import Call, bytes_response, parse_number
from ledger.http.feed import FEED_HEADERS, Follower, Hub
from ledger.http.problem import Refusal
from ledger.http.routes import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ledger.core.ports import Clock
    from ledger.core.tiles import TilePath
    from ledger.engine.snapshot import Snapshot
    from ledger.http.server import Authorizer

T = TypeVar("T")

NOTE_TYPE = "text/plain; charset=utf-8"
BYTES_TYPE = "application/octet-stream"
YEAR = 31_536_000
COMPRESS_ABOVE = 1024
ZSTD_LEVEL = 3
GZIP_LEVEL = 6
WAITING_BYTES = 64 * 1024
BUNDLE_BYTES = 256 * (LIMITS.entry + 2)


class Reads(Protocol):
    """Reads of the store, off the event loop (`ledger.engine.store.Store` has this)."""

    async def read(self, work: Callable[[Snapshot], T]) -> T:
        """Run `work` on one snapshot of the store."""
        ...


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who may read, and so who may keep copies."""

    public: bool

    @property
    def scopes(self) -> tuple[str, ...]:
        """Return the scopes that the log routes ask for."""
        return () if self.public else ("read",)

    @property
    def lasting(self) -> str:
        """Return the Cache-Control of what never changes."""
        return f"{'public' if self.public else 'private'}, max-age={YEAR}, immutable"

    @property
    def passing(self) -> str:
        """Return the Cache-Control of what may change."""
        return "no-cache" if self.public else "private, no-cache"


class LogRoutes:
    """Serves one log."""

    def __init__(self, hub: Hub, reads: Reads, sharing: Sharing, authorizer: Authorizer, clock: Clock) -> None:
        self._hub = hub
        self._reads = reads
        self._sharing = sharing
        self._authorizer = authorizer
        self._clock = clock

    def routes(self) -> tuple[Route, ...]:
        """Return the routes."""
        scopes = self._sharing.scopes
        span = {"start": "first index", "end": "index after the last"}
        return (
            Route("GET", "/checkpoint", self.checkpoint, "The newest signed note (C2SP).", gives="text/plain", also={304: ""}),
            Route("GET", "/tile/{path*}", self.tile, "A hash tile or entry bundle (C2SP tlog-tiles).", scopes, gives=BYTES_TYPE),
            Route("GET", "/v1/entries", self.entries, "Entries of a range, framed as in bundles.", scopes, query=span, gives=BYTES_TYPE),
            Route(
                "GET",
                "/v1/watch",
                self.watch,
                "Server-sent events: entries from `start` on, and every new head.",
                scopes,
                query={"start": "first index wanted; the present size if absent"},
                gives="text/event-stream",
            ),
        )

    async def checkpoint(self, call: Call) -> web.Response:
        """Answer the newest note, or 304."""
        head = self._hub.head
        if not head.note:
            raise NotFoundError("this log has no checkpoint: it has no entry yet, or a chain orders it")
        headers = {"ETag": head.etag, "Cache-Control": "no-cache"}
        known = call.header("If-None-Match")
        if known is not None and (known == head.etag or head.etag in (part.strip() for part in known.split(","))):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        return web.Response(body=head.note, headers={"Content-Type": NOTE_TYPE, **headers})

    async def tile(self, call: Call) -> web.Response:
        """Answer a tile or bundle of the signed size. Anything but its one spelling is 404."""
        call.only()
        try:
            path = parse_tile_path("tile/" + call.params[0])
        except FormatError as error:
            raise Refusal(HTTPStatus.NOT_FOUND, "not-found", "this is not the path of a tile") from error
        size = self._signed_size()
        if path.level is not None:
            hashes = await self._reads.read(lambda snapshot: tile_hashes(snapshot, path, size))
            return bytes_response(hashes, BYTES_TYPE, cache=self._sharing.lasting)
        if path.end > size:
            raise NotFoundError(f"a log of size {size} has no {path.text}")
        coding = accepted_coding(call.header("Accept-Encoding"))
        body, headers = await self._reads.read(lambda snapshot: bundle(snapshot, path, coding))
        return bytes_response(body, BYTES_TYPE, cache=self._sharing.lasting, headers=headers)

    async def entries(self, call: Call) -> web.Response:
        """Answer entries `start … end-1`, at most a page; never none."""
        call.only("start", "end")
        size = self._signed_size()
        start = call.number("start")
        end = call.number("end", size)
        if end <= start and "end" in call.query():
            raise UsageError("end must be larger than start")
        if start >= size:
            raise NotFoundError(f"the log has {size} entries: there is none at {start}", size=size)
        coding = accepted_coding(call.header("Accept-Encoding"))
        body, headers = await self._reads.read(lambda snapshot: span(snapshot, start, min(end, size), coding))
        lasting = end <= size and "end" in call.query()
        return bytes_response(body, BYTES_TYPE, cache=self._sharing.lasting if lasting else "no-store", headers=headers)

    async def watch(self, call: Call) -> web.StreamResponse:
        """Stream the feed until the token ends, the peer goes or the server drains."""
        call.only("start")
        self._signed_size()
        if call.request.version < HttpVersion11:
            raise UsageError("the feed needs HTTP/1.1")
        if call.request.method == "HEAD":
            return web.Response(headers=FEED_HEADERS)
        identity = "" if call.principal is None else call.principal.id
        follower = Follower(self._transport(call), self._position(call), lambda: self._may_read(call), identity=identity)
        response = web.StreamResponse(headers={**FEED_HEADERS, "X-Request-Id": call.request_id, "Server": "metaledger"})
        response.enable_chunked_encoding()
        timer = self._end_with_token(call, follower)
        try:
            writer = await response.prepare(call.request)
            if writer is None:
                raise ConnectionResetError("the peer is gone")
            writer.send_headers()
            bound_buffers(follower.transport)
            await self._hub.follow(writer, follower)
        except LedgerError as error:
            follower.transport.abort()
            raise ConnectionResetError("the feed broke: its entries cannot be read") from error
        finally:
            if timer is not None:
                timer.cancel()
        return response

    def _signed_size(self) -> int:
        """Return the size up to which entries never change. UnsupportedError for a log that a chain orders, which no note vouches for."""
        head = self._hub.head
        if head.size and not head.note:
            raise UnsupportedError(
                "a chain orders this log: no note says that what is handed on is whole, and its end may be undone",
                advice="Read it from the chain's own providers, and the state from here.",
            )
        return head.size

    def _may_read(self, call: Call) -> bool:
        return call.principal is None or self._authorizer.still(call)

    def _end_with_token(self, call: Call, follower: Follower) -> asyncio.TimerHandle | None:
        if call.principal is None or not call.principal.expires:
            return None
        left = max(0.0, call.principal.expires - self._clock.now())
        return asyncio.get_running_loop().call_later(left, follower.end)

    def _position(self, call: Call) -> int:
        size = self._hub.head.size
        resumed = call.header("Last-Event-ID")
        start = call.number("start", size) if resumed is None else parse_number("Last-Event-ID", resumed)
        if start > size:
            raise NotFoundError(f"the log has {size} entries: it cannot be watched from {start}", size=size)
        return start

    def _transport(self, call: Call) -> asyncio.WriteTransport:
        transport = call.request.transport
        if transport is None:
            raise ConnectionResetError("the peer is gone")
        return transport


def bound_buffers(transport: asyncio.WriteTransport) -> None:
    """Let little wait for a peer that does not read, here and in the kernel."""
    transport.set_write_buffer_limits(high=WAITING_BYTES)
    transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, WAITING_BYTES)


def bundle(snapshot: Snapshot, path: TilePath, coding: str | None) -> tuple[bytes, Mapping[str, str]]:
    """Return an entry bundle, coded, and its headers."""
    entries = snapshot.entries(path.start, path.end, most=path.width, most_bytes=BUNDLE_BYTES)
    return coded(frame(entries), coding)


def span(snapshot: Snapshot, start: int, end: int, coding: str | None) -> tuple[bytes, Mapping[str, str]]:
    """Return a range of entries, coded, and its headers."""
    entries = snapshot.entries(start, end)
    return coded(frame(entries), coding)


def accepted_coding(header: str | None) -> str | None:
    """Return the best coding that an Accept-Encoding header takes: zstd, gzip or none."""
    if header is None:
        return None
    named = {}
    for part in header.lower().split(","):
        name, _, weight = part.partition(";")
        named[name.strip()] = weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return next((coding for coding in ("zstd", "gzip") if named.get(coding)), None)


def coded(body: bytes, coding: str | None) -> tuple[bytes, Mapping[str, str]]:
    """Return `body` under `coding` when that is worth it, and the headers that say so."""
    headers = {"Vary": "Accept-Encoding"}
    if coding is None or len(body) < COMPRESS_ABOVE:
        return body, headers
    packed = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(body) if coding == "zstd" else gzip.compress(body, GZIP_LEVEL, mtime=0)
    return packed, {**headers, "Content-Encoding": coding}
