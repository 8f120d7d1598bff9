"""Writing beside others: pools that forget, nonces that are taken, fees that rise, accounts that may or can not pay."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.ethereum.fees import GWEI, Caps
from blockchain_adapters.ethereum.rpc import quantity
from blockchain_adapters.ethereum.ticket import parse_ticket
from blockchain_adapters.ethereum.writer import Limits
from blockchain_adapters.transactions import Parcel
from ledger.core.errors import NotAllowedError, SizeMismatchError
from ledger.engine.journal import State
from tests.support.anvil import FUNDED, Anvil
from tests.support.chain_writing import (
    CONFIRMATIONS,
    NEVER,
    PACE,
    account_of,
    append_call,
    entries_of,
    held_back,
    is_replaced,
    settle,
    states,
    submitting,
    until,
)
from tests.support.contract import Contract, send

if TYPE_CHECKING:
    from ledger.engine.journal import Journal

GAS_FEE = {"gas": 21_000, "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**10}


async def test_who_comes_first_between_the_look_and_the_block_wins(
    contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil
) -> None:
    async with submitting(contract, journal) as submitter:
        await anvil.automine(on=False)
        mine = asyncio.create_task(submitter.carry(Parcel((things[0],), expected=0)))
        await until(lambda: submitter.unsettled)
        other = (await anvil.call("eth_accounts"))[1]
        call = "0x" + (await append_call(contract, things[1])).hex()
        fees = {"gas": hex(500_000), "maxFeePerGas": hex(10**11), "maxPriorityFeePerGas": hex(5 * 10**10)}
        await anvil.call("eth_sendTransaction", {"from": other, "to": contract.address, "data": call, **fees})
        await anvil.mine()
        with pytest.raises(SizeMismatchError):
            await mine
        await anvil.automine(on=True)
        await settle(contract, submitter)
    assert await entries_of(contract) == [things[1]]


async def test_a_dropped_transaction_is_sent_again_in_the_same_bytes(
    contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil
) -> None:
    async with submitting(contract, journal) as submitter:
        async with held_back(anvil, journal, submitter, things[:3]) as one:
            await until(lambda: anvil.call("eth_getTransactionByHash", one.place))
            await anvil.call("anvil_dropTransaction", one.place)
            assert await anvil.call("eth_getTransactionByHash", one.place) is None
            await until(lambda: anvil.call("eth_getTransactionByHash", one.place), "the same transaction")
        await settle(contract, submitter)
    assert await entries_of(contract) == things[:3]


async def test_a_nonce_that_somebody_else_took_costs_nothing(
    contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil
) -> None:
    async with submitting(contract, journal) as submitter:
        async with held_back(anvil, journal, submitter, things[:3]) as one:
            await until(lambda: anvil.call("eth_getTransactionByHash", one.place))
            place, nonce = one.place, (await anvil.call("eth_getTransactionByHash", one.place))["nonce"]
            rival = account_of(anvil).sign(
                {"type": 2, "chainId": anvil.chain, "nonce": quantity(nonce), "to": FUNDED, "value": 1, "data": b"", **GAS_FEE}
            )
            await anvil.call("anvil_dropTransaction", one.place)
            await anvil.call("eth_sendRawTransaction", "0x" + rival[0].hex())
            await anvil.mine()
            submitter.wake()
            await asyncio.sleep(0.1)
            # Nothing is decided before the rival's block is final.
            assert {(one.state, one.place, one.attempts) for one in await journal.select()} == {(State.SENT, place, 1)}
            await anvil.automine(on=True)
            for _ in range(CONFIRMATIONS + 2):
                await anvil.mine()
        await settle(contract, submitter)
    assert await entries_of(contract) == things[:3]
    assert {one.place for one in await journal.select()}.isdisjoint({one.place, rival[1]})


async def test_a_spike_of_the_base_fee_is_outbid_within_the_caps(
    contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil
) -> None:
    limits = Limits(caps=Caps(fee=200 * GWEI, tip=5 * GWEI))
    async with submitting(contract, journal, limits=limits) as submitter:
        async with held_back(anvil, journal, submitter, things[:3]) as one:
            await anvil.call("anvil_setNextBlockBaseFeePerGas", hex(50 * GWEI))
            await anvil.mine()
            submitter.wake()
            await until(lambda: is_replaced(journal, one.place or ""), "a replacement")
        await settle(contract, submitter)
    assert await entries_of(contract) == things[:3]


async def test_above_the_cap_it_waits_and_says_so_and_goes_on_by_itself(
    contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil
) -> None:
    async with submitting(contract, journal, limits=Limits(caps=Caps(fee=20 * GWEI, tip=GWEI))) as submitter:
        await anvil.call("anvil_setNextBlockBaseFeePerGas", hex(300 * GWEI))
        await anvil.mine()
        task = asyncio.create_task(submitter.submit(things[:3]))
        await until(lambda: submitter.condition, "a condition")
        assert submitter.condition is not None
        assert "gwei" in submitter.condition.message
        assert await states(journal) == {State.QUEUED}
        for _ in range(40):
            await anvil.mine()
        submitter.wake()
        await task
        assert submitter.condition is None
    assert await entries_of(contract) == things[:3]


async def test_a_transaction_that_stands_still_is_replaced_at_an_eighth_more(
    contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil
) -> None:
    async with submitting(contract, journal, limits=Limits(stuck=0.2), confirmations=NEVER) as submitter:
        await submitter.submit(things[2:4])  # in a block that is not final: nothing waits for that one
        async with held_back(anvil, journal, submitter, things[:2]) as one:
            await until(lambda: is_replaced(journal, one.place or ""), "a replacement")
            first, second, *_ = parse_ticket(submitter.underway[-1].ticket).offers
            assert second.fees.fee * 8 >= first.fees.fee * 9
            assert second.fees.tip * 8 >= first.fees.tip * 9
    assert await entries_of(contract) == [*things[2:4], *things[:2]]


async def test_an_account_that_may_not_append_is_told_so(journal: Journal, things: list[bytes], anvil: Anvil) -> None:
    other = (await anvil.call("eth_accounts"))[1]
    contract = await Contract.deploy(anvil, submitters=[other])
    async with submitting(contract, journal) as submitter:
        with pytest.raises(NotAllowedError, match="may not append"):
            await submitter.submit(things[:3])
    assert await journal.select() == []


async def test_an_account_without_funds_waits_and_goes_on_when_they_come(
    contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil
) -> None:
    await anvil.call("anvil_setBalance", FUNDED, "0x1")
    async with submitting(contract, journal) as submitter:
        task = asyncio.create_task(submitter.submit(things[:3]))
        await until(lambda: submitter.condition, "a condition")
        assert submitter.condition is not None
        assert "funds" in submitter.condition.message.lower()
        await anvil.call("anvil_setBalance", FUNDED, hex(10**20))
        submitter.wake()
        await task
    assert await entries_of(contract) == things[:3]


async def test_a_stranger_may_write_between(contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil) -> None:
    async with submitting(contract, journal) as submitter:
        await submitter.submit(things[:3])
        await send(anvil, await append_call(contract, things[10]), contract.address)
        await submitter.submit(things[3:6])
        await settle(contract, submitter)
    assert await entries_of(contract) == [*things[:3], things[10], *things[3:6]]
    assert PACE.window == 1
