"""A chain that takes back what a master mirrored, or goes away: it is mirrored again, and who reads it notices nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.support.anvil import Anvil, running_anvil, scratch_state
from tests.support.chain_homes import reader_home
from tests.support.geth import Geth, running_geth
from tests.support.live import eventually, founded, open_client
from tests.support.mirroring_master import Mirrored, log_of, play, play_on

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["founded"]

pytestmark = pytest.mark.timeout(120)

NAMES = ("Oslo", "Bergen", "Voss")


@pytest.mark.parametrize("depth", [1, 5, 30])
def test_a_reorganisation_is_mirrored_again(founded: Path, tmp_path: Path, depth: int) -> None:
    async def story(scene: Mirrored, anvil: Anvil) -> None:
        await _reorganised(scene, anvil, depth)

    play_on(running_anvil(), founded, tmp_path, story)


@pytest.mark.geth
def test_a_switch_of_branches_is_mirrored_again(founded: Path, tmp_path: Path) -> None:
    async def story(scene: Mirrored, geth: Geth) -> None:
        await _reorganised(scene, geth, 5)

    folder = tmp_path / "geth"
    folder.mkdir()
    play_on(running_geth(folder), founded, tmp_path, story)


async def _reorganised(scene: Mirrored, chain: Anvil | Geth, depth: int) -> None:
    """Mirror in several blocks, let a reader follow, and take the newest blocks away while the next entries are written."""
    await asyncio.to_thread(scene.write)
    for name in NAMES:
        await scene.network.publish(name)
        await scene.reaches("current")
    await chain.mine(max(0, depth - len(NAMES)))
    reader = await asyncio.to_thread(reader_home, scene.home.parent / "reader", scene.network.network, scene.contract.ledger)
    async with open_client(reader) as client:
        before = (await client.sync()).size
        assert before == len(await log_of(scene))
        await asyncio.gather(chain.reorg(depth), scene.network.publish("Hamar"))
        assert (await client.sync()).size >= before  # what a note proved stays proven
        await scene.holds_the_log()
        assert (await client.sync()).size == len(await log_of(scene))
        assert (await client.status())["state"] == "ok"


def test_a_chain_that_goes_away_is_taken_up_again(founded: Path, tmp_path: Path) -> None:
    play(founded, tmp_path, _away)


async def _away(scene: Mirrored, anvil: Anvil) -> None:
    await asyncio.to_thread(scene.write)
    await scene.network.publish("before the chain goes")
    await scene.reaches("current")
    disk = scene.home.parent / "state.json"
    await eventually(lambda: disk.exists() and scene.contract.address in disk.read_text(), "the contract is on the chain's disk")
    port = anvil.port
    await anvil.stop()
    await scene.network.publish("while it is away")  # nothing waits for a mirror
    waits = await scene.reaches("waits", says="connection")
    assert (waits["code"], waits["lag"] > 0) == ("unreachable", True)
    again = scene.contract.node = Anvil(*scratch_state(disk.parent), port=port)
    try:
        await again.start()
        await scene.reaches("current", seconds=90)
        await scene.holds_the_log()
    finally:
        await again.stop()
