"""The feed: encoded once a head, every entry in order, slow followers cut, streams that end."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING

import orjson
import pytest

from ledger.http import feed
from ledger.http.feed import Follower, Hub
from ledger.http.frames import SignedHead, chunk, entries_event, head_event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


class Wire(asyncio.WriteTransport):
    """A peer that keeps what it is sent. `full` is how much it has not read."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[bytes] = []
        self.full = 0
        self.closing = False
        self.aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.frames.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.full

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.aborted = self.closing = True


class Response:
    """The way to the peer of a `Wire`; `stuck` makes it never drain."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.stuck = False

    async def drain(self) -> None:
        if self.stuck:
            await asyncio.Event().wait()


class Log:
    """A growing log and its hub."""

    def __init__(self, entries: int = 0, page: int = feed.PAGE_ENTRIES) -> None:
        self.entries = [b"entry-%d" % n for n in range(entries)]
        self.reads: list[tuple[int, int]] = []
        self.hub = Hub(self.head(), self.read, heartbeat_seconds=0.02, stall_seconds=0.05, page=page)

    def head(self, clock: int = 0) -> SignedHead:
        return SignedHead(len(self.entries), b"note of %d at %d\n" % (len(self.entries), clock))

    async def read(self, start: int, end: int) -> Sequence[bytes]:
        self.reads.append((start, end))
        return self.entries[start:end]

    def grow(self, *entries: bytes) -> None:
        start = len(self.entries)
        self.entries += entries
        self.hub.publish(self.head(), start, entries)


@pytest.fixture
async def log() -> AsyncIterator[Log]:
    log = Log(3)
    yield log
    await log.hub.close()


class Opened:
    """A stream that a follower has open."""

    def __init__(self, log: Log, start: int, identity: str = "") -> None:
        self.wire = Wire()
        self.valid = True
        self.response = Response(self.wire)
        self.follower = Follower(self.wire, start, lambda: self.valid, identity=identity)
        self.task = asyncio.create_task(log.hub.follow(self.response, self.follower))

    def events(self) -> list[tuple[str, int, dict[str, object]]]:
        return [event for frame in self.wire.frames for event in parse(frame)]

    def indices(self) -> list[int]:
        found: list[int] = []
        for name, _, data in self.events():
            if name == "entries":
                entries = data["entries"]
                assert isinstance(entries, list)
                assert isinstance(data["start"], int)
                found += range(data["start"], data["start"] + len(entries))
        return found


def parse(framed: bytes) -> list[tuple[str, int, dict[str, object]]]:
    size, _, rest = framed.partition(b"\r\n")
    frame = rest[: int(size, 16)]
    assert rest[int(size, 16) :] == b"\r\n"
    events = []
    for block in frame.split(b"\n\n"):
        fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if not line.startswith(b":") and line)
        if fields:
            events.append((fields[b"event"].decode(), int(fields[b"id"]), orjson.loads(fields[b"data"])))
    return events


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def delivered(log: Log) -> None:
    """Wait until all that was published went out."""
    while (task := log.hub._delivering) is not None:
        await asyncio.wait([task])


async def live(log: Log, opened: Opened) -> None:
    """Wait until a follower has caught up, however long the rests of a busy machine are."""
    async with asyncio.timeout(60):
        while opened.follower not in log.hub._live:  # noqa: ASYNC110 - the hub tells nobody
            await asyncio.sleep(0.001)


def test_events_are_one_line_of_json_each() -> None:
    assert entries_event(4, [b"\n\r", b"x"]) == b'id: 6\nevent: entries\ndata: {"start":4,"entries":["Cg0=","eA=="]}\n\n'
    assert head_event(SignedHead(6, b"a\nb\n")) == b'id: 6\nevent: head\ndata: {"size":6,"checkpoint":"a\\nb\\n"}\n\n'


def test_etag_changes_with_the_note_only() -> None:
    assert SignedHead(1, b"a").etag == SignedHead(2, b"a").etag != SignedHead(1, b"b").etag
    assert len(SignedHead(1, b"a").etag) <= 24


async def test_follow_catches_up_then_gets_deltas(log: Log) -> None:
    opened = Opened(log, 1)
    await settle()
    log.grow(b"four", b"five")
    await settle()
    assert opened.indices() == [1, 2, 3, 4]
    assert [name for name, _, _ in opened.events()] == ["entries", "head", "entries", "head"]
    name, ident, data = opened.events()[2]
    assert (name, ident, data["start"]) == ("entries", 5, 3)
    assert [base64.b64decode(str(one)) for one in data["entries"]] == [b"four", b"five"]  # type: ignore[attr-defined] # a list


async def test_follow_from_the_head_gets_the_head_first(log: Log) -> None:
    opened = Opened(log, 3)
    await settle()
    assert [(name, ident) for name, ident, _ in opened.events()] == [("head", 3)]
    assert log.reads == []


async def test_publish_writes_one_frame_of_the_same_bytes_to_all(log: Log) -> None:
    many = [Opened(log, 3) for _ in range(50)]
    await settle()
    log.grow(b"four")
    assert {len(opened.wire.frames) for opened in many} == {2}
    assert len({id(opened.wire.frames[1]) for opened in many}) == 1
    assert log.reads == []


async def test_publish_of_a_renewed_note_sends_the_head_only(log: Log) -> None:
    opened = Opened(log, 3)
    await settle()
    log.hub.publish(log.head(clock=9), 3, ())
    assert [name for name, _, _ in opened.events()] == ["head", "head"]
    assert opened.events()[-1][2]["checkpoint"] == "note of 3 at 9\n"


async def test_publish_of_a_large_delta_is_read_from_the_store(log: Log) -> None:
    opened = Opened(log, 3)
    await settle()
    log.grow(*[b"x" * 10_000] * 10)
    await settle()
    assert opened.indices() == list(range(3, 13))
    assert log.reads == [(3, 13)]


async def test_publish_without_all_entries_makes_followers_read(log: Log) -> None:
    opened = Opened(log, 3)
    await settle()
    log.entries += [b"four", b"five"]
    log.hub.publish(log.head(), 3, ())
    await settle()
    assert opened.indices() == [3, 4]
    assert opened.events()[-1][:2] == ("head", 5)


async def test_publish_of_a_part_of_the_entries_makes_followers_read_the_rest(log: Log) -> None:
    opened = Opened(log, 3)
    await settle()
    log.entries += [b"four", b"five"]
    log.hub.publish(log.head(), 3, [b"four"])
    await settle()
    assert opened.indices() == [3, 4]
    assert opened.events()[-1][:2] == ("head", 5)


async def test_catching_up_goes_in_pages_and_meets_a_moving_head() -> None:
    log = Log(10, page=4)
    opened = Opened(log, 0)
    await asyncio.sleep(0)
    log.grow(b"eleven")
    await settle()
    await settle()
    log.grow(b"twelve")
    await settle()
    assert opened.indices() == list(range(12))
    assert all(end - start <= 4 for start, end in log.reads)
    await log.hub.close()


async def test_heartbeat_is_a_comment(log: Log) -> None:
    opened = Opened(log, 3)
    await asyncio.sleep(0.06)
    assert chunk(b":\n\n") in opened.wire.frames


async def test_follower_that_does_not_read_is_cut(log: Log) -> None:
    opened = Opened(log, 3)
    await settle()
    opened.wire.full = feed.BUFFER_BYTES + 1
    opened.response.stuck = True
    log.grow(b"four")
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(opened.task, 1)
    assert opened.wire.aborted
    assert opened.indices() == []
    assert log.hub.followers == 0


async def test_follower_that_reads_slowly_catches_up_by_itself(log: Log) -> None:
    opened = Opened(log, 3)
    await settle()
    opened.wire.full = feed.BUFFER_BYTES + 1
    log.grow(b"four")
    log.grow(b"five")
    await settle()
    assert not opened.wire.aborted
    assert opened.indices() == [3, 4]
    assert log.reads == [(3, 5)]


async def test_many_followers_get_what_was_published_meanwhile_together(log: Log) -> None:
    many = [Opened(log, 3) for _ in range(3 * feed.FOLLOWERS_A_TURN)]
    await settle()
    for number in range(5):
        log.grow(b"entry %d" % number)
    assert sum(len(opened.indices()) for opened in many) == 0, "publishing waited for followers"
    await delivered(log)
    assert all(opened.indices() == [3, 4, 5, 6, 7] for opened in many)
    assert len({tuple(map(id, opened.wire.frames[1:])) for opened in many}) == 1
    assert log.reads == []


async def test_publishing_goes_on_while_many_are_served(log: Log) -> None:
    many = [Opened(log, 3) for _ in range(3 * feed.FOLLOWERS_A_TURN)]
    await settle()
    log.grow(b"four")
    await asyncio.sleep(0)
    log.grow(b"five")  # in the middle of a delivery
    late = Opened(log, 4)
    await delivered(log)
    await live(log, late)
    log.grow(b"six")
    await delivered(log)
    assert all(opened.indices() == [3, 4, 5] for opened in many)
    assert late.indices() == [4, 5]
    sizes = [ident for name, ident, _ in late.events() if name == "head"]
    assert sizes == sorted(sizes), "no head is older than one before it"
    assert log.reads == [(4, 5)]


@pytest.mark.parametrize("hurried", [False, True])
async def test_a_delivery_is_spread_once_more_is_published(log: Log, monkeypatch: pytest.MonkeyPatch, hurried: bool) -> None:
    """The first of many gets a publish at once, and so do all when it is alone; else the others have time to publish in between."""
    monkeypatch.setattr(feed, "REST", 10_000.0)
    many = [Opened(log, 3) for _ in range(3 * feed.FOLLOWERS_A_TURN)]
    await settle()
    log.grow(b"four")
    await asyncio.sleep(0)
    if hurried:
        log.grow(b"five")
    await settle()
    told = sum(opened.indices() == [3] for opened in many)
    assert told == (2 * feed.FOLLOWERS_A_TURN if hurried else len(many))


async def test_a_publish_alone_does_not_wait_for_the_rests_of_the_delivery_before_it(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "REST", 10_000.0)
    many = [Opened(log, 3) for _ in range(4 * feed.FOLLOWERS_A_TURN)]
    await settle()
    log.grow(b"four")
    await asyncio.sleep(0)
    log.grow(b"five")
    await settle()
    assert sum(opened.indices() == [3] for opened in many) == 2 * feed.FOLLOWERS_A_TURN
    monkeypatch.setattr(feed, "GROWING_SECONDS", -1.0)  # as if nothing had been published for a while
    log.grow(b"six")
    for _ in range(5):
        await settle()
    assert all(opened.indices() == [3, 4, 5] for opened in many)


async def test_followers_at_one_place_share_a_page(log: Log) -> None:
    many = [Opened(log, 0) for _ in range(20)]
    await settle()
    await settle()
    assert all(opened.indices() == [0, 1, 2] for opened in many)
    assert log.reads == [(0, 3)]
    assert len({id(opened.wire.frames[0]) for opened in many}) == 1


async def test_follower_stuck_while_catching_up_is_cut(log: Log) -> None:
    opened = Opened(log, 0)
    opened.response.stuck = True
    with pytest.raises(ConnectionResetError):
        await opened.task
    assert opened.wire.aborted


async def test_follower_whose_peer_is_gone_ends(log: Log) -> None:
    opened = Opened(log, 3)
    await settle()
    opened.wire.closing = True
    await asyncio.wait_for(opened.task, 1)
    assert log.hub.followers == 0


async def test_recheck_ends_who_may_read_no_more(log: Log) -> None:
    stays, goes = Opened(log, 3), Opened(log, 3)
    await settle()
    goes.valid = False
    log.hub.recheck()
    log.grow(b"secret")  # at once: the entry that took the right away is not delivered either
    await settle()
    assert goes.task.done()
    assert not stays.task.done()
    assert goes.indices() == []
    assert stays.indices() == [3]


async def test_recheck_of_some_asks_nobody_else(log: Log) -> None:
    one, other = Opened(log, 3, "one"), Opened(log, 3, "other")
    await settle()
    one.valid = other.valid = False
    log.hub.recheck({"one"})
    await settle()
    assert one.task.done()
    assert not other.task.done()
    await asyncio.sleep(0.05)
    assert other.task.done(), "the heartbeat looks at everyone"


async def test_close_ends_every_stream_and_refuses_new_ones(log: Log) -> None:
    opened = [Opened(log, 0) for _ in range(3)]
    await settle()
    await log.hub.close()
    await asyncio.wait_for(asyncio.gather(*(one.task for one in opened)), 1)
    late = Opened(log, 0)
    await asyncio.wait_for(late.task, 1)
    assert late.wire.frames == []
