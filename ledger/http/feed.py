"""The feed: what `GET /v1/watch` sends, encoded once a head and written to every follower.

Server-sent events, LF only, `data` one line of JSON:

    id: <size>                                     id: <size>
    event: entries                                 event: head
    data: {"start":N,"entries":["<base64>",…]}     data: {"size":N,"checkpoint":"<note>"}

A follower gets every entry from its start on, in order, then heads. Nothing runs per follower while it is *live*: the
hub writes the same bytes to each transport. A follower that is behind (it begins, or a delta is too large to be kept in
memory for each) is woken and *catches up* by itself, page by page, as fast as it reads. One that does not read is cut.
A stream ends with its token, and when the hub closes.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING

import orjson

from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from aiohttp import web

DELTA_BYTES = 64 * 1024
PAGE_ENTRIES = 256
BUFFER_BYTES = 1024 * 1024
STALL_SECONDS = 30.0
ETAG_BYTES = 15
FOLLOWERS_A_TURN = 256
HEARTBEAT = b":\n\n"
FEED_HEADERS: Mapping[str, str] = MappingProxyType(
    {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
)

ReadEntries = Callable[[int, int], Awaitable[Sequence[bytes]]]


@dataclass(frozen=True)
class SignedHead:
    """The newest note that left, and the size it is for."""

    size: int
    note: bytes

    @cached_property
    def etag(self) -> str:
        """Return the entity tag: a hash of the note's bytes, since a renewed note has the same size and root."""
        return '"' + base64.urlsafe_b64encode(sha256(self.note).digest()[:ETAG_BYTES]).decode() + '"'


def entries_event(start: int, entries: Sequence[bytes]) -> bytes:
    """Return the event that carries `entries`, the first of which has index `start`."""
    body = orjson.dumps({"start": start, "entries": [base64.b64encode(entry).decode() for entry in entries]})
    return b"id: %d\nevent: entries\ndata: %b\n\n" % (start + len(entries), body)


def head_event(head: SignedHead) -> bytes:
    """Return the event that carries the note of `head`."""
    body = orjson.dumps({"size": head.size, "checkpoint": head.note.decode()})
    return b"id: %d\nevent: head\ndata: %b\n\n" % (head.size, body)


def chunk(frame: bytes) -> bytes:
    """Return `frame` as one chunk of HTTP/1.1's chunked coding."""
    return b"%x\r\n%b\r\n" % (len(frame), frame)


class Follower:
    """One open stream. The hub writes to it while it is live; its own task writes while it catches up."""

    __slots__ = ("_valid", "_woken", "ended", "identity", "position", "transport")

    def __init__(self, transport: asyncio.WriteTransport, position: int, valid: Callable[[], bool], *, identity: str = "") -> None:
        self.transport = transport
        self.identity = identity
        self.position = position
        self.ended = False
        self._valid = valid
        self._woken = asyncio.Event()

    @property
    def valid(self) -> bool:
        """Return whether the one who opened the stream may still read."""
        return self._valid()

    def wake(self) -> None:
        """Let the follower's task run: it is behind, or its stream ends."""
        self._woken.set()

    def end(self) -> None:
        """Close the stream at its next step."""
        self.ended = True
        self._woken.set()

    async def sleep(self) -> None:
        """Wait until `wake` or `end`."""
        await self._woken.wait()
        self._woken.clear()


class Hub:
    """Delivers heads and new entries to the followers of one log. `publish` and everything else run in the event loop."""

    def __init__(
        self,
        head: SignedHead,
        read: ReadEntries,
        *,
        heartbeat_seconds: float = LIMITS.heartbeat_seconds,
        stall_seconds: float = STALL_SECONDS,
        page: int = PAGE_ENTRIES,
    ) -> None:
        self.head = head
        self._read = read
        self._heartbeat_seconds = heartbeat_seconds
        self._stall_seconds = stall_seconds
        self._entries_a_page = page
        self._live: set[Follower] = set()
        self._followers: set[Follower] = set()
        self._closed = False
        self._timer: asyncio.Task[None] | None = None

    @property
    def followers(self) -> int:
        """Return how many streams are open."""
        return len(self._followers)

    def publish(self, head: SignedHead, start: int, entries: Sequence[bytes]) -> None:
        """Send what a new head brings: `entries` from `start` on, and the note.

        A renewed note has no entries. Where `entries` do not reach the head, followers read what is missing from the store.
        """
        self.head = head
        if not self._live:
            return
        renewal = chunk(head_event(head))
        whole = start + len(entries) == head.size and sum(map(len, entries)) <= DELTA_BYTES
        delta = chunk(entries_event(start, entries) + head_event(head)) if entries and whole else None
        for follower in list(self._live):
            if follower.position >= head.size:
                self._write(follower, renewal)
            elif delta is not None and follower.position == start:
                if self._write(follower, delta):
                    follower.position = head.size
            else:
                self._live.discard(follower)
                follower.wake()

    def _write(self, follower: Follower, frame: bytes) -> bool:
        transport = follower.transport
        if follower.ended or transport.is_closing():
            self._live.discard(follower)
            follower.end()
            return False
        if transport.get_write_buffer_size() > BUFFER_BYTES:
            self._live.discard(follower)
            follower.end()
            transport.abort()
            return False
        transport.write(frame)
        return True

    def recheck(self, identities: Container[str] | None = None) -> None:
        """End the streams of those who may read no more: of these members and invites, or of all. Call it when rights may have changed."""
        for follower in list(self._followers):
            if (identities is None or follower.identity in identities) and not follower.valid:
                follower.end()

    async def follow(self, response: web.StreamResponse, follower: Follower) -> None:
        """Serve a prepared, chunked `response` until its follower ends. Raises `ConnectionError` when the peer is gone."""
        self._followers.add(follower)
        self._start_timer()
        try:
            while not (follower.ended or self._closed):
                await self._catch_up(response, follower)
                if not (follower.ended or self._closed):
                    self._live.add(follower)
                    await follower.sleep()
        finally:
            self._live.discard(follower)
            self._followers.discard(follower)

    async def _catch_up(self, response: web.StreamResponse, follower: Follower) -> None:
        """Send pages until the follower stands at the head, then the note. There is no await between the last look and the return."""
        sent: SignedHead | None = None
        while not (follower.ended or self._closed):
            head = self.head
            if follower.position >= head.size and sent is head:
                return
            if follower.position >= head.size:
                frame, sent = head_event(head), head
            else:
                entries = await self._page(follower.position, head.size)
                frame = entries_event(follower.position, entries)
                follower.position += len(entries)
            await self._send(response, follower, frame)

    async def _send(self, response: web.StreamResponse, follower: Follower, frame: bytes) -> None:
        try:
            async with asyncio.timeout(self._stall_seconds):
                await response.write(frame)
        except TimeoutError as error:
            follower.transport.abort()
            raise ConnectionResetError("a follower does not read") from error

    async def _page(self, start: int, size: int) -> Sequence[bytes]:
        return await self._read(start, min(size, start + self._entries_a_page))

    def _start_timer(self) -> None:
        if self._timer is None and not self._closed:
            self._timer = asyncio.get_running_loop().create_task(self._beat(), name="feed-heartbeat")

    async def _beat(self) -> None:
        beat = chunk(HEARTBEAT)
        while True:
            await asyncio.sleep(self._heartbeat_seconds)
            for number, follower in enumerate(list(self._followers), 1):
                if not follower.valid:
                    follower.end()
                elif follower in self._live:
                    self._write(follower, beat)
                if number % FOLLOWERS_A_TURN == 0:
                    await asyncio.sleep(0)

    async def close(self) -> None:
        """End every stream; idempotent."""
        self._closed = True
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            await asyncio.gather(timer, return_exceptions=True)
        for follower in list(self._followers):
            follower.end()
