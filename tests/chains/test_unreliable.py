"""Writing to a chain that takes back, and through providers that fail, are silent or lie: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from blockchain_adapters.ethereum.rpc import Rpc, quantity
from blockchain_adapters.submit import Pace
from ledger.core.errors import BadSourceError, UnreachableError
from ledger.engine.journal import State
from tests.support.anvil import FUNDED, Anvil, running_anvil, scratch_state
from tests.support.chain_writing import (
    CONFIRMATIONS,
    NEVER,
    entries_of,
    has_all,
    settle,
    states,
    submitting,
    until,
)
from tests.support.contract import Contract
from tests.support.web import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ledger.engine.journal import Journal


@pytest.mark.parametrize("depth", [1, 5, 30])
async def test_what_a_reorganisation_takes_away_comes_back(
    contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil, depth: int
) -> None:
    pace = Pace(first=0.005, most=0.05, rest=0.1, patience=20.0)
    async with submitting(contract, journal, pace=pace, confirmations=NEVER) as submitter:  # finality waits until the branch has grown
        for at in range(0, 30, 10):
            await submitter.submit(things[at : at + 10])
        await anvil.mine(max(0, depth - 3))
        await anvil.reorg(depth)
        submitter.wake()
        await until(lambda: has_all(contract, things[:30]), "what was taken away")
    assert await entries_of(contract) == things[:30]


async def test_reorganisations_in_the_middle_of_writing_lose_nothing(
    contract: Contract, journal: Journal, things: list[bytes], anvil: Anvil
) -> None:
    pace = Pace(first=0.005, most=0.05, rest=0.1, patience=30.0, batch=5)
    async with submitting(contract, journal, pace=pace, confirmations=NEVER) as submitter:
        task = asyncio.create_task(submitter.submit(things))
        for depth in (1, 2, 5, 3, 1):
            await asyncio.sleep(0.15)
            await until(partial(_is_above, anvil, depth), "blocks enough")
            await anvil.reorg(depth)
            submitter.wake()
        await task
        await until(lambda: has_all(contract, things), "what was taken away")
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
            await until(lambda: has_all(contract, things[:20]), "what the node had lost")
            await submitter.submit(things[20:30])
            await settle(contract, submitter)
        assert await entries_of(contract) == things[:30]
    finally:
        await anvil.stop()


async def _is_above(anvil: Anvil, height: int) -> bool:
    return await anvil.height() > height


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
    async with aiohttp.ClientSession() as session, serving(application) as served:
        yield served


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
