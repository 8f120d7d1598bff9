"""The feed: everyone hears every head once, encoded once; who is slow catches up from the store."""

from __future__ import annotations

import asyncio

from ledger.core.backend import Entries, Head, LogEvent, NewHead
from ledger.engine.feed import Delta, Feed


def delta(start: int, *entries: bytes) -> Delta:
    size = start + len(entries)
    return Delta(start, entries, Head(size, size, b"note %d" % size))


def test_every_hearer_hears_once_and_ends_when_it_likes() -> None:
    feed, heard, other = Feed(Head(0, 0)), list[Delta](), list[Delta]()
    end = feed.subscribe(heard.append)
    feed.subscribe(other.append)
    assert len(feed) == 2
    first, second = delta(0, b"a"), delta(1, b"b")
    feed.publish(first)
    end()
    end()
    feed.publish(second)
    assert (heard, other) == ([first], [first, second])
    assert feed.head == second.head
    assert len(feed) == 1


def test_a_delta_is_encoded_once_a_name() -> None:
    calls: list[int] = []

    def encode(one: Delta) -> bytes:
        calls.append(one.start)
        return b"".join(one.entries)

    one = delta(0, b"a", b"b")
    assert [one.frame("sse", encode), one.frame("sse", encode), one.frame("other", encode)] == [b"ab"] * 3
    assert calls == [0, 0]


async def test_follow_catches_up_reads_pages_and_follows() -> None:
    log = [b"%d" % number for number in range(10)]
    feed, events, reads = Feed(Head(5, 5)), list[LogEvent](), list[tuple[int, int]]()

    async def read(start: int, end: int) -> list[bytes]:
        reads.append((start, end))
        return log[start : min(end, start + 2)]

    async def collect() -> None:
        async for event in feed.follow(1, read):
            events.append(event)

    task = asyncio.create_task(collect())
    await asyncio.sleep(0.01)
    assert events == [Entries(1, (b"1", b"2")), Entries(3, (b"3", b"4")), NewHead(Head(5, 5))]
    events.clear()
    reads.clear()
    feed.publish(delta(5, b"5"))
    await asyncio.sleep(0.01)
    assert events == [Entries(5, (b"5",)), NewHead(feed.head)]
    assert reads == []
    events.clear()
    feed.publish(delta(6, b"6"))
    feed.publish(delta(7, b"7", b"8"))
    await asyncio.sleep(0.01)
    assert events == [Entries(6, (b"6", b"7")), Entries(8, (b"8",)), NewHead(feed.head)]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(feed) == 0
