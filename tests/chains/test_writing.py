"""Writing to a real chain: every operation stands there once, in its order, and is final in the end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.ethereum.rpc import quantity
from blockchain_adapters.ethereum.writer import Limits
from blockchain_adapters.submit import Pace
from blockchain_adapters.transactions import Landed, Parcel
from ledger.core.errors import OutcomeUnknown, SizeMismatchError, TooLargeError
from ledger.engine.journal import State
from tests.support.anvil import FUNDED, Anvil
from tests.support.chain_writing import (
    closing,
    entries_of,
    has_all,
    make_writer,
    opened_journal,
    sent,
    settle,
    states,
    submitting,
    until,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.engine.journal import Journal
    from tests.support.contract import Contract


async def test_operations_become_final_and_keep_where_they_stand(contract: Contract, journal: Journal, things: list[bytes]) -> None:
    async with submitting(contract, journal) as submitter:
        transactions = await submitter.submit(things)
        assert await entries_of(contract) == things
        assert await states(journal) == {State.INCLUDED}
        await settle(contract, submitter)
    assert await states(journal) == {State.FINAL}
    operations = await journal.select()
    assert [one.place for one in operations] == transactions
    receipt = await contract.node.call("eth_getTransactionReceipt", operations[0].place)
    assert receipt["to"] == contract.address.lower()


async def test_one_statement_is_sent_once(contract: Contract, journal: Journal, things: list[bytes]) -> None:
    async with submitting(contract, journal) as submitter:
        first, again = await submitter.submit([things[0], things[0]])
        assert first == again == (await submitter.submit(things[:1]))[0]
        await settle(contract, submitter)
        assert await submitter.submit(things[:1]) == [first]
    assert await entries_of(contract) == things[:1]


async def test_a_batch_that_one_transaction_does_not_hold_becomes_several(
    contract: Contract, journal: Journal, things: list[bytes]
) -> None:
    async with submitting(contract, journal, limits=Limits(gas=200_000)) as submitter:
        await submitter.submit(things)
        assert await entries_of(contract) == things
    assert len({one.place for one in await journal.select()}) == 2


async def test_an_entry_that_no_transaction_may_hold_is_a_dead_letter(contract: Contract, journal: Journal, things: list[bytes]) -> None:
    async with submitting(contract, journal, limits=Limits(gas=50_000)) as submitter:
        results = await submitter.submit(things[:3])
        assert [type(one) for one in results] == [TooLargeError] * 3
        dead = await journal.select([State.DEAD])
        assert len(dead) == 3
        assert "50000 are allowed" in (dead[0].reason or "")
        assert await contract.node.call("eth_getTransactionCount", FUNDED, "pending") == "0x1"  # nothing left, no nonce was lost
    async with submitting(contract, journal) as submitter:
        await submitter.retry(dead[0].number)
        await until(lambda: has_all(contract, things[:1]), "the dead letter")
    assert await entries_of(contract) == things[:1]


async def test_compare_and_set_is_on_the_count_of_batches(contract: Contract, journal: Journal, things: list[bytes]) -> None:
    async with submitting(contract, journal) as submitter:
        landed = await submitter.carry(Parcel((things[0],), expected=0))
        assert isinstance(landed, Landed)
        with pytest.raises(SizeMismatchError):
            await submitter.carry(Parcel((things[1],), expected=0))
        await submitter.carry(Parcel((things[2],), expected=1))
        await settle(contract, submitter)
    assert await entries_of(contract) == [things[0], things[2]]


async def test_a_mirrors_batch_brings_its_note(contract: Contract, journal: Journal, things: list[bytes]) -> None:
    async with submitting(contract, journal) as submitter:
        await submitter.carry(Parcel(tuple(things[:3]), 0, 0, 3, b"\7" * 32, b"note"))
        await submitter.carry(Parcel((), 1, 3, 3, b"\7" * 32, b"an anchor alone"))
    async with closing(contract.rpc()) as rpc:
        status = await (await asyncio.to_thread(make_writer, contract, rpc)).status()
    assert (status.count, status.size, status.root) == (2, 3, b"\7" * 32)
    assert await entries_of(contract) == things[:3]


async def test_what_is_not_known_in_time_goes_on(contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil) -> None:
    await anvil.automine(on=False)
    async with submitting(contract, journal, pace=Pace(first=0.005, most=0.05, patience=0.4)) as submitter:
        with pytest.raises(OutcomeUnknown):
            await submitter.submit(things[:3])
        assert await states(journal) == {State.SENT}
        await anvil.automine(on=True)
        await settle(contract, submitter)
    assert await states(journal) == {State.FINAL}
    assert await entries_of(contract) == things[:3]


async def test_a_start_takes_up_what_was_under_way(contract: Contract, tmp_path: Path, things: list[bytes], anvil: Anvil) -> None:
    await anvil.automine(on=False)
    async with opened_journal(tmp_path / "kept.db") as journal:
        async with submitting(contract, journal) as submitter:
            task = asyncio.create_task(submitter.submit(things[:3]))
            await sent(journal, 3)
        with pytest.raises(OutcomeUnknown):
            await task
    await anvil.mine()
    async with opened_journal(tmp_path / "kept.db") as journal, submitting(contract, journal) as submitter:
        assert submitter.unsettled == 1
        await anvil.automine(on=True)
        await settle(contract, submitter)
        assert await states(journal) == {State.FINAL}
    assert await entries_of(contract) == things[:3]


async def test_several_on_their_way_keep_their_order(contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil) -> None:
    pace = Pace(first=0.005, most=0.05, rest=0.1, patience=20.0, window=4)
    async with submitting(contract, journal, pace=pace, limits=Limits(gas=105_000)) as submitter:
        await anvil.automine(on=False)
        task = asyncio.create_task(submitter.submit(things))
        await until(lambda: submitter.unsettled == 4)
        await until(lambda: _pooled(anvil, 4))
        await anvil.automine(on=True)
        await anvil.mine()
        await task
        await settle(contract, submitter)
    assert await entries_of(contract) == things


async def _pooled(anvil: Anvil, count: int) -> bool:
    return quantity((await anvil.call("txpool_status"))["pending"]) == count
