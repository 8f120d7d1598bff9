"""Parts of a network are killed or frozen while transactions are under way. A transaction that has its ticket is never lost and never
stands twice; "not found" is not final; what answers again is used again."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.hyperledger.faults import ChaincodeDownError, PeerDownError, TimeUpError
from blockchain_adapters.hyperledger.peer import Peer
from ledger.core.errors import OutcomeUnknown, UnreachableError
from tests.support.fabric.peers import append, carried, hasty_peer, holders, strike_while_writing, until

if TYPE_CHECKING:
    from blockchain_adapters.hyperledger.bridge import Bridge
    from tests.support.fabric.shape import FabricNetwork

pytestmark = pytest.mark.java


@pytest.fixture
async def peer(bridge: Bridge, network: FabricNetwork) -> Peer:
    one = Peer(bridge, network.profile())
    await append(one, b"the first")
    return one


async def test_a_chaincode_that_was_killed_is_named_and_used_again(network: FabricNetwork, peer: Peer) -> None:
    network.kill("chaincode0")
    with pytest.raises(ChaincodeDownError):
        await peer.evaluate("Status")
    with pytest.raises(ChaincodeDownError):
        await peer.endorse("Append", b"batch")
    await network.start("chaincode0")
    endorsed = await until(lambda: peer.endorse("Append", b"batch"))
    await carried(peer, endorsed)
    assert await holders(peer, b"batch") == [endorsed.transaction]


async def test_a_chaincode_that_is_frozen_costs_only_time(network: FabricNetwork, bridge: Bridge, peer: Peer) -> None:
    hasty = hasty_peer(bridge, network.profile())
    network.freeze("chaincode0")
    with pytest.raises(TimeUpError):
        await hasty.evaluate("Status")
    with pytest.raises(TimeUpError):
        await hasty.endorse("Append", b"batch")
    network.thaw("chaincode0")
    await append(peer, b"batch")
    assert len(await holders(peer, b"batch")) == 1


async def test_a_peer_that_was_killed_between_endorse_and_submit_takes_the_ticket_afterwards(network: FabricNetwork, peer: Peer) -> None:
    endorsed = await peer.endorse("Append", b"batch")
    before = await peer.height()
    network.kill("peer0")
    with pytest.raises(PeerDownError):
        await peer.evaluate("Status")
    with pytest.raises((OutcomeUnknown, UnreachableError)):
        await peer.submit(endorsed)
    await network.start("peer0")
    assert await until(peer.height) == before
    placed = await carried(peer, endorsed)
    assert await holders(peer, b"batch") == [placed.transaction]


async def test_a_peer_that_is_frozen_leaves_a_submit_unknown(network: FabricNetwork, bridge: Bridge, peer: Peer) -> None:
    hasty = hasty_peer(bridge, network.profile())
    endorsed = await hasty.endorse("Append", b"batch")
    network.freeze("peer0")
    with pytest.raises(OutcomeUnknown) as raised:
        await hasty.submit(endorsed)
    assert raised.value.context["operation"] == endorsed.transaction
    assert await hasty.committed(endorsed.transaction, 0.5) is None
    network.thaw("peer0")
    await carried(peer, endorsed)
    assert await holders(peer, b"batch") == [endorsed.transaction]


async def test_a_bridge_that_was_killed_in_a_submit_leaves_one_transaction(bridge: Bridge, peer: Peer) -> None:
    endorsed = await peer.endorse("Append", b"batch")
    assert bridge.pid is not None
    sending = asyncio.create_task(peer.submit(endorsed))
    await asyncio.sleep(0)  # it is on its way
    os.kill(bridge.pid, signal.SIGKILL)
    await asyncio.gather(sending, return_exceptions=True)
    await carried(peer, endorsed)
    assert bridge.generation > 1
    assert await holders(peer, b"batch") == [endorsed.transaction]


@pytest.mark.parametrize("part", ["chaincode0", "peer0"])
@pytest.mark.parametrize("way", ["killed", "frozen"])
async def test_of_many_under_way_none_is_lost_and_none_stands_twice(
    network: FabricNetwork, bridge: Bridge, peer: Peer, part: str, way: str
) -> None:
    await strike_while_writing(network, hasty_peer(bridge, network.profile()), part, way)
