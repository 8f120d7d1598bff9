"""Writing to a real chain that does everything that chains do: nothing lost, nothing twice, order kept."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from blockchain_adapters.ethereum.fees import GWEI, Caps
from blockchain_adapters.ethereum.rpc import Rpc, quantity
from blockchain_adapters.ethereum.ticket import parse_ticket
from blockchain_adapters.ethereum.writer import Limits
from blockchain_adapters.submit import Pace
from blockchain_adapters.transactions import Landed, Parcel
from ledger.core.errors import BadSourceError, NotAllowedError, OutcomeUnknown, SizeMismatchError, TooLargeError, UnreachableError
from ledger.engine.journal import State
from tests.support.anvil import FUNDED, Anvil, running_anvil, scratch_state
from tests.support.chain_writing import CONFIRMATIONS, PACE, account_of, entries_of, make_writer, opened_journal, submitting
from tests.support.contract import Contract, send
from tests.support.small_network import SmallNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from blockchain_adapters.submit import Submitter
    from ledger.engine.journal import Journal, Operation

GAS_FEE = {"gas": 21_000, "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**10}


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with opened_journal(tmp_path / "journal.db") as one:
        yield one


@pytest.fixture
def things() -> list[bytes]:
    return [one.entry for one in SmallNetwork().things(90)]


async def until(done: Callable[[], object], what: str = "it") -> None:
    """Wait until `done` says so, a coroutine function or not."""
    for _ in range(1_000):
        found = done()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"{what} did not come")


async def states(journal: Journal) -> set[State]:
    return {one.state for one in await journal.select()}


async def settle(contract: Contract, submitter: Submitter) -> None:
    """Let blocks come until everything is final."""
    for _ in range(100):
        await contract.node.mine(CONFIRMATIONS + 1)
        submitter.wake()
        await asyncio.sleep(0.05)
        if not submitter.unsettled:
            return
    raise AssertionError(f"not final: {submitter.condition}")


async def start_late(submitter: Submitter, entries: list[bytes]) -> asyncio.Task[object]:
    """Submit in a task of its own."""
    return asyncio.create_task(submitter.submit(entries))


async def sent(journal: Journal, count: int = 1) -> list[Operation]:
    """Wait until operations are on their way; return them."""
    await until(lambda: _count(journal, State.SENT, count))
    return await journal.select([State.SENT])


async def _count(journal: Journal, state: State, least: int) -> bool:
    return len(await journal.select([state])) >= least


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
        await until(lambda: _all_there(contract, things[:1]), "the dead letter")
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


async def test_who_comes_first_between_the_look_and_the_block_wins(
    contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil
) -> None:
    async with submitting(contract, journal) as submitter:
        await anvil.automine(on=False)
        mine = asyncio.create_task(submitter.carry(Parcel((things[0],), expected=0)))
        await until(lambda: submitter.unsettled)
        other = (await anvil.call("eth_accounts"))[1]
        call = "0x" + (await _append(contract, things[1])).hex()
        fees = {"gas": hex(500_000), "maxFeePerGas": hex(10**11), "maxPriorityFeePerGas": hex(5 * 10**10)}
        await anvil.call("eth_sendTransaction", {"from": other, "to": contract.address, "data": call, **fees})
        await anvil.mine()
        with pytest.raises(SizeMismatchError):
            await mine
        await anvil.automine(on=True)
        await settle(contract, submitter)
    assert await entries_of(contract) == [things[1]]


async def _append(contract: Contract, entry: bytes) -> bytes:
    async with closing(contract.rpc()) as rpc:
        writer = await asyncio.to_thread(make_writer, contract, rpc)
        return parse_ticket((await writer.prepare(Parcel((entry,)))).draft.ticket).call


@asynccontextmanager
async def closing(rpc: Rpc) -> AsyncIterator[Rpc]:
    try:
        yield rpc
    finally:
        await rpc.close()


async def test_a_mirrors_batch_brings_its_note(contract: Contract, journal: Journal, things: list[bytes]) -> None:
    async with submitting(contract, journal) as submitter:
        await submitter.carry(Parcel(tuple(things[:3]), 0, 0, 3, b"\7" * 32, b"note"))
        await submitter.carry(Parcel((), 1, 3, 3, b"\7" * 32, b"an anchor alone"))
    async with closing(contract.rpc()) as rpc:
        status = await (await asyncio.to_thread(make_writer, contract, rpc)).status()
    assert (status.count, status.size, status.root) == (2, 3, b"\7" * 32)
    assert await entries_of(contract) == things[:3]


async def test_a_dropped_transaction_is_sent_again_in_the_same_bytes(
    contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil
) -> None:
    async with submitting(contract, journal) as submitter:
        await anvil.automine(on=False)
        task = await start_late(submitter, things[:3])
        [one, *_] = await sent(journal, 3)
        await until(lambda: anvil.call("eth_getTransactionByHash", one.place))
        await anvil.call("anvil_dropTransaction", one.place)
        assert await anvil.call("eth_getTransactionByHash", one.place) is None
        await until(lambda: anvil.call("eth_getTransactionByHash", one.place), "the same transaction")
        await anvil.mine()
        await task
        await anvil.automine(on=True)
        await settle(contract, submitter)
    assert await entries_of(contract) == things[:3]


async def test_a_nonce_that_somebody_else_took_costs_nothing(
    contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil
) -> None:
    async with submitting(contract, journal) as submitter:
        await anvil.automine(on=False)
        task = await start_late(submitter, things[:3])
        [one, *_] = await sent(journal, 3)
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
        await task
        await settle(contract, submitter)
    assert await entries_of(contract) == things[:3]
    assert {one.place for one in await journal.select()}.isdisjoint({one.place, rival[1]})


async def test_a_spike_of_the_base_fee_is_outbid_within_the_caps(
    contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil
) -> None:
    limits = Limits(caps=Caps(fee=200 * GWEI, tip=5 * GWEI))
    async with submitting(contract, journal, limits=limits) as submitter:
        await anvil.automine(on=False)
        task = await start_late(submitter, things[:3])
        [one, *_] = await sent(journal, 3)
        await anvil.call("anvil_setNextBlockBaseFeePerGas", hex(50 * GWEI))
        await anvil.mine()
        submitter.wake()
        await until(lambda: _replaced(journal, one.place or ""), "a replacement")
        await anvil.mine()
        await task
        await anvil.automine(on=True)
        await settle(contract, submitter)
    assert await entries_of(contract) == things[:3]


async def _replaced(journal: Journal, place: str) -> bool:
    return all(one.place != place for one in await journal.select())


async def test_above_the_cap_it_waits_and_says_so_and_goes_on_by_itself(
    contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil
) -> None:
    async with submitting(contract, journal, limits=Limits(caps=Caps(fee=20 * GWEI, tip=GWEI))) as submitter:
        await anvil.call("anvil_setNextBlockBaseFeePerGas", hex(300 * GWEI))
        await anvil.mine()
        task = await start_late(submitter, things[:3])
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
    async with submitting(contract, journal, limits=Limits(stuck=0.2)) as submitter:
        await anvil.automine(on=False)
        task = await start_late(submitter, things[:2])
        [one, *_] = await sent(journal, 2)
        await until(lambda: _replaced(journal, one.place or ""), "a replacement")
        found = await submitter._submissions.unsettled()
        first, second, *_ = parse_ticket(found[0].ticket).offers
        assert second.fees.fee * 8 >= first.fees.fee * 9
        assert second.fees.tip * 8 >= first.fees.tip * 9
        await anvil.mine()
        await task
        await anvil.automine(on=True)
        await settle(contract, submitter)
    assert await entries_of(contract) == things[:2]


@pytest.mark.parametrize("depth", [1, 5, 30])
async def test_what_a_reorganisation_takes_away_comes_back(
    contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil, depth: int
) -> None:
    pace = Pace(first=0.005, most=0.05, rest=0.1, patience=20.0)
    async with submitting(contract, journal, pace=pace) as submitter:

        async def never(_head: int) -> int:
            return -1

        submitter._chain._final_height = never  # type: ignore[attr-defined]  # finality waits until the branch has grown
        for at in range(0, 30, 10):
            await submitter.submit(things[at : at + 10])
        await anvil.mine(max(0, depth - 3))
        await anvil.reorg(depth)
        submitter.wake()
        await until(lambda: _all_there(contract, things[:30]), "what was taken away")
    assert await entries_of(contract) == things[:30]


async def test_reorganisations_in_the_middle_of_writing_lose_nothing(
    contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil
) -> None:
    pace = Pace(first=0.005, most=0.05, rest=0.1, patience=30.0, batch=5)
    async with submitting(contract, journal, pace=pace) as submitter:

        async def never(_head: int) -> int:
            return -1

        submitter._chain._final_height = never  # type: ignore[attr-defined]  # as above
        task = await start_late(submitter, things)
        for depth in (1, 2, 5, 3, 1):
            await asyncio.sleep(0.15)
            await until(partial(_is_above, anvil, depth), "blocks enough")
            await anvil.reorg(depth)
            submitter.wake()
        await task
        await until(lambda: _all_there(contract, things), "what was taken away")
    assert await entries_of(contract) == things


async def test_a_node_that_is_killed_and_lost_blocks_gets_them_again(tmp_path: Path, journal: Journal, things: list[bytes]) -> None:
    anvil = Anvil(*scratch_state(tmp_path))
    try:
        await anvil.start()
        contract = await Contract.deploy(anvil)
        async with submitting(contract, journal) as submitter:
            await submitter.submit(things[:10])
            await asyncio.sleep(2.2)  # the chain writes itself down every second
            await submitter.submit(things[10:20])
            await anvil.stop(kill=True)
            anvil = Anvil(*scratch_state(tmp_path), port=anvil.port)
            await anvil.start()
            contract.node = anvil
            submitter.wake()
            await until(lambda: _all_there(contract, things[:20]), "what the node had lost")
            await submitter.submit(things[20:30])
            await settle(contract, submitter)
        assert await entries_of(contract) == things[:30]
    finally:
        await anvil.stop()


async def _is_above(anvil: Anvil, height: int) -> bool:
    return await anvil.height() > height


async def _all_there(contract: Contract, entries: list[bytes]) -> bool:
    return await entries_of(contract) == entries


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
        task = await start_late(submitter, things[:3])
        await until(lambda: submitter.condition, "a condition")
        assert submitter.condition is not None
        assert "funds" in submitter.condition.message.lower()
        await anvil.call("anvil_setBalance", FUNDED, hex(10**20))
        submitter.wake()
        await task
    assert await entries_of(contract) == things[:3]


async def test_another_contract_at_the_address_is_never_written_to(
    contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil
) -> None:
    await anvil.call("anvil_setCode", contract.address, "0x6001600101")
    async with submitting(contract, journal, pace=Pace(first=0.01, most=0.05, patience=0.5)) as submitter:
        with pytest.raises(BadSourceError, match="not that of this contract"):
            await submitter.submit(things[:1])
    assert await journal.select() == []


async def test_a_provider_of_another_chain_is_left_out(contract: Contract, journal: Journal, things: list[bytes]) -> None:
    async with running_anvil("--chain-id", "999") as foreign:
        await foreign.call("anvil_setCode", contract.address, await contract.node.call("eth_getCode", contract.address, "latest"))
        rpc = Rpc([foreign.url, contract.node.url], contract.address, chain=contract.node.chain)
        async with submitting(contract, journal, rpc=rpc) as submitter:
            await submitter.submit(things[:3])
            assert rpc.providers[0].error is not None
            assert "chain 999" in rpc.providers[0].error
        assert await foreign.height() == 0
    assert await entries_of(contract) == things[:3]


async def test_without_any_provider_nothing_is_kept_or_claimed(contract: Contract, journal: Journal, things: list[bytes]) -> None:
    rpc = Rpc(["http://127.0.0.1:9"], contract.address)
    async with submitting(contract, journal, rpc=rpc, pace=Pace(first=0.01, most=0.05, patience=0.5)) as submitter:
        with pytest.raises(UnreachableError):
            await submitter.submit(things[:1])
    assert await journal.select() == []


@asynccontextmanager
async def between(url: str, deaf: set[str]) -> AsyncIterator[str]:
    """Stand between a client and its node: calls of the methods in `deaf` arrive, and their answers never leave."""

    async def pass_on(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        async with session.post(url, data=body, headers={"Content-Type": "application/json"}) as reply:
            answer = await reply.read()
        if any(f'"{method}"'.encode() in body for method in deaf):
            raise web.HTTPBadGateway
        return web.Response(body=answer, content_type="application/json")

    application = web.Application(client_max_size=1 << 24)
    application.router.add_post("/", pass_on)
    runner = web.AppRunner(application)
    async with aiohttp.ClientSession() as session:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


async def test_an_answer_that_never_came_is_looked_up(contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil) -> None:
    deaf = between(anvil.url, {"eth_sendRawTransaction"})
    async with deaf as url, submitting(contract, journal, rpc=Rpc([url], contract.address)) as submitter:
        await submitter.submit(things[:3])
        await submitter.submit(things[3:6])
        await settle(contract, submitter)
    assert await entries_of(contract) == things[:6]
    assert quantity(await anvil.call("eth_getTransactionCount", FUNDED, "latest")) == 3  # the deployment, and two


async def test_a_second_provider_takes_over(contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil) -> None:
    deaf = between(anvil.url, {"eth_sendRawTransaction"})
    async with deaf as url, submitting(contract, journal, rpc=Rpc([url, anvil.url], contract.address)) as submitter:
        await submitter.submit(things[:3])
        await settle(contract, submitter)
    assert await entries_of(contract) == things[:3]


async def test_final_is_what_two_providers_show(contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil) -> None:
    silent = {"eth_getTransactionReceipt"}
    async with between(anvil.url, silent) as url, submitting(contract, journal, rpc=Rpc([anvil.url, url], contract.address)) as submitter:
        await submitter.submit(things[:3])
        for _ in range(5):
            await anvil.mine(CONFIRMATIONS)
            submitter.wake()
            await asyncio.sleep(0.05)
        assert await states(journal) == {State.INCLUDED}
        silent.clear()
        await asyncio.sleep(2.1)  # the second one rests after its failures
        await settle(contract, submitter)
    assert await states(journal) == {State.FINAL}


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
            task = await start_late(submitter, things[:3])
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
        task = await start_late(submitter, things)
        await until(lambda: submitter.unsettled == 4)
        await until(lambda: _pooled(anvil, 4))
        await anvil.automine(on=True)
        await anvil.mine()
        await task
        await settle(contract, submitter)
    assert await entries_of(contract) == things


async def _pooled(anvil: Anvil, count: int) -> bool:
    return quantity((await anvil.call("txpool_status"))["pending"]) == count


async def test_a_stranger_may_write_between(contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil) -> None:
    async with submitting(contract, journal) as submitter:
        await submitter.submit(things[:3])
        await send(anvil, await _append(contract, things[10]), contract.address)
        await submitter.submit(things[3:6])
        await settle(contract, submitter)
    assert await entries_of(contract) == [*things[:3], things[10], *things[3:6]]
    assert PACE.window == 1
