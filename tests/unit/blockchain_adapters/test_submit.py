"""The submit loop on a chain that a test drives: what becomes of operations, and what callers hear."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.submit import Pace, Submitter
from blockchain_adapters.transactions import Parcel
from ledger.core.errors import (
    ConflictError,
    InvalidError,
    NotAllowedError,
    NotReadyError,
    OutcomeUnknown,
    SizeMismatchError,
    TooLargeError,
    UnavailableError,
)
from ledger.engine.journal import Journal, State
from tests.support.scripted_chain import POISON, ChainWriter, ScriptedChain
from tests.support.small_network import Heard, SmallNetwork, TurnedClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

PACE = Pace(first=0.001, most=0.01, rest=0.02, patience=5.0)
HASTY = Pace(first=0.001, most=0.01, rest=0.02, patience=0.15)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await asyncio.to_thread(lambda: Journal.open(tmp_path / "journal.db", TurnedClock(), create=True))
    yield opened
    await asyncio.to_thread(opened.close)


@pytest.fixture
def chain() -> ScriptedChain:
    return ScriptedChain()


@pytest.fixture
def things() -> list[bytes]:
    return [one.entry for one in SmallNetwork().things(12)]


@asynccontextmanager
async def running(journal: Journal, chain: ScriptedChain, pace: Pace = PACE) -> AsyncIterator[Submitter]:
    submitter = Submitter(journal, ChainWriter(chain), "chain", (TurnedClock(), Heard()), pace)
    try:
        await submitter.start()
        yield submitter
    finally:
        await submitter.close()


async def until(done: Callable[[], object]) -> None:
    for _ in range(1_000):
        if done():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it did not come")


async def states(journal: Journal) -> list[State]:
    return [one.state for one in await journal.select()]


async def finish(chain: ScriptedChain, submitter: Submitter) -> None:
    chain.mine(3)
    submitter.wake()
    await until(lambda: not submitter.unsettled)


async def test_an_operation_goes_from_queued_to_final(journal: Journal, chain: ScriptedChain, things: list[bytes]) -> None:
    async with running(journal, chain) as submitter:
        task = asyncio.create_task(submitter.submit(things))
        await until(lambda: chain.pool)
        assert await states(journal) == [State.SENT] * 12
        chain.mine()
        submitter.wake()
        [transaction] = set(await task)
        assert await states(journal) == [State.INCLUDED] * 12
        await finish(chain, submitter)
    assert await states(journal) == [State.FINAL] * 12
    assert {one.place for one in await journal.select()} == {transaction}
    assert chain.entries == things


async def test_a_transaction_takes_what_fits_and_the_order_stays(journal: Journal, chain: ScriptedChain, things: list[bytes]) -> None:
    chain.most = 5
    async with running(journal, chain) as submitter:
        task = asyncio.create_task(submitter.submit(things))
        while not task.done():
            await until(lambda: chain.pool or task.done())
            chain.mine()
            submitter.wake()
            await asyncio.sleep(0.01)
    assert [len(one.entries) for one in chain.mined] == [5, 5, 2]
    assert chain.entries == things


@pytest.mark.parametrize("arrives", [True, False])
async def test_an_unknown_outcome_is_looked_up_and_has_one_effect(
    journal: Journal, chain: ScriptedChain, things: list[bytes], *, arrives: bool
) -> None:
    chain.silent = [arrives]
    async with running(journal, chain) as submitter:
        task = asyncio.create_task(submitter.submit(things))
        await until(lambda: chain.pool)
        chain.mine()
        submitter.wake()
        await task
        await finish(chain, submitter)
    assert chain.entries == things
    assert chain.sends == (1 if arrives else 2)
    assert {one.attempts for one in await journal.select()} == {1}


async def test_a_poisoned_operation_becomes_a_dead_letter_and_holds_nobody_up(
    journal: Journal, chain: ScriptedChain, things: list[bytes]
) -> None:
    bad = things[0].replace(things[0][:4], POISON, 1)
    await journal.add_many("chain", [(str(at), bad if at == 5 else one) for at, one in enumerate(things)])
    async with running(journal, chain) as submitter:
        while len(chain.entries) < len(things) - 1:
            chain.mine()
            submitter.wake()
            await asyncio.sleep(0.005)
        await finish(chain, submitter)
        assert chain.entries == [*things[:5], *things[6:]]
        [dead] = await journal.select([State.DEAD])
        assert (dead.digest, dead.reason) == ("5", "the chain does not like the content")
        with pytest.raises(ConflictError):
            await submitter.retry(dead.number + 1)
        await submitter.retry(dead.number)
        await asyncio.sleep(0.05)
    assert await journal.select([State.DEAD])


async def test_whoever_waits_for_a_dead_letter_hears_why(journal: Journal, chain: ScriptedChain, things: list[bytes]) -> None:
    async with running(journal, chain) as submitter:
        chain.refuse = InvalidError("not with me")
        [error] = await submitter.submit(things[:1])
        assert isinstance(error, InvalidError)
        chain.refuse = None
        task = asyncio.create_task(submitter.submit(things[:1]))  # a dead letter is tried again by who submits it again
        await until(lambda: chain.pool)
        chain.mine()
        submitter.wake()
        assert isinstance((await task)[0], str)


async def test_a_reorganisation_brings_operations_back(journal: Journal, chain: ScriptedChain, things: list[bytes]) -> None:
    async with running(journal, chain) as submitter:
        task = asyncio.create_task(submitter.submit(things))
        await until(lambda: chain.pool)
        chain.mine()
        submitter.wake()
        await task
        for forget in (True, False):
            chain.reorg(1, forget=forget)
            submitter.wake()
            await until(lambda: chain.pool)
            await asyncio.sleep(0.02)
            assert await states(journal) == [State.REVERTED] * 12
            assert submitter._underway[0].row.state is State.SENT
            chain.mine()
            submitter.wake()
            await until(lambda: submitter._underway[0].row.state is State.INCLUDED)
        await finish(chain, submitter)
    assert await states(journal) == [State.FINAL] * 12
    assert chain.entries == things


async def test_a_lost_nonce_is_decided_by_finality_only(journal: Journal, chain: ScriptedChain, things: list[bytes]) -> None:
    chain.silent = [False]
    async with running(journal, chain) as submitter:
        task = asyncio.create_task(submitter.submit(things))
        await until(lambda: submitter.unsettled)
        chain.pool.clear()
        chain.take_nonce()
        submitter.wake()
        await asyncio.sleep(0.03)
        assert await states(journal) == [State.SENT] * 12
        chain.mine(2)
        submitter.wake()
        await until(lambda: 1 in chain.pool)
        chain.mine()
        submitter.wake()
        await task
        await finish(chain, submitter)
    assert chain.entries == things
    assert {one.attempts for one in await journal.select()} == {2}


async def test_what_kept_everything_from_leaving_is_said_and_nothing_is_kept(
    journal: Journal, chain: ScriptedChain, things: list[bytes]
) -> None:
    chain.refuse = UnavailableError("no funds")
    async with running(journal, chain, HASTY) as submitter:
        with pytest.raises(UnavailableError, match="no funds"):
            await submitter.submit(things)
        assert submitter.condition is chain.refuse
    assert await states(journal) == []


async def test_who_may_not_write_hears_it_at_once_and_older_operations_stay(
    journal: Journal, chain: ScriptedChain, things: list[bytes]
) -> None:
    await journal.add("chain", "old", things[0])
    chain.refuse = NotAllowedError("not on the list")
    async with running(journal, chain) as submitter:
        with pytest.raises(NotAllowedError):
            await submitter.submit(things[1:])
        assert await states(journal) == [State.QUEUED]
        chain.refuse = None
        submitter.wake()
        await until(lambda: chain.pool)
    assert chain.pool[0].entries == (things[0],)


async def test_what_is_not_known_in_time_stays_and_goes_on(journal: Journal, chain: ScriptedChain, things: list[bytes]) -> None:
    async with running(journal, chain, HASTY) as submitter:
        with pytest.raises(OutcomeUnknown):
            await submitter.submit(things)
        assert await states(journal) == [State.SENT] * 12
        await finish(chain, submitter)
    assert chain.entries == things


async def test_a_restart_takes_up_what_was_under_way(journal: Journal, chain: ScriptedChain, things: list[bytes]) -> None:
    chain.silent = [False]
    async with running(journal, chain) as submitter:
        task = asyncio.create_task(submitter.submit(things))
        await until(lambda: submitter.unsettled)
    with pytest.raises(OutcomeUnknown):
        await task
    chain.pool.clear()
    async with running(journal, chain) as submitter:
        assert submitter.unsettled == 1
        await until(lambda: chain.pool)
        await finish(chain, submitter)
    assert chain.entries == things


async def test_a_parcel_of_its_own_lands_or_says_why_not(journal: Journal, chain: ScriptedChain, things: list[bytes]) -> None:
    chain.most = 5
    async with running(journal, chain) as submitter:
        with pytest.raises(TooLargeError):
            await submitter.carry(Parcel(tuple(things)))
        assert not submitter.unsettled
        task = asyncio.create_task(submitter.carry(Parcel(tuple(things[:2]), expected=0)))
        rival = asyncio.create_task(submitter.carry(Parcel(tuple(things[2:4]), expected=0)))
        await until(lambda: len(chain.pool) == 2)
        chain.mine()
        submitter.wake()
        assert (await task).block == 0
        with pytest.raises(SizeMismatchError):
            await rival
        await finish(chain, submitter)
    assert chain.entries == things[:2]
    assert await states(journal) == []


async def test_a_parcel_that_may_have_left_is_not_forgotten(journal: Journal, chain: ScriptedChain, things: list[bytes]) -> None:
    async with running(journal, chain, HASTY) as submitter:
        with pytest.raises(OutcomeUnknown):
            await submitter.carry(Parcel(tuple(things[:2]), expected=0))
        await finish(chain, submitter)
    assert chain.entries == things[:2]


async def test_a_closed_submitter_takes_nothing(journal: Journal, chain: ScriptedChain, things: list[bytes]) -> None:
    async with running(journal, chain) as submitter:
        await submitter.close()
        with pytest.raises(NotReadyError):
            await submitter.submit(things)
        with pytest.raises(NotReadyError):
            await submitter.carry(Parcel(tuple(things)))
    assert await states(journal) == []


async def test_it_is_told_once_why_nothing_moves(journal: Journal, chain: ScriptedChain, things: list[bytes]) -> None:
    heard = Heard()
    chain.refuse = UnavailableError("no funds")
    await journal.add("chain", "d", things[0])
    submitter = Submitter(journal, ChainWriter(chain), "chain", (TurnedClock(), heard), PACE)
    await submitter.start()
    await asyncio.sleep(0.05)
    assert heard.names() == ["chain-waits"]
    chain.refuse = None
    submitter.wake()
    await until(lambda: submitter.condition is None)
    await submitter.close()


async def test_a_node_that_counts_wrong_is_not_asked_all_the_time(journal: Journal, chain: ScriptedChain, things: list[bytes]) -> None:
    chain.behind = True
    async with running(journal, chain, Pace(first=0.02, most=0.05, rest=0.05, patience=0.3)) as submitter:
        with pytest.raises(ConflictError):
            await submitter.submit(things)
    assert 2 <= chain.sends < 30
    assert await states(journal) == []
