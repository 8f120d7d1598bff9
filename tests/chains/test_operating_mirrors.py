"""Mirrors as their operator meets them: one that gave up, one that rests, two at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from eth_account import Account as EthAccount

from ledger.home.home import Home
from ledger.home.mirrors import Mirror, write_mirrors
from tests.support.anvil import running_anvil
from tests.support.chain_homes import write_account
from tests.support.chain_writing import entries_of
from tests.support.contract import Contract
from tests.support.live import eventually, founded
from tests.support.mirroring_master import Mirrored, log_of, note_of, play

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.anvil import Anvil

__all__ = ["founded"]

pytestmark = pytest.mark.timeout(120)

OTHER_KEY = "0x" + "21" * 32
OTHER = EthAccount.from_key(OTHER_KEY).address


def test_what_no_block_takes_is_given_up_until_it_is_tried_again(founded: Path, tmp_path: Path) -> None:
    play(founded, tmp_path, _dead_story)


async def _dead_story(scene: Mirrored, anvil: Anvil) -> None:
    await anvil.call("evm_setBlockGasLimit", hex(40_000))
    await asyncio.to_thread(scene.write)
    dead = await scene.reaches("dead", says="gas")
    assert dead["lag"] > 0
    await scene.network.publish("Oslo")  # nothing waits for a mirror
    await anvil.call("evm_setBlockGasLimit", hex(30_000_000))
    log = await log_of(scene)
    await scene.contract.anchor(await note_of(scene), log[:5])  # somebody else's, and right
    seen = await scene.until(lambda one: one["size"] == 5, "it has looked at the contract again")
    assert seen["state"] == "dead"
    assert await entries_of(scene.contract) == log[:5]  # it was left alone
    (await scene.cli("retry", "mirror", scene.contract.address)).good()
    await scene.reaches("current")
    assert await entries_of(scene.contract) == await log_of(scene)


def test_two_mirrors_at_one_address_of_two_chains_hold_the_same_log(founded: Path, tmp_path: Path) -> None:
    play(founded, tmp_path, _two_story)


async def _two_story(scene: Mirrored, _anvil: Anvil) -> None:
    """Mirror to a second chain, on which the same account made the same contract; then that chain goes away."""
    async with running_anvil("--chain-id", "999") as second:
        other = await Contract.deploy(second)
        assert other.address == scene.contract.address
        await second.call("anvil_setBalance", OTHER, hex(10**18))
        await asyncio.to_thread(_write_both, scene, other)

        async def both() -> bool:
            await asyncio.sleep(0.3)
            log = await log_of(scene)
            return await entries_of(scene.contract) == log == await entries_of(other)

        await scene.network.publish("Oslo", "Bergen")
        await eventually(both, "both mirrors hold the log", 30)
        await scene.network.publish("Voss")
        await eventually(both, "both mirrors hold what came after", 30)
    await scene.network.publish("Hamar")

    async def alone() -> bool:
        await asyncio.sleep(0.3)
        return await entries_of(scene.contract) == await log_of(scene)

    await eventually(alone, "the mirror whose chain is there goes on", 30)
    rows = (await scene.cli("get", "mirrors", "-o", "json")).good().json
    assert {one["url"]: one["lag"] > 0 for one in rows} == {scene.contract.ledger: False, other.ledger: True}


def _write_both(scene: Mirrored, other: Contract) -> None:
    """Write both mirrors into the home, each with an account file of its own (blocking)."""
    home = Home(scene.home)
    write_account(home.keys / "other.json", OTHER_KEY)
    write_mirrors(
        home,
        [
            Mirror(url=scene.contract.ledger, key="ethereum.json", every=0.0),
            Mirror(url=other.ledger, key="other.json", every=0.0),
        ],
    )
