"""`run node` against a chain: a mirror with its master away, and a network that the chain orders."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from ledger.client.place import Place
from tests.support.anvil import running_anvil
from tests.support.contract import Contract
from tests.support.live import founded, ledger_cli, open_client, own_network, reaches, state_root_of
from tests.support.mirrored import Mirroring

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.live import LiveNetwork

__all__ = ["founded", "own_network"]


def test_a_node_follows_the_mirror_while_the_master_is_away(own_network: LiveNetwork) -> None:
    asyncio.run(_with_contract(own_network, _mirror_story))


async def _with_contract(network: LiveNetwork, story: Callable[[LiveNetwork, Contract], Awaitable[None]]) -> None:
    async with running_anvil() as anvil:
        try:
            await story(network, await Contract.deploy(anvil))
        finally:
            network.stop_nodes()


async def _mirror_story(own_network: LiveNetwork, contract: Contract) -> None:
    home, other = await own_network.join("edge"), await own_network.join("other")
    await own_network.publish("Oslo", "Bergen")
    master = (await asyncio.to_thread(lambda: Place.find(own_network.home))).https(own_network.url)
    mirroring = Mirroring(master, contract)
    await mirroring.copy()
    async with open_client(other) as client:
        wanted = await client.sync()
    await own_network.publish("Voss")
    await mirroring.copy()
    await master.close()
    await asyncio.to_thread(own_network.master.stop)
    node = await asyncio.to_thread(lambda: own_network.start_node(home, ledger=contract.ledger))
    await reaches(home, wanted.size + 1)
    assert json.loads((await asyncio.to_thread(ledger_cli, home, "get", "site", "-o", "json")).stdout)
    async with open_client(home) as client:
        answer = await client.get("site")
        assert len(answer.policies) == 3
        report = await client.sync()
        assert report.agent
        assert report.size == wanted.size + 1
    assert await state_root_of(home) == await state_root_of(own_network.home)
    assert [one["source"] for one in node.events("synced")][:1] == [contract.ledger]
