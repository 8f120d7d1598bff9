"""A mirror is followed like its master: the same log, the same state, the same refusal of lies, with the master away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger import LedgerClient
from ledger.client.embedded import SqliteBackend
from ledger.core.errors import BadSourceError, NotReadyError, SplitViewError
from ledger.core.trust.good import parse_claim
from ledger.engine.genesis import create_log
from ledger.engine.signing import NoteSigner
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from tests.support.chain_homes import reader_home
from tests.support.mirrored import Mirroring
from tests.support.small_network import SmallNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ledger.engine.store import Store
    from tests.support.anvil import Anvil
    from tests.support.contract import Contract


class Scene:
    """A master's log, its mirror, and a home that reads the mirror alone."""

    def __init__(self, network: SmallNetwork, log: SqliteBackend, contract: Contract, home: Path) -> None:
        self.network = network
        self.log = log
        self.contract = contract
        self.home = home
        self.mirroring = Mirroring(log, contract)

    async def publish(self, *names: str) -> None:
        await self.log.append([self.network.put(name).entry for name in names])

    async def note(self) -> bytes:
        found = (await self.log.head()).checkpoint
        assert found is not None
        return found

    async def size(self) -> int:
        return (await self.log.head()).size

    async def client(self) -> LedgerClient:
        return await asyncio.to_thread(lambda: LedgerClient.open(home=self.home))


@pytest.fixture
async def scene(contract: Contract, tmp_path: Path) -> AsyncIterator[Scene]:
    network, path = SmallNetwork(), tmp_path / "master.db"
    await create_log(path, network.first, network.keys, SystemClock())
    log = await asyncio.to_thread(SqliteBackend, path, network.keys, SystemClock())
    home = await asyncio.to_thread(reader_home, tmp_path / "reader", network.id, contract.ledger)
    yield Scene(network, log, contract, home)
    await log.close()


async def test_a_copy_from_the_mirror_is_that_of_the_master(scene: Scene) -> None:
    await scene.mirroring.copy()
    await scene.publish("a", "b", "c")
    await scene.mirroring.copy()
    async with await scene.client() as client:
        report = await client.sync()
        head = parse_claim(await scene.note())
        assert (report.size, report.root) == (head.size, head.root.hex())
        receipt = await client.receipt("b")
        assert client.verify_receipt(receipt).id == "b"
        assert len((await client.get("thing")).policies) == 3
        assert (await client.status())["state"] == "ok"


async def test_an_anchor_alone_renews_the_freshness(scene: Scene) -> None:
    await scene.mirroring.copy()
    async with await scene.client() as client:
        await client.sync()
        before = (await client.status())["newest_line"]
        await asyncio.sleep(1.1)
        await scene.log.append([scene.network.put("a").entry])
        await scene.mirroring.copy()
        await client.sync()
        assert (await client.status())["newest_line"] != before


async def test_entries_in_several_batches_wait_for_their_note(scene: Scene) -> None:
    await scene.publish(*(f"t{number}" for number in range(7)))
    entries, note = await scene.log.read(0, 100), await scene.note()
    first, rest = entries[:4], entries[4:]
    await scene.contract.anchor(note, rest, start=4)
    async with await scene.client() as client:
        with pytest.raises(NotReadyError):
            await client.sync()
    await scene.contract.anchor(note, first)
    async with await scene.client() as client:
        assert (await client.sync()).size == len(entries)


async def test_junk_of_strangers_is_passed_over(scene: Scene) -> None:
    note = await scene.note()
    await scene.contract.anchor(note, payload=b"\x02junk")
    await scene.contract.anchor(note, [b"a stranger's", b"two", b"entries"])
    await scene.contract.submit(b"\x01junk")
    await scene.contract.append(b"nothing", b"at all")
    await scene.mirroring.copy()
    await scene.publish("a")
    await scene.contract.anchor(note.replace(b"\n3\n", b"\n9\n"), [b"x"], start=3)
    await scene.mirroring.copy()
    async with await scene.client() as client:
        assert (await client.sync()).size == await scene.size()


async def test_an_entry_that_was_replaced_makes_the_mirror_a_bad_source(scene: Scene) -> None:
    await scene.mirroring.copy()
    async with await scene.client() as client:
        await client.sync()
        await scene.publish("a", "b")
        entries = await scene.log.read(3, await scene.size())
        other = scene.network.signed("put", "thing", "b", {"forged": True}, prev=None)
        transaction = await scene.contract.anchor(await scene.note(), [*entries[:-1], other.entry], start=3)
        with pytest.raises(BadSourceError, match=f"do not make its tree .*{transaction}"):
            await client.sync()
        assert (await client.get("thing")).policies == []
        await scene.mirroring.copy()
        assert (await client.sync()).size == await scene.size()


async def test_a_checkpoint_that_does_not_match_is_a_split_view(scene: Scene) -> None:
    await scene.publish("a", "b")
    await scene.mirroring.copy()
    async with await scene.client() as client:
        await client.sync()
        signer = await _signer(scene)
        forged = signer.with_clock(signer.log_note(await scene.size(), b"\x07" * 32), int(SystemClock().now())).encode()
        await scene.contract.anchor(forged)
        with pytest.raises(SplitViewError):
            await client.sync()
        assert (await client.status())["state"] == "alarm"
        assert await asyncio.to_thread(lambda: any(Home(scene.home).evidence.iterdir()))
        assert len((await client.get("thing")).policies) == 2


async def _signer(scene: Scene) -> NoteSigner:
    """Return the log's own keys in other hands."""
    signer = NoteSigner(scene.network.keys)
    store: Store = scene.log._store
    await store.read(lambda snapshot: signer.learn(snapshot.connection))
    return signer


async def test_what_was_taken_stays_when_the_chain_goes_back(scene: Scene, anvil: Anvil) -> None:
    await scene.mirroring.copy()
    await scene.publish("a")
    await scene.mirroring.copy()
    async with await scene.client() as client:
        before = await client.sync()
        await anvil.reorg(2)
        assert (await client.sync()).root == before.root
        await scene.publish("b")
        await scene.mirroring.copy()
        assert (await client.sync()).size == before.size + 1 == await scene.size()


async def test_a_mirror_of_another_network_is_none(scene: Scene, tmp_path: Path) -> None:
    await scene.mirroring.copy()
    home = await asyncio.to_thread(reader_home, tmp_path / "other", "cd" * 32, scene.contract.ledger)
    async with await asyncio.to_thread(lambda: LedgerClient.open(home=home)) as client:
        with pytest.raises(NotReadyError):
            await client.sync()
