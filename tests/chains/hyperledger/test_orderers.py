"""A real network's orderer is killed or frozen while transactions are under way. The stand-in orders by itself, so it has no such tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.hyperledger.peer import Peer
from ledger.core.errors import OutcomeUnknown
from tests.support.fabric.peers import append, carried, hasty_peer, holders, strike_while_writing
from tests.support.fabric.real import running_real_network

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from blockchain_adapters.hyperledger.bridge import Bridge
    from tests.support.fabric.shape import FabricNetwork

pytestmark = [pytest.mark.java, pytest.mark.fabric]


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[FabricNetwork]:
    async with running_real_network(tmp_path / "fabric") as one:
        yield one


@pytest.fixture
async def peer(bridge: Bridge, real: FabricNetwork) -> Peer:
    one = Peer(bridge, real.profile())
    await append(one, b"the first")
    return one


async def test_an_orderer_that_was_killed_takes_the_ticket_afterwards(real: FabricNetwork, peer: Peer) -> None:
    endorsed = await peer.endorse("Append", b"batch")
    real.kill("orderer0")
    with pytest.raises(OutcomeUnknown):
        await peer.submit(endorsed)
    assert await peer.committed(endorsed.transaction, 0.5) is None
    await real.start("orderer0")
    await carried(peer, endorsed)
    assert await holders(peer, b"batch") == [endorsed.transaction]


async def test_an_orderer_that_is_frozen_leaves_a_submit_unknown(real: FabricNetwork, bridge: Bridge, peer: Peer) -> None:
    hasty = hasty_peer(bridge, real.profile())
    endorsed = await peer.endorse("Append", b"batch")
    real.freeze("orderer0")
    with pytest.raises(OutcomeUnknown):
        await hasty.submit(endorsed)
    assert await hasty.committed(endorsed.transaction, 0.5) is None
    real.thaw("orderer0")
    await carried(peer, endorsed)
    assert await holders(peer, b"batch") == [endorsed.transaction]


@pytest.mark.parametrize("way", ["killed", "frozen"])
async def test_of_many_under_way_none_is_lost_and_none_stands_twice(real: FabricNetwork, bridge: Bridge, peer: Peer, way: str) -> None:
    await append(peer, b"the second")
    await strike_while_writing(real, hasty_peer(bridge, real.profile()), "orderer0", way)
