"""A real network of two organisations: endorsements that are missing or differ, and orderers and peers that take each other's place."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.hyperledger.faults import ChaincodeDownError, NoEndorsementError
from blockchain_adapters.hyperledger.peer import Peer
from tests.support.channel import Bench
from tests.support.fabric.configuration import Plan
from tests.support.fabric.peers import carried, holders, until
from tests.support.fabric.real import altered_chaincode, running_real_network
from tests.support.troubled import Troubled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from blockchain_adapters.hyperledger.bridge import Bridge
    from tests.support.fabric.real import RealNetwork

pytestmark = [pytest.mark.java, pytest.mark.fabric]
BOTH = "AND('Org1MSP.peer','Org2MSP.peer')"
EITHER = "OR('Org1MSP.peer','Org2MSP.peer')"


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[RealNetwork]:
    async with running_real_network(tmp_path / "fabric", Plan(organisations=2, endorsement=BOTH)) as one:
        yield one


@pytest.fixture
async def wide(tmp_path: Path) -> AsyncIterator[RealNetwork]:
    async with running_real_network(tmp_path / "fabric", Plan(organisations=2, orderers=3, endorsement=EITHER)) as one:
        yield one


async def endorsed_again(peer: Peer, batch: bytes) -> None:
    """Append a batch as soon as both organisations sign again: they hear of each other by gossip."""
    await carried(peer, await until(lambda: peer.endorse("Append", batch)))


async def test_what_only_one_organisation_signs_is_refused_by_name(bridge: Bridge, strict: RealNetwork, tmp_path: Path) -> None:
    peer = Peer(bridge, strict.profile())
    await endorsed_again(peer, b"both")
    strict.kill("chaincode1")
    with pytest.raises(ChaincodeDownError):
        await peer.endorse("Append", b"batch")
    await strict.run_chaincode(1, await asyncio.to_thread(altered_chaincode, tmp_path / "altered", '"Appended"', '"Added"'))
    with pytest.raises(NoEndorsementError, match="do not match"):
        await peer.endorse("Append", b"batch")
    strict.kill("peer1")
    with pytest.raises(NoEndorsementError):
        await peer.endorse("Append", b"batch")
    assert await holders(peer, b"batch") == []


async def test_status_says_that_the_endorsement_policy_is_not_met(bridge: Bridge, strict: RealNetwork, tmp_path: Path) -> None:
    await endorsed_again(Peer(bridge, strict.profile()), b"both")
    home = await asyncio.to_thread(Troubled, strict, tmp_path)
    assert (await asyncio.to_thread(home.status))["account"]["problem"] is None
    strict.kill("peer1")
    account = (await asyncio.to_thread(home.status))["account"]
    assert account["problem"] is not None
    assert "the endorsement policy wants" in account["advice"]


async def test_an_organisation_that_comes_back_signs_again(bridge: Bridge, strict: RealNetwork) -> None:
    peer = Peer(bridge, strict.profile())
    strict.kill("peer1")
    with pytest.raises(NoEndorsementError):
        await peer.endorse("Append", b"batch")
    await strict.start("peer1")
    await endorsed_again(peer, b"batch")
    other = Peer(bridge, strict.profile(peer=1))
    assert await holders(other, b"batch") == await holders(peer, b"batch")


async def test_any_one_orderer_and_any_one_peer_may_fail(bridge: Bridge, wide: RealNetwork) -> None:
    first, second = Peer(bridge, wide.profile()), Peer(bridge, wide.profile(peer=1))
    batches = []
    for number in range(3):  # one of them leads
        wide.kill(f"orderer{number}")
        batches.append(b"without orderer %d" % number)
        await carried(first, await first.endorse("Append", batches[-1]))
        await wide.start(f"orderer{number}")
    wide.kill("peer0")
    batches.append(b"without peer 0")
    await carried(second, await until(lambda: second.endorse("Append", batches[-1])))
    await wide.start("peer0")
    await carried(first, await until(lambda: first.endorse("Append", b"the last")))
    assert await holders(second, b"the last")
    assert await first.height() == await second.height()
    for batch in batches:
        assert len(await holders(first, batch)) == 1


async def test_a_peer_that_lags_tells_its_own_height(bridge: Bridge, wide: RealNetwork) -> None:
    first, second = Peer(bridge, wide.profile()), Peer(bridge, wide.profile(peer=1))
    await until(second.height)
    wide.kill("peer1")
    placed = await carried(first, await until(lambda: first.endorse("Append", b"batch")))
    for number in range(3):
        wide.kill(f"orderer{number}")  # nobody can tell it what it missed
    await wide.start("peer1")
    assert (await until(second.height))[0] <= placed.block < (await first.height())[0]


async def test_a_ledger_goes_on_through_the_peer_of_another_organisation(
    wide: RealNetwork, parts: tuple[Path, Path], tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        ledger = await Bench(wide, parts, tmp_path, stack).ordered()
        things = [one.entry for one in ledger.network.things(30)]
        await ledger.backend.append(things[:10])
        wide.kill("peer0")
        await ledger.backend.append(things[10:20])
        await wide.start("peer0")
        await ledger.backend.append(things[20:])
        base = len(ledger.network.first)
        assert await ledger.backend.read(base, base + len(things)) == things
        while (await ledger.backend.head()).final_size < base + len(things):  # noqa: ASYNC110 - until both peers have said it
            await asyncio.sleep(0.1)
