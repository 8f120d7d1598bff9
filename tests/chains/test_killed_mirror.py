"""A master that mirrors its log, and the chain that it mirrors to, killed again and again: nothing lost, nothing twice, order kept."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.ethereum.rpc import quantity
from tests.support.anvil import Anvil, scratch_state
from tests.support.live import eventually, founded
from tests.support.mirroring_master import Mirrored, log_of, play

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.live import LiveNetwork

__all__ = ["founded"]

EACH = 30  # entries a round
LONGEST = 0.3
SECONDS = 60.0


@pytest.mark.parametrize(
    "rounds",
    [pytest.param(20, marks=pytest.mark.timeout(240)), pytest.param(100, marks=[pytest.mark.siege, pytest.mark.timeout(1_200)])],
)
def test_what_is_killed_in_mid_batch_goes_on(founded: Path, tmp_path: Path, rounds: int) -> None:
    async def story(scene: Mirrored, anvil: Anvil) -> None:
        chain = Chain(scene, anvil, tmp_path / "state.json")
        try:
            await _live_and_die(scene, chain, rounds)
        finally:
            await chain.anvil.stop()

    play(founded, tmp_path, story)


async def _live_and_die(scene: Mirrored, chain: Chain, rounds: int) -> None:
    chance = random.Random(rounds)
    await eventually(chain.is_written_down, "the contract is on the chain's disk")
    await asyncio.to_thread(scene.write)
    acknowledged = 0
    for number in range(rounds):
        held = chance.random() < 0.5
        if held:
            await chain.anvil.automine(on=False)
        await scene.network.publish(*(f"site {number}-{one}" for one in range(EACH)))
        acknowledged += EACH
        if held:
            await eventually(chain.holds_one_back, "a batch has left and stands in no block", SECONDS)
        else:
            await asyncio.sleep(chance.uniform(0, LONGEST))
        await _kill(scene.network, chain, chance.choice(("master", "chain", "both")), mined=chance.random() < 0.5)

    await scene.holds_the_log(within=SECONDS)
    assert len(await log_of(scene)) > acknowledged


async def _kill(network: LiveNetwork, chain: Chain, victim: str, *, mined: bool) -> None:
    """Kill, and start again. `mined`: what was held back comes into a block before; else who starts again meets it in the pool."""
    if mined:
        await chain.anvil.mine()
    if victim != "chain":
        await asyncio.to_thread(network.master.kill)
    if victim != "master":
        await chain.kill()
    if victim != "chain":
        await asyncio.to_thread(network.master.restart)
    if not mined:
        await chain.anvil.mine()
    await chain.anvil.automine(on=True)


class Chain:
    """The anvil of a scene, as long as it lives, and its disk: what it writes down once a second."""

    def __init__(self, scene: Mirrored, anvil: Anvil, disk: Path) -> None:
        self.anvil = anvil
        self._scene = scene
        self._disk = disk

    async def is_written_down(self) -> bool:
        return await asyncio.to_thread(self._read) is not None

    async def holds_one_back(self) -> bool:
        return quantity((await self.anvil.call("txpool_status"))["pending"]) > 0

    async def kill(self) -> None:
        """Kill it and start it again, with the blocks that it wrote down."""
        port = self.anvil.port
        await asyncio.to_thread(self._keep)
        await self.anvil.stop(kill=True)
        await asyncio.to_thread(self._restore)
        self.anvil = self._scene.contract.node = Anvil(*scratch_state(self._disk.parent), port=port)
        await self.anvil.start()

    def _read(self) -> str | None:
        """Return what is written down, if it is whole: anvil writes over its file, at its start before it has read it."""
        try:
            text = self._disk.read_text()
            json.loads(text)
        except (OSError, ValueError):
            return None
        return text if self._scene.contract.address in text else None

    def _keep(self) -> None:
        text = self._read()
        if text is not None:
            self._disk.with_suffix(".kept").write_text(text)

    def _restore(self) -> None:
        if self._read() is None:
            shutil.copyfile(self._disk.with_suffix(".kept"), self._disk)
