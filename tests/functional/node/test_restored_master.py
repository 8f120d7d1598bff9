"""A master that runs on an old copy of itself is stopped by the first ordinary node that comes by, without any operator."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING

import pytest

from ledger.core.errors import ForkRiskError
from tests.support.live import LiveNetwork, eventually, ledger_cli, reaches, size_of

if TYPE_CHECKING:
    from pathlib import Path


async def at_risk(network: LiveNetwork) -> bool:
    async with network.transport() as admin:
        return b'"fork_risk":"' in (await admin.get("/v1/status")).body


@pytest.mark.parametrize(("agent", "rotated"), [(True, False), (False, False), (True, True)])
async def test_node_that_knows_more_stops_a_master_on_an_old_copy(
    own_network: LiveNetwork, tmp_path: Path, agent: bool, rotated: bool
) -> None:
    """With `rotated`, what the node knows is signed by a key that the old copy never heard of."""
    network = own_network
    home = await network.join("node-1")
    await asyncio.to_thread(network.master.stop)
    old = tmp_path / "old"
    await asyncio.to_thread(shutil.copytree, network.home, old)  # its head.json too: nothing in it says that it is old
    await asyncio.to_thread(network.master.restart)
    node = await asyncio.to_thread(network.start_node, home, poll=0.2) if agent else None
    if rotated:
        assert (await asyncio.to_thread(ledger_cli, network.home, "rotate", "log-key", "--stolen")).returncode == 0
    (published,) = await network.publish("what the copy does not have")
    if agent:
        await reaches(home, await size_of(network.home))
    else:
        assert (await asyncio.to_thread(ledger_cli, home, "sync")).returncode == 0

    await asyncio.to_thread(network.master.stop)
    await asyncio.to_thread(shutil.rmtree, network.home)
    await asyncio.to_thread(shutil.copytree, old, network.home)
    await asyncio.to_thread(network.master.restart)
    if node is None:
        assert (await asyncio.to_thread(ledger_cli, home, "sync")).returncode in (0, 5)
    await eventually(lambda: at_risk(network), "the master stops signing")
    async with network.client() as author:
        (refused,) = [one async for one in author.publish([{"site": {"name": "on the fork"}}])]
    assert isinstance(refused.error, ForkRiskError)
    assert network.master.events("fork-risk-presented")
    kept = await asyncio.to_thread(lambda: sorted(path.name for path in (network.home / "evidence").iterdir()))
    assert [name.rpartition("-")[2] for name in kept] == ["own.note", "presented.note"]
    async with network.client(home) as reader:  # and the node answers as before
        assert await reader.policy(published.id)
