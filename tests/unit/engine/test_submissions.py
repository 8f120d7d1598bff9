"""Submissions: a transaction and its operations change together, or not at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger.core.errors import ConflictError
from ledger.engine.journal import Journal, State
from ledger.engine.submissions import Draft, Submissions
from tests.support.small_network import TurnedClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await asyncio.to_thread(lambda: Journal.open(tmp_path / "journal.db", TurnedClock(), create=True))
    yield opened
    await asyncio.to_thread(opened.close)


@pytest.fixture
async def submissions(journal: Journal) -> Submissions:
    one = Submissions(journal.database, "chain", TurnedClock())
    await one.prepare()
    await one.prepare()
    return one


async def queue(journal: Journal, count: int, target: str = "chain") -> list[int]:
    return [one.number for one in await journal.add_many(target, [(f"d{at}", b"p%d" % at) for at in range(count)])]


async def seen(journal: Journal) -> list[tuple[State, str | None, int]]:
    return [(one.state, one.place, one.attempts) for one in await journal.select()]


async def test_the_oldest_of_this_target_wait(journal: Journal, submissions: Submissions) -> None:
    await queue(journal, 2, "another")
    numbers = await queue(journal, 4)
    assert await submissions.waiting(3) == [(number, b"p%d" % at) for at, number in enumerate(numbers[:3])]


async def test_a_life_from_sent_to_final(journal: Journal, submissions: Submissions) -> None:
    numbers = await queue(journal, 3)
    row = await submissions.record(Draft("tx1", b"t1"), numbers[:2])
    assert (row.state, row.place, row.ticket) == (State.SENT, "tx1", b"t1")
    assert await seen(journal) == [(State.SENT, "tx1", 1), (State.SENT, "tx1", 1), (State.QUEUED, None, 0)]
    await submissions.renew(row.number, Draft("tx2", b"t2"))
    assert (await seen(journal))[0] == (State.SENT, "tx2", 1)
    await submissions.include([(row.number, Draft("tx2", b"t3"))])
    assert [one.ticket for one in await submissions.unsettled()] == [b"t3"]
    await submissions.revert(row.number, "gone")
    assert (await seen(journal))[0] == (State.REVERTED, "tx2", 1)
    await submissions.renew(row.number, Draft("tx4", b"t4"))
    assert (await seen(journal))[0] == (State.REVERTED, "tx4", 1)
    await submissions.finish(row.number, Draft("tx4", b"t5"))
    assert await seen(journal) == [(State.FINAL, "tx4", 1), (State.FINAL, "tx4", 1), (State.QUEUED, None, 0)]
    assert await submissions.unsettled() == []
    assert await submissions.carried(row.number) == numbers[:2]


async def test_what_is_given_up_is_queued_again_or_dead(journal: Journal, submissions: Submissions) -> None:
    numbers = await queue(journal, 2)
    row = await submissions.record(Draft("tx", b""), numbers)
    await submissions.release(row.number, "lost")
    assert [(one.state, one.reason) for one in await journal.select()] == [(State.QUEUED, "lost")] * 2
    row = await submissions.record(Draft("tx", b""), numbers)
    await submissions.release(row.number, "refused", dead=True)
    assert [(one.state, one.reason, one.attempts) for one in await journal.select()] == [(State.DEAD, "refused", 2)] * 2


@pytest.mark.parametrize("drop", [True, False])
async def test_what_never_left_is_as_if_it_had_never_been(journal: Journal, submissions: Submissions, *, drop: bool) -> None:
    numbers = await queue(journal, 2)
    row = await submissions.record(Draft("tx", b""), numbers)
    await submissions.withdraw(row.number, drop=drop)
    assert await seen(journal) == ([] if drop else [(State.QUEUED, None, 0)] * 2)
    assert await submissions.unsettled() == []


async def test_an_operation_travels_once_at_a_time(journal: Journal, submissions: Submissions) -> None:
    numbers = await queue(journal, 2)
    await submissions.record(Draft("tx", b""), numbers[:1])
    with pytest.raises(ConflictError):
        await submissions.record(Draft("other", b""), [*(await queue(journal, 2)), *numbers])
    final = await submissions.record(Draft("tx", b""), numbers[1:])
    await submissions.finish(final.number, Draft("tx", b""))
    with pytest.raises(ConflictError):
        await submissions.record(Draft("other", b""), numbers[1:])
    assert len(await submissions.unsettled()) == 1


async def test_only_queued_operations_are_buried(journal: Journal, submissions: Submissions) -> None:
    numbers = await queue(journal, 2)
    await submissions.record(Draft("tx", b""), numbers[:1])
    await submissions.bury(numbers, "bad")
    assert [one.state for one in await journal.select()] == [State.SENT, State.DEAD]


async def test_settled_submissions_are_forgotten_but_the_newest(journal: Journal, submissions: Submissions) -> None:
    for at in range(5):
        row = await submissions.record(Draft(f"tx{at}", b""))
        await submissions.finish(row.number, Draft(f"tx{at}", b""))
    under_way = await submissions.record(Draft("now", b""))
    await submissions.forget(2)
    left = await journal.database.read(
        lambda connection: [row[0] for row in connection.execute("SELECT place FROM submission ORDER BY number")]
    )
    assert left == ["tx3", "tx4", "now"]
    assert [one.number for one in await submissions.unsettled()] == [under_way.number]
