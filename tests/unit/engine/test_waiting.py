"""The admission queue: what it holds, who finds room in it, and in which order it is taken."""

from __future__ import annotations

import asyncio
import time

import pytest

from ledger.core.errors import BusyError, FormatError
from ledger.core.limits import LIMITS
from ledger.engine.admission import Request
from ledger.engine.waiting import FOR_SMALL, SMALL, Latecomers, WaitingRequests

BULK = LIMITS.queue - FOR_SMALL


def request(entries: int) -> Request:
    return Request([FormatError("of no interest here")] * entries, asyncio.get_running_loop().create_future())


def is_full(queue: WaitingRequests, count: int) -> bool:
    try:
        queue.require_room(count)
    except BusyError:
        return True
    return False


def test_bulk_never_takes_the_places_of_those_who_publish_a_little() -> None:
    queue = WaitingRequests()
    queue.reserve(BULK - 9)
    assert (is_full(queue, 9), is_full(queue, 10)) == (False, True)
    queue.reserve(9)
    assert (is_full(queue, SMALL + 1), is_full(queue, SMALL), is_full(queue, 1)) == (True, False, False)
    for _ in range(FOR_SMALL // SMALL):
        queue.reserve(SMALL)
    assert (queue.entries, is_full(queue, 1)) == (LIMITS.queue, True)
    with pytest.raises(BusyError):
        queue.reserve(1)
    assert queue.entries == LIMITS.queue
    queue.release(SMALL)
    assert (is_full(queue, SMALL), is_full(queue, SMALL + 1)) == (False, True)


def test_push_backs_differ_so_that_clients_do_not_come_back_together() -> None:
    queue = WaitingRequests()
    queue.reserve(BULK)
    waits = set()
    for _ in range(50):
        with pytest.raises(BusyError) as pushed:
            queue.reserve(SMALL + 1)
        waits.add(pushed.value.retry_after)
    assert len(waits) > 25
    assert all(0.5 <= wait <= 2.0 for wait in waits)


async def test_lanes_take_turns_in_going_first_and_keep_their_order() -> None:
    queue = WaitingRequests()
    small, bulk = [request(1) for _ in range(3)], [request(LIMITS.batch_entries) for _ in range(3)]
    for one in (*bulk, *small):
        queue.reserve(len(one.envelopes))
        queue.put(one)
    batches = []
    while queue:
        batches.append(queue.take())
    assert [one for batch in batches for one in batch if one in bulk] == bulk
    assert [one for batch in batches for one in batch if one in small] == small
    assert batches[0] == small  # they wait behind one batch at most
    assert (queue.entries, queue.take()) == (0, [])


async def test_a_request_larger_than_a_batch_is_taken_alone() -> None:
    queue = WaitingRequests()
    large, next_one = request(LIMITS.batch_entries + 1), request(LIMITS.batch_entries)
    for one in (large, next_one):
        queue.reserve(len(one.envelopes))
        queue.put(one)
    assert [queue.take(), queue.take()] == [[large], [next_one]]


def test_a_queue_whose_room_another_made_takes_all() -> None:
    queue = WaitingRequests()
    queue.bounded = False
    queue.reserve(LIMITS.queue)
    queue.reserve(1)
    assert queue.entries == LIMITS.queue + 1


async def test_latecomers_join_a_batch_while_somebody_is_missing() -> None:
    queue, batch = WaitingRequests(), [request(1)]
    late = Latecomers(queue, batch, expected=3)
    one, other = request(1), request(1)
    queue.put(one)
    assert late() == [one]
    queue.put(other)
    assert late() == [other]
    assert batch[1:] == [one, other]
    assert late() == []


async def test_who_is_waited_for_is_heard_of_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.engine.waiting.WINDOW_SECONDS", 600.0)
    monkeypatch.setattr("ledger.engine.waiting.PATIENCE_SECONDS", 600.0)
    queue, one = WaitingRequests(), request(1)
    judging = asyncio.create_task(asyncio.to_thread(Latecomers(queue, [request(1)], expected=2)))
    await asyncio.sleep(0)
    queue.put(one)
    queue.announce()
    assert await judging == [one]


async def test_a_batch_whose_time_is_over_waits_for_nobody() -> None:
    queue, one = WaitingRequests(), request(1)
    queue.put(one)
    queue.await_small(2, time.monotonic())  # to wait would be a blocking call, which fails in an event loop
    assert queue.take() == [one]


async def test_bulk_and_what_a_batch_cannot_hold_wait_for_the_next() -> None:
    queue, batch = WaitingRequests(), [request(LIMITS.batch_entries - 1)]
    late = Latecomers(queue, batch, expected=0)
    bulk, fits, more = request(SMALL + 1), request(1), request(1)
    for one in (bulk, fits, more):
        queue.reserve(len(one.envelopes))
        queue.put(one)
    assert late() == [fits]
    assert late() == []
    assert len(queue) == 2
    queue.release(len(fits.envelopes))
    assert queue.take() == [more, bulk]
    assert queue.entries == 0
