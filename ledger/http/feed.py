"""The feed: what `GET /v1/watch` sends, encoded once a head and written to every follower.

Server-sent events, LF only, `data` one line of JSON:

    id: <size>                                     id: <size>
    event: entries                                 event: head
    data: {"start":N,"entries":["<base64>",…]}     data: {"size":N,"checkpoint":"<note>"}

A follower gets every entry from its start on, in order, then heads. Nothing runs per follower while it is *live*: the
hub writes the same bytes to each transport. A follower that is behind (it begins, it reads slowly, or a delta is too large to
be kept in memory for each) is woken and *catches up* by itself, page by page, as fast as it reads. One that does not read
is cut. A stream ends with its token, and when the hub closes.

Thousands of followers may not starve those who publish. A head goes to a few at once and to more in turns, between which
other requests are answered. Deliveries rest for some times as long as they took: at the end, or after each turn once more was
published meanwhile, which goes out together. A publish that comes alone does not wait for that rest. Followers that are
behind while the log grows take turns at the same rate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from ledger.core.limits import LIMITS
from ledger.http.frames import SignedHead, chunk, entries_event, first_bytes, head_event

DELTA_BYTES = 64 * 1024
PAGE_ENTRIES = 64
PAGE_BYTES = 256 * 1024
BUFFER_BYTES = 128 * 1024
STALL_SECONDS = 30.0
FOLLOWERS_A_TURN = 128
REST = 6.0  # for how many times as long as they took deliveries leave the event loop to others
GROWING_SECONDS = 0.5  # so long after a publish the log counts as growing
LEAST_REST_SECONDS = 0.005
PAGES_KEPT = 4
HEARTBEAT = b":\n\n"
FEED_HEADERS: Mapping[str, str] = MappingProxyType(
    {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
)

ReadEntries = Callable[[int, int], Awaitable[Sequence[bytes]]]


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


class Drain(Protocol):
    """The way to a peer (`aiohttp.abc.AbstractStreamWriter` has this)."""

    async def drain(self) -> None:
        """Wait until the peer has read most of what was written. Raises `ConnectionError` when it is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Delivery:
    """What goes to everyone who is live: the newest head, and the entries before it unless they are too many."""

    head: SignedHead
    start: int
    renewal: bytes
    delta: bytes | None


class Pending:
    """The entries that were published and not delivered yet, as long as they are few."""

    def __init__(self) -> None:
        self._start = 0
        self._entries: list[bytes] = []
        self._octets = 0
        self._broken = False
        self.waiting = False

    def add(self, start: int, entries: Sequence[bytes], size: int) -> None:
        """Note a head of `size` and its entries; ones that do not lead up to it, and too many, are left to the store."""
        if not self.waiting:
            self._start, self._entries, self._octets, self._broken, self.waiting = start, [], 0, False, True
        self._octets += sum(map(len, entries))
        fits = start == self._start + len(self._entries) and start + len(entries) == size and self._octets <= DELTA_BYTES
        if self._broken or not fits:
            self._broken, self._entries = True, []
        else:
            self._entries += entries

    def take(self, head: SignedHead) -> Delivery:
        """Return what is to be delivered now, encoded once."""
        self.waiting = False
        news = bool(self._entries) and not self._broken
        delta = chunk(entries_event(self._start, self._entries) + head_event(head)) if news else None
        return Delivery(head, self._start, chunk(head_event(head)), delta)


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
        self._pending = Pending()
        self._pages: dict[int, tuple[int, bytes]] = {}
        self._turn = asyncio.Lock()
        self._debt = 0.0
        self._grew = 0.0
        self._alone = asyncio.Event()
        self._closed = False
        self._timer: asyncio.Task[None] | None = None
        self._delivering: asyncio.Task[None] | None = None

    @property
    def followers(self) -> int:
        """Return how many streams are open."""
        return len(self._followers)

    def publish(self, head: SignedHead, start: int, entries: Sequence[bytes]) -> None:
        """Send what a new head brings: `entries` from `start` on, and the note.

        A renewed note has no entries. Where `entries` do not reach the head, followers read what is missing from the store.
        """
        self._note(head)
        if not self._live and self._delivering is None:
            return
        self._pending.add(start, entries, head.size)
        if self._delivering is not None or self._closed:
            return
        if len(self._live) <= FOLLOWERS_A_TURN:
            self._give(self._pending.take(head), list(self._live))
        else:
            self._delivering = asyncio.get_running_loop().create_task(self._deliver(), name="feed-delivery")

    def move(self, head: SignedHead) -> None:
        """Stand at a head without a note, which a chain ordered and may take back: there is no feed of it, and streams end."""
        self._note(head)
        for follower in list(self._followers):
            follower.end()

    def _note(self, head: SignedHead) -> None:
        if head.size > self.head.size:
            now = asyncio.get_running_loop().time()
            if now - self._grew > GROWING_SECONDS:
                self._alone.set()
            self._grew = now
        elif head.size < self.head.size:
            self._pages.clear()
        self.head = head

    async def _deliver(self) -> None:
        """Deliver in turns until nothing is pending, with rests."""
        loop = asyncio.get_running_loop()
        try:
            while self._pending.waiting:
                delivery, followers, owed = self._pending.take(self.head), list(self._live), 0.0
                self._alone.clear()
                for first in range(0, len(followers), FOLLOWERS_A_TURN):
                    begin = loop.time()
                    self._give(delivery, followers[first : first + FOLLOWERS_A_TURN])
                    rest = (loop.time() - begin) * REST
                    growing = self._pending.waiting
                    owed += 0.0 if growing else rest
                    await self._leave_loop(rest if growing else 0.0)
                await self._leave_loop(owed)
        finally:
            self._delivering = None

    async def _leave_loop(self, seconds: float) -> None:
        """Leave the event loop to others: for so long, or until a publish comes alone; one turn at least."""
        if not seconds or self._alone.is_set():
            await asyncio.sleep(0)
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._alone.wait(), seconds)

    def _give(self, delivery: Delivery, followers: Sequence[Follower]) -> None:
        """Write to those of `followers` that are live still. One that caught up by itself meanwhile is not sent back."""
        size = delivery.head.size
        for follower in followers:
            if follower not in self._live or follower.position > size:
                continue
            if follower.position == size:
                self._write(follower, delivery.renewal)
            elif delivery.delta is not None and follower.position == delivery.start:
                if self._write(follower, delivery.delta):
                    follower.position = size
            else:
                self._live.discard(follower)
                follower.wake()

    def _write(self, follower: Follower, frame: bytes) -> bool:
        """Write a frame to a live follower, unless it is gone or does not read as fast: then it has to catch up by itself."""
        transport = follower.transport
        if follower.ended or transport.is_closing():
            self._live.discard(follower)
            follower.end()
            return False
        if transport.get_write_buffer_size() > BUFFER_BYTES:
            self._live.discard(follower)
            follower.wake()
            return False
        transport.write(frame)
        return True

    def recheck(self, identities: Container[str] | None = None) -> None:
        """End the streams of those who may read no more: of these members and invites, or of all. Call it when rights may have changed."""
        for follower in list(self._followers):
            if (identities is None or follower.identity in identities) and not follower.valid:
                follower.end()

    async def follow(self, drain: Drain, follower: Follower) -> None:
        """Serve a stream whose headers are sent until its follower ends. Raises `ConnectionError` when the peer is gone."""
        self._followers.add(follower)
        self._start_timer()
        try:
            while not (follower.ended or self._closed):
                await self._catch_up(drain, follower)
                if not (follower.ended or self._closed):
                    self._live.add(follower)
                    await follower.sleep()
        finally:
            self._live.discard(follower)
            self._followers.discard(follower)

    async def _catch_up(self, drain: Drain, follower: Follower) -> None:
        """Send pages until the follower stands at the head, then the note. There is no await between the last look and the return."""
        sent: SignedHead | None = None
        while True:
            await self._drained(drain, follower)
            if follower.ended or self._closed or follower.transport.is_closing():
                follower.end()
                return
            if follower.position >= self.head.size and sent is self.head:
                return
            async with self._turn:
                sent = await self._step(follower)

    async def _step(self, follower: Follower) -> SignedHead | None:
        """Write one page, or the head that was reached, which is returned; rest then if the log grows."""
        head = self.head
        behind = follower.position < head.size
        page = await self._page(follower.position, head.size) if behind else None
        if follower.ended or follower.transport.is_closing():
            return None
        begin = asyncio.get_running_loop().time()
        if page is None:
            follower.transport.write(chunk(head_event(head)))
        else:
            follower.position, frame = page
            follower.transport.write(frame)
        await self._rest(begin)
        return None if behind else head

    async def _rest(self, begin: float) -> None:
        """Rest for what was done since `begin`, together with what was done before, while the log grows."""
        now = asyncio.get_running_loop().time()
        if now - self._grew > GROWING_SECONDS:
            self._debt = 0.0
            return
        self._debt += (now - begin) * REST
        if self._debt > LEAST_REST_SECONDS:
            owed, self._debt = self._debt, 0.0
            await asyncio.sleep(owed)

    async def _drained(self, drain: Drain, follower: Follower) -> None:
        try:
            async with asyncio.timeout(self._stall_seconds):
                await drain.drain()
        except TimeoutError as error:
            follower.transport.abort()
            raise ConnectionResetError("a follower does not read") from error

    async def _page(self, start: int, size: int) -> tuple[int, bytes]:
        """Return where the page from `start` on ends, and the page encoded. Followers at one place share it."""
        kept = self._pages.get(start)
        if kept is not None:
            return kept
        end = min(size, start + self._entries_a_page - start % self._entries_a_page)
        entries = first_bytes(await self._read(start, end), PAGE_BYTES)
        page = start + len(entries), chunk(entries_event(start, entries))
        self._pages[start] = page
        while len(self._pages) > PAGES_KEPT:
            del self._pages[next(iter(self._pages))]
        return page

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
        tasks = [task for task in (timer, self._delivering) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for follower in list(self._followers):
            follower.end()
