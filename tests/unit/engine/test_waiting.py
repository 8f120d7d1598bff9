"""The admission queue: what it holds, who finds room in it, and in which order it is taken."""

from __future__ import annotations

import asyncio

import pytest

from ledger.core.errors import BusyError, FormatError
from ledger.core.limits import LIMITS
from ledger.engine.admission import Request
from ledger.engine.waiting import FOR_SMALL, SMALL, WaitingRequests

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
