"""From end to end: Python, the bridge, a peer and the chaincode; and the faults that the stand-in has on command."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.hyperledger.faults import ChaincodeDownError, PeerDownError
from blockchain_adapters.hyperledger.peer import Committed, Endorsed, Peer
from ledger.core.errors import ConflictError, InvalidError, OutcomeUnknown, SizeMismatchError
from tests.support.fabric.peers import carried, until

if TYPE_CHECKING:
    from blockchain_adapters.hyperledger.bridge import Bridge
    from tests.support.fabric.shape import FabricNetwork
    from tests.support.fabric.standin import StandIn

pytestmark = pytest.mark.java
RECEIPT = 90  # bytes: chaincode/README.md
WAIT = 30.0
ROOT = bytes(range(32))


async def block_of(peer: Peer, endorsed: Endorsed) -> Committed:
    found = await peer.committed(endorsed.transaction, WAIT)
    assert found is not None
    return found


async def append(peer: Peer, batch: bytes) -> Committed:
    endorsed = await peer.endorse("Append", batch)
    assert len(endorsed.result) == RECEIPT
    assert endorsed.result[:2] == b"\x01\x00"
    await peer.submit(endorsed)
    return await block_of(peer, endorsed)


async def test_batches_stand_in_order_and_outlive_every_process(network: FabricNetwork, bridge: Bridge) -> None:
    peer = Peer(bridge, network.profile())
    first, second = [await append(peer, batch) for batch in (b"one", b"two")]
    assert first.block < second.block
    anchored = await peer.endorse("Anchor", b"0", b"0", b"2", ROOT, b"both", b"a note")
    assert len(anchored.result) == RECEIPT
    await peer.submit(anchored)
    await block_of(peer, anchored)
    with pytest.raises(SizeMismatchError, match="have 2, expected 0"):
        await peer.endorse("Anchor", b"0", b"0", b"2", ROOT, b"both", b"a note")
    standing, height = await peer.evaluate("Status"), await peer.height()
    for part in network.parts:
        network.kill(part)
    with pytest.raises(PeerDownError):
        await peer.height()
    for part in network.parts:
        await network.start(part)
    after = Peer(bridge, network.profile())  # the old one rests before it looks for the peer again
    assert await after.height() == height
    assert await after.evaluate("Status") == standing
    found = json.loads(await after.evaluate("Find", hashlib.sha256(b"one").digest()))
    assert found == [first.transaction]
    # Peers find a leader again in their own time.
    assert (await carried(after, await until(lambda: after.endorse("Append", b"three")))).block > second.block


@pytest.mark.fabric_standin
async def test_a_submit_that_failed_before_it_was_ordered_may_be_sent_again(standin: StandIn, bridge: Bridge) -> None:
    peer = Peer(bridge, standin.profile())
    endorsed = await peer.endorse("Append", b"batch")
    await standin.strike("before", phase="submit")
    with pytest.raises(OutcomeUnknown):
        await peer.submit(endorsed)
    assert await peer.committed(endorsed.transaction, 0.3) is None
    await peer.submit(endorsed)
    await block_of(peer, endorsed)


@pytest.mark.fabric_standin
async def test_a_submit_that_failed_after_it_was_ordered_is_found(standin: StandIn, bridge: Bridge) -> None:
    peer = Peer(bridge, standin.profile())
    endorsed = await peer.endorse("Append", b"batch")
    await standin.strike("after", phase="submit")
    with pytest.raises(OutcomeUnknown):
        await peer.submit(endorsed)
    await block_of(peer, endorsed)


@pytest.mark.fabric_standin
async def test_a_refusal_and_a_conflict_on_command(standin: StandIn, bridge: Bridge) -> None:
    peer = Peer(bridge, standin.profile())
    await standin.strike("refuse", phase="endorse", message="EMPTY: on command")
    with pytest.raises(InvalidError, match="on command"):
        await peer.endorse("Append", b"batch")
    endorsed = await peer.endorse("Append", b"batch")
    await standin.strike("conflict")
    await peer.submit(endorsed)
    with pytest.raises(ConflictError):
        await peer.committed(endorsed.transaction, WAIT)
    await standin.strike("delay", phase="order", ms=600_000)
    await standin.spare()
    await append(peer, b"batch")


@pytest.mark.fabric_standin
async def test_a_chaincode_that_is_gone_has_its_name(standin: StandIn, bridge: Bridge) -> None:
    standin.kill("chaincode0")
    peer = Peer(bridge, standin.profile())
    with pytest.raises(ChaincodeDownError):
        await peer.endorse("Append", b"batch")
    await standin.start("chaincode0")
    await append(peer, b"batch")
