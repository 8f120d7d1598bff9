"""The journal: which states follow which, one operation a target and digest, nothing forgotten."""

from __future__ import annotations

import asyncio
from itertools import product
from typing import TYPE_CHECKING

import pytest

from ledger.core.errors import ConflictError, CorruptError, NotFoundError, NotReadyError
from ledger.engine.journal import FOLLOWS, OPEN, Journal, State
from ledger.engine.store import Store
from tests.support.small_network import TurnedClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PATHS = {
    State.QUEUED: [],
    State.SENT: [State.SENT],
    State.INCLUDED: [State.SENT, State.INCLUDED],
    State.FINAL: [State.SENT, State.INCLUDED, State.FINAL],
    State.REVERTED: [State.SENT, State.INCLUDED, State.REVERTED],
    State.DEAD: [State.DEAD],
}


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await asyncio.to_thread(lambda: Journal.open(tmp_path / "journal.db", TurnedClock(), create=True))
    yield opened
    await asyncio.to_thread(opened.close)


async def test_an_intent_is_queued_once_a_target(journal: Journal) -> None:
    one = await journal.add("https://a", "d1", b"payload")
    assert (one.state, one.attempts, one.payload, one.reason, one.place) == (State.QUEUED, 0, b"payload", None, None)
    assert await journal.add("https://a", "d1", b"other") == one
    two = await journal.add("https://b", "d1", b"payload")
    assert two.number != one.number
    assert await journal.find("d1") == [one, two]


@pytest.mark.parametrize(("before", "after"), list(product(State, State)))
async def test_only_the_states_that_follow_follow(journal: Journal, before: State, after: State) -> None:
    operation = await journal.add("t", "d", b"")
    for state in PATHS[before]:
        operation = await journal.move(operation.number, state)
    assert operation.state is before
    if after in FOLLOWS[before]:
        assert (await journal.move(operation.number, after)).state is after
        return
    with pytest.raises(ConflictError):
        await journal.move(operation.number, after)
    assert await journal.get(operation.number) == operation


async def test_reason_place_attempts_and_times_are_kept(tmp_path: Path) -> None:
    clock = TurnedClock()
    journal = await asyncio.to_thread(lambda: Journal.open(tmp_path / "journal.db", clock, create=True))
    one = await journal.add("t", "d", b"x")
    clock.turn(5)
    await journal.move(one.number, State.SENT, place="0xabc")
    await journal.move(one.number, State.QUEUED, reason="not there")
    sent = await journal.move(one.number, State.SENT)
    assert (sent.attempts, sent.place, sent.reason) == (2, "0xabc", None)
    assert (sent.created, sent.changed) == (one.created, one.created + 5)
    await asyncio.to_thread(journal.close)
    again = await asyncio.to_thread(lambda: Journal.open(tmp_path / "journal.db", clock))
    assert await again.get(one.number) == sent
    await asyncio.to_thread(again.close)


async def test_select_by_state_and_target(journal: Journal) -> None:
    one, two = await journal.add("a", "d1", b""), await journal.add("b", "d2", b"")
    await journal.move(two.number, State.DEAD, reason="refused")
    assert [found.number for found in await journal.select()] == [one.number, two.number]
    assert [found.number for found in await journal.select(OPEN)] == [one.number]
    assert [found.number for found in await journal.select([State.DEAD], target="a")] == []
    assert [found.reason for found in await journal.select([State.DEAD], target="b")] == ["refused"]


async def test_only_what_is_not_on_its_way_can_be_dropped(journal: Journal) -> None:
    one = await journal.add("a", "d1", b"")
    await journal.move(one.number, State.SENT)
    with pytest.raises(ConflictError):
        await journal.drop(one.number)
    await journal.move(one.number, State.DEAD)
    await journal.drop(one.number)
    with pytest.raises(NotFoundError):
        await journal.get(one.number)
    with pytest.raises(NotFoundError):
        await journal.drop(one.number)


async def test_numbers_are_never_used_again(journal: Journal) -> None:
    one = await journal.add("a", "d1", b"")
    await journal.drop(one.number)
    assert (await journal.add("a", "d1", b"")).number > one.number


async def test_files_that_are_not_there_or_of_another_kind(tmp_path: Path) -> None:
    clock = TurnedClock()
    with pytest.raises(NotFoundError):
        await asyncio.to_thread(Journal.open, tmp_path / "journal.db", clock)
    store = await asyncio.to_thread(lambda: Store.open(tmp_path / "ledger.db", create=True))
    await asyncio.to_thread(store.close)
    with pytest.raises(CorruptError):
        await asyncio.to_thread(Journal.open, tmp_path / "ledger.db", clock)
    journal = await asyncio.to_thread(lambda: Journal.open(tmp_path / "journal.db", clock, create=True))
    await asyncio.to_thread(journal.close)
    await asyncio.to_thread(journal.close)
    with pytest.raises(NotReadyError):
        await journal.add("a", "d", b"")
