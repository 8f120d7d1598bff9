"""What `create chaincode` prints is typed on a real network, word for word; then a batch stands there."""

from __future__ import annotations

import asyncio
import json
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.hyperledger.package import Chaincode
from blockchain_adapters.hyperledger.peer import Peer
from tests.support.fabric.configuration import Plan
from tests.support.fabric.part import Part
from tests.support.fabric.peers import append, until
from tests.support.fabric.real import RealNetwork
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from blockchain_adapters.hyperledger.bridge import Bridge

pytestmark = [pytest.mark.java, pytest.mark.fabric]
SECONDS = 50
RUNS = "./metaledger-chaincode"


@pytest.fixture
async def bare(tmp_path: Path) -> AsyncIterator[RealNetwork]:
    """Two organisations and a channel without chaincode."""
    network = RealNetwork(tmp_path / "fabric", Plan(organisations=2))
    try:
        await network.start_nodes()
        yield network
    finally:
        await asyncio.to_thread(network.stop)


async def typed(network: RealNetwork, organisation: int, line: str, folder: Path) -> str:
    """Type a line in `folder`, again while what it needs of other machines is not there yet."""
    said = ""
    for _ in range(SECONDS * 5):
        done = await asyncio.to_thread(
            subprocess.run,
            ["bash", "-c", line],
            cwd=folder,
            env=network.administration(organisation),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        if done.returncode == 0:
            return done.stdout
        said = done.stderr[-600:]
        await asyncio.sleep(0.2)
    raise AssertionError(f"{line}: {said}")


async def test_what_is_printed_deploys_the_chaincode(bridge: Bridge, bare: RealNetwork, tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "out"
    one = Chaincode(f"127.0.0.1:{port}", ("Org1MSP", "Org2MSP"))
    package_id = await asyncio.to_thread(one.write, folder)
    lines = [line for line in one.steps() if not line.startswith("#")]
    build, run, install, approve, commit, configure, query = lines
    await typed(bare, 0, build, folder)
    assert run.endswith(RUNS)
    served = Part(["bash", "-c", f"exec env {run}"], port, tmp_path / "chaincode.log", {}, folder)
    served.launch()
    try:
        await served.listens()
        for organisation in range(2):
            await typed(bare, organisation, install, folder)
            shown = await typed(bare, organisation, "peer lifecycle chaincode queryinstalled", folder)
            assert package_id in shown
            await typed(bare, organisation, approve, folder)
        await typed(bare, 0, commit, folder)
        await typed(bare, 0, configure, folder)
        standing = json.loads(await typed(bare, 0, query, folder))
        rules = [{"msp": "Org1MSP"}, {"msp": "Org2MSP"}]
        assert standing["policy"] == {"append": rules, "admin": rules[:1]}
        for number in range(2):
            peer = Peer(bridge, bare.profile(peer=number))
            await until(partial(append, peer, b"batch"))
    finally:
        await asyncio.to_thread(served.stop)
