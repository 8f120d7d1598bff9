"""The same writer on geth, whose pool keeps its own rules, and whose reorganisations and finality are real."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.ethereum.rpc import quantity
from blockchain_adapters.ethereum.ticket import parse_ticket
from blockchain_adapters.ethereum.writer import Limits
from blockchain_adapters.transactions import Parcel
from ledger.core.errors import SizeMismatchError
from ledger.engine.journal import State
from tests.support.chain_writing import NEVER, entries_of, has_all, settle, submitting, until
from tests.support.contract import Contract
from tests.support.small_network import SmallNetwork

if TYPE_CHECKING:
    from ledger.core.canonical import JSON
    from ledger.engine.journal import Journal
    from tests.support.geth import Geth

pytestmark = pytest.mark.geth


async def test_operations_become_final(geth: Geth, journal: Journal, things: list[bytes]) -> None:
    contract = await Contract.deploy(geth)
    async with submitting(contract, journal) as submitter:
        await submitter.submit(things)
        landed = await submitter.carry(Parcel((things[0],), expected=1))
        assert landed.block > 0
        with pytest.raises(SizeMismatchError):
            await submitter.carry(Parcel((things[1],), expected=1))
        await settle(contract, submitter)
    assert {one.state for one in await journal.select()} == {State.FINAL}
    assert await entries_of(contract) == [*things, things[0]]


async def test_the_largest_batch_fits_the_pool(geth: Geth, journal: Journal) -> None:
    contract = await Contract.deploy(geth)
    network = SmallNetwork()
    entries = [network.put(f"thing-{at}", pad=noise(at)).entry for at in range(300)]
    async with submitting(contract, journal) as submitter:
        await submitter.submit(entries)
        await settle(contract, submitter)
    assert await entries_of(contract) == entries
    places = {one.place for one in await journal.select()}
    sizes = [len((await geth.call("eth_getTransactionByHash", one))["input"]) // 2 for one in places]
    assert max(sizes) > 120_000  # it goes to the edge


def noise(seed: int) -> list[JSON]:
    """Return what no codec makes smaller than 700 bytes."""
    chance = random.Random(seed)
    return [chance.randbytes(100).hex() for _ in range(7)]


async def test_geths_pool_takes_the_replacement(geth: Geth, journal: Journal, things: list[bytes]) -> None:
    contract = await Contract.deploy(geth)
    geth.automatic = False
    async with submitting(contract, journal, limits=Limits(stuck=0.3)) as submitter:
        task = asyncio.create_task(submitter.submit(things[:3]))
        for _ in range(500):
            await asyncio.sleep(0.02)
            found = submitter.underway
            if found and len(parse_ticket(found[0].ticket).offers) > 2:
                break
        pool = await geth.call("txpool_status")
        assert (quantity(pool["pending"]), quantity(pool["queued"])) == (1, 0)
        assert submitter.condition is None
        geth.automatic = True
        await task
        await settle(contract, submitter)
    assert await entries_of(contract) == things[:3]


@pytest.mark.parametrize("depth", [1, 5])
async def test_a_switch_of_branches_loses_nothing(geth: Geth, journal: Journal, things: list[bytes], depth: int) -> None:
    contract = await Contract.deploy(geth)
    async with submitting(contract, journal, confirmations=NEVER) as submitter:  # finality waits until the branch has grown
        for at in range(0, len(things), 10):
            await submitter.submit(things[at : at + 10])
        await geth.reorg(depth)
        submitter.wake()
        await until(lambda: has_all(contract, things), "what was taken away")
    assert {one.attempts for one in await journal.select()} == {1}
