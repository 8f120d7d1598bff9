"""What a follower keeps is what the chain holds, through reorganisations of any depth: on anvil, and on geth."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.chainfile import ChainFile, select, total
from blockchain_adapters.follow import Follower
from ledger.core.errors import BadSourceError
from tests.support.contract import Contract
from tests.support.small_network import SmallNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from blockchain_adapters.ethereum.rpc import Rpc
    from blockchain_adapters.follow import Batch, Step
    from tests.support.anvil import Anvil
    from tests.support.geth import Geth


class Reading:
    """A follower of one contract, with its file."""

    def __init__(self, contract: Contract, kept: ChainFile) -> None:
        self.contract = contract
        self.kept = kept
        self.rpc: Rpc = contract.rpc()
        self.follower = Follower(kept)

    async def step(self) -> Step:
        found: Step = await self.rpc.ask(lambda provider: self.follower.step(self.contract.view(provider)))
        return found

    async def batches(self) -> list[Batch]:
        return [held.batch for held in await self.kept.read(lambda connection: select(connection, "NOT gone ORDER BY id"))]

    async def entries(self) -> int:
        return await self.kept.read(total)

    async def chain(self) -> list[Batch]:
        """Read everything afresh, block by block: over a range geth may still leave out what its index lacks."""
        view = self.contract.view(self.rpc.providers[0])
        tip = (await view.tip()).block.height
        return [one for height in range(tip + 1) for one in (await view.batches(height, height)).batches]


@pytest.fixture
async def reading(contract: Contract, tmp_path: Path) -> AsyncIterator[Reading]:
    async for one in open_reading(contract, tmp_path / "chain.db"):
        yield one


async def open_reading(contract: Contract, path: Path) -> AsyncIterator[Reading]:
    kept = await asyncio.to_thread(ChainFile.open, path)
    one = Reading(contract, kept)
    yield one
    await one.rpc.close()
    await kept.close()


def plain(batches: list[Batch]) -> list[tuple[int, bytes]]:
    return [(one.number, one.payload) for one in batches]


async def test_what_came_is_kept_in_order_with_its_positions(reading: Reading) -> None:
    network = SmallNetwork()
    await reading.contract.append(*(one.entry for one in network.first))
    await reading.contract.submit(b"junk")
    await reading.contract.append(network.put("a").entry, network.put("b").entry)
    step = await reading.step()
    assert (step.added, step.undone) == (3, False)
    held = await reading.kept.read(lambda connection: select(connection, "NOT gone ORDER BY id"))
    assert [(one.entries, one.place) for one in held] == [(3, 0), (0, 3), (2, 3)]
    assert [one.batch for one in held] == await reading.chain()
    assert (await reading.step()).added == 0


@pytest.mark.parametrize("depth", [1, 5, 30])
async def test_a_reorganisation_is_followed_to_its_fork_point(reading: Reading, anvil: Anvil, depth: int) -> None:
    network = SmallNetwork()
    await reading.contract.append(*(one.entry for one in network.first))
    await anvil.mine(3)
    for number in range(depth + 5):
        await reading.contract.append(network.put(f"t{number}").entry)
    assert (await reading.step()).added == depth + 6
    await anvil.reorg(depth)
    step = await reading.step()
    assert step.undone
    assert await reading.batches() == await reading.chain()
    assert await reading.entries() == 3 + 5
    await reading.contract.append(network.put("after").entry)
    assert not (await reading.step()).undone
    assert await reading.batches() == await reading.chain()
    assert len(await reading.batches()) == 7


async def test_blocks_that_go_without_others_are_undone(reading: Reading, anvil: Anvil) -> None:
    network = SmallNetwork()
    for number in range(6):
        await reading.contract.append(network.put(f"t{number}").entry)
    await reading.step()
    await anvil.roll_back(2)
    assert (await reading.step()).undone
    assert await reading.entries() == 4


async def test_a_reorganisation_below_what_was_final_is_refused(reading: Reading, anvil: Anvil) -> None:
    await reading.contract.append(SmallNetwork().first[0].entry)
    await anvil.mine(70)
    before = await reading.step()
    assert before.cursor.final == await anvil.height() - 64
    await anvil.reorg(69)
    with pytest.raises(BadSourceError, match="was final"):
        await reading.step()
    assert await reading.kept.cursor() == before.cursor


@pytest.mark.geth
@pytest.mark.parametrize("depth", [1, 5, 30])
async def test_a_real_branch_switch_is_followed_and_its_transactions_come_back(geth: Geth, tmp_path: Path, depth: int) -> None:
    contract, network = await Contract.deploy(geth), SmallNetwork()
    await contract.append(*(one.entry for one in network.first))
    async for reading in open_reading(contract, tmp_path / "chain.db"):
        geth.automatic = False
        for number in range(depth):
            await contract.submit(b"\x00%d" % number)
            await geth.mine()
        assert (await reading.step()).added == depth + 1
        before = await reading.batches()
        await geth.reorg(depth)
        assert (await reading.step()).undone
        while len(after := await reading.batches()) < len(before):  # geth puts them back in its own time
            await geth.mine()
            await reading.step()
        assert after == await reading.chain()
        assert plain(after) == plain(before)
        assert after[0] == before[0]
        assert not {one.block_hash for one in after[1:]} & {one.block_hash for one in before}


@pytest.mark.geth
async def test_nothing_is_final_before_the_chain_says_so(geth: Geth, tmp_path: Path) -> None:
    contract = await Contract.deploy(geth)
    async for reading in open_reading(contract, tmp_path / "chain.db"):
        await contract.append(SmallNetwork().first[0].entry)
        await geth.mine(3)
        assert (await reading.step()).cursor.final == 0
        await geth.finalize(2)
        assert (await reading.step()).cursor.final == 2
