"""Several peers of one channel: the next one is asked when one fails, and two that contradict each other are an alarm."""

from __future__ import annotations

import asyncio
import shutil
import struct
import zlib
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.codec import encode
from blockchain_adapters.hyperledger.peer import Peer
from ledger.core.errors import BadSourceError, SplitViewError
from tests.support.fabric.standin import running_standin
from tests.support.small_network import SmallNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from blockchain_adapters.directbackend import DirectBackend
    from blockchain_adapters.hyperledger.bridge import Bridge
    from tests.support.channel import Bench
    from tests.support.fabric.standin import StandIn

pytestmark = [pytest.mark.java, pytest.mark.fabric_standin]


VERDICT = -5  # of the only transaction of a block, from the end of its record on the stand-in's disk
CONFLICT = 11  # what Fabric calls MVCC_READ_CONFLICT
HEAD = struct.Struct(">II")  # of a record: its length, its CRC-32


class Pair:
    """Two peers that have had the same blocks so far, and the log of a network in them. The chain of the second is a copy."""

    def __init__(self, bench: Bench, peers: tuple[StandIn, StandIn], folders: tuple[Path, Path], network: SmallNetwork) -> None:
        self.bench = bench
        self.first, self.second = peers
        self._blocks = [folder / "chain" / "blocks" for folder in folders]
        self.network = network

    async def backend(self, file: str | None = None) -> DirectBackend:
        """Open the log from both, with new connections; those that were there rest for a second after they broke."""
        source = await self.bench.source(self.first.profile(), self.second.profile(), file=file)
        return await self.bench.direct(self.network, source)

    async def append(self, bridge: Bridge, name: str, at: StandIn) -> None:
        """Let a thing stand in the next block of one of them."""
        peer = Peer(bridge, at.profile())
        endorsed = await peer.endorse("Append", encode([self.network.put(name).entry]))
        await peer.submit(endorsed)
        assert await peer.committed(endorsed.transaction, 20.0) is not None

    async def copy(self, *, verdict: int = 0, instead: tuple[bytes, bytes] = (b"", b"")) -> None:
        """Give the second one the blocks of the first, with another verdict about the newest transaction.

        `instead`: some bytes, and those that stand in the newest block in their place, under the header as it was.
        """
        self.second.kill("peer0")
        text = bytearray(await asyncio.to_thread(self._blocks[0].read_bytes))
        at = 0
        while at + HEAD.size + (size := HEAD.unpack_from(text, at)[0]) < len(text):
            at += HEAD.size + size
        text[VERDICT] = verdict
        text[at + HEAD.size :] = text[at + HEAD.size :].replace(*instead)
        HEAD.pack_into(text, at, size, zlib.crc32(text[at + HEAD.size :]))
        await asyncio.to_thread(self._blocks[1].write_bytes, bytes(text))
        await self.second.start("peer0")

    async def lose(self) -> None:
        """Let the first one begin anew."""
        self.first.kill("peer0")
        await asyncio.to_thread(self._blocks[0].unlink)
        await self.first.start("peer0")


@pytest.fixture
async def pair(lone: Bench, standin: StandIn, tmp_path: Path) -> AsyncIterator[Pair]:
    source = await lone.source()
    network = SmallNetwork(order=source.here)
    await (await lone.direct(network, source)).append([one.entry for one in network.first])
    folders = tmp_path / "standin", tmp_path / "other"
    await asyncio.to_thread(shutil.copytree, folders[0], folders[1])
    async with running_standin(folders[1]) as other:
        yield Pair(lone, (standin, other), folders, network)


async def test_what_two_peers_show_alike_is_final_and_nobody_is_just_believed(pair: Pair, bridge: Bridge) -> None:
    size = len(pair.network.first)
    head = await (await pair.backend("same.db")).head()
    assert (head.size, head.final_size) == (size, size)
    await pair.append(bridge, "a", pair.first)
    await pair.copy()
    again = await pair.backend("same.db")
    head = await again.head()
    assert (head.size, head.final_size) == (size + 1, size + 1)
    known = await again.known()
    assert (known.believed, known.laggards, known.alarm) == (False, (), None)


async def test_a_peer_that_is_gone_holds_nobody_who_reads_and_nothing_is_final_without_it(pair: Pair, bridge: Bridge) -> None:
    size = (await (await pair.backend("same.db")).head()).size
    await pair.append(bridge, "a", pair.first)
    await pair.copy()
    pair.first.kill("peer0")
    backend = await pair.backend("same.db")
    head = await backend.head()
    assert (head.size, head.final_size) == (size + 1, size)
    errors = {str(one["provider"]): one["error"] for one in backend.providers()}
    assert errors[pair.first.profile().peer] is not None
    assert errors[pair.second.profile().peer] is None
    await pair.first.start("peer0")
    assert (await (await pair.backend("same.db")).head()).final_size == size + 1


async def test_an_idle_channel_is_as_fresh_as_the_last_look_at_it(lone: Bench) -> None:
    source = await lone.source()
    await source.poll()
    before = (await source.known()).agreed
    lone.clock.step = 3_600.0
    await source.poll()
    after = (await source.known()).agreed
    assert before is not None
    assert after is not None
    assert (after.height, after.hash, after.time >= before.time + 3_600) == (before.height, before.hash, True)


async def test_a_peer_that_lags_is_named(pair: Pair, bridge: Bridge) -> None:
    backend = await pair.backend()
    size = (await backend.head()).size
    await pair.append(bridge, "a", pair.first)
    head = await backend.head()
    assert (head.size, head.final_size) == (size + 1, size)
    assert (await backend.known()).laggards == (pair.second.profile().peer,)


@pytest.mark.parametrize("known", [True, False], ids=["since the peers agreed", "from the first block on"])
@pytest.mark.parametrize("verdict", [True, False], ids=["another verdict", "another block"])
async def test_a_peer_that_shows_something_else_is_an_alarm_that_names_both(
    pair: Pair, bridge: Bridge, *, verdict: bool, known: bool
) -> None:
    if known:
        assert (await (await pair.backend("same.db")).head()).final_size == len(pair.network.first)
    await pair.append(bridge, "a", pair.first)
    if verdict:
        await pair.copy(verdict=CONFLICT)
    else:
        await pair.append(bridge, "b", pair.second)
    for _ in range(2):  # it stays until the operator ends it
        backend = await pair.backend("same.db")
        with pytest.raises(SplitViewError, match="providers differ") as raised:
            await backend.head()
        assert all(one.profile().peer in str(raised.value) for one in (pair.first, pair.second))


@pytest.mark.parametrize("later", [False, True], ids=["the newest block", "one before it"])
async def test_an_altered_batch_under_the_header_of_the_true_one_is_refused(pair: Pair, bridge: Bridge, *, later: bool) -> None:
    """The reader takes the hash over the transactions from what it is shown, not from the header."""
    await pair.append(bridge, "a", pair.first)
    true = encode([pair.network.put("b").entry])
    peer = Peer(bridge, pair.first.profile())
    endorsed = await peer.endorse("Append", true)
    await peer.submit(endorsed)
    assert await peer.committed(endorsed.transaction, 20.0) is not None
    await pair.copy(instead=(true, true[:-1] + bytes([true[-1] ^ 1])))
    if later:
        await pair.append(bridge, "c", pair.second)
    source = await pair.bench.source(pair.second.profile())
    with pytest.raises(BadSourceError, match="does not follow" if later else "do not end with"):
        await source.poll()


async def test_a_peer_that_lost_what_was_final_is_left_out(pair: Pair, bridge: Bridge) -> None:
    await pair.append(bridge, "a", pair.first)
    await pair.copy()
    head = await (await pair.backend("same.db")).head()
    await pair.lose()
    assert await (await pair.backend("same.db")).head() == head


async def test_another_channel_is_no_source(lone: Bench) -> None:
    source = await lone.source(genesis="00" * 32)
    with pytest.raises(BadSourceError, match="begins with another block"):
        await source.poll()
    assert await source.height() < 0
