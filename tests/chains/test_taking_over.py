"""A network whose master is gone for good goes on, ordered by the chain that mirrored it: a root with a new `order` (FORMATS 11)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger import LedgerClient
from ledger.client.embedded import SqliteBackend
from ledger.core.errors import NotReadyError, SplitViewError
from ledger.core.merkle import Frontier, leaf_hashes
from ledger.engine.genesis import create_log
from ledger.home.clock import SystemClock
from tests.support.chain_homes import configure, reader_home
from tests.support.contract import Contract
from tests.support.mirrored import Mirroring
from tests.support.small_network import SmallNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ledger.core.envelope import Envelope
    from tests.support.anvil import Anvil

FINAL = 3
NEW_ORIGIN = "ledger.internal/small/ffeeddccbbaa9988"


class Scene:
    """A mirrored network, and homes that read the mirror."""

    def __init__(self, network: SmallNetwork, mirroring: Mirroring, folder: Path, entries: list[bytes]) -> None:
        self.network = network
        self.mirroring = mirroring
        self.contract = mirroring.contract
        self.folder = folder
        self.entries = entries

    async def home(self, name: str) -> Path:
        return await asyncio.to_thread(reader_home, self.folder / name, self.network.id, self.contract.ledger, confirmations=FINAL)

    async def client(self, home: Path) -> LedgerClient:
        return await asyncio.to_thread(lambda: LedgerClient.open(home=home))

    async def take_in(self, root: Envelope) -> list[bytes]:
        """Let the master take a root in as its last entry, and mirror it; return its log."""
        await self.mirroring.log.append([root.entry])
        await self.mirroring.copy()
        log = await self.mirroring.log.read(0, 100)
        assert log[-1] == root.entry
        return log

    def taking_over(self, size: int, entries: list[bytes] | None = None) -> Envelope:
        """Return the root that has the chain go on at `size`."""
        tree = Frontier()
        tree.append_many(leaf_hashes((entries or self.entries)[:size]))
        order = {**self.contract.order, "continues": {"size": size, "root": tree.root().hex()}}
        return self.network.next_root(2, origin=NEW_ORIGIN, log_keys=[], clock_keys=[], order=order)


@pytest.fixture
async def scene(contract: Contract, tmp_path: Path) -> AsyncIterator[Scene]:
    network, path = SmallNetwork(), tmp_path / "master.db"
    await create_log(path, network.first, network.keys, SystemClock())
    log = await asyncio.to_thread(SqliteBackend, path, network.keys, SystemClock())
    mirroring = Mirroring(log, contract)
    await mirroring.copy()
    await log.append([network.put("a").entry, network.put("b").entry])
    await mirroring.copy()
    yield Scene(network, mirroring, tmp_path, await log.read(0, 100))
    await log.close()


async def test_the_log_goes_on_where_the_mirror_ends(scene: Scene, anvil: Anvil) -> None:
    size = len(scene.entries)
    before, fresh = await scene.home("before"), await scene.home("fresh")
    async with await scene.client(before) as client:
        assert (await client.sync()).size == size
    root, thing = scene.taking_over(size), scene.network.put("c")
    await scene.contract.append(root.entry, thing.entry)
    async with await scene.client(before) as client:
        with pytest.raises(NotReadyError, match="not final yet"):
            await client.sync()
        assert len((await client.get("thing")).policies) == 2
    await anvil.mine(FINAL + 1)
    roots = []
    for home in (before, fresh):
        async with await scene.client(home) as client:
            report = await client.sync()
            assert report.size == size + 2
            roots.append(report.root)
            assert len((await client.get("thing")).policies) == 3
            assert [one.entry for one in await client.entries()] == [*scene.entries, root.entry, thing.entry]
            assert (await client.status())["went_back"] == []
    assert roots[0] == roots[1]


async def test_a_planned_move_goes_on_behind_its_root(scene: Scene, anvil: Anvil) -> None:
    """Let the master take the root in as its last entry, and mirror it: that copy marks the place, and what comes behind it counts."""
    root, thing = scene.network.next_root(2, log_keys=[], clock_keys=[], order=scene.contract.order), scene.network.put("c")
    before, fresh = await scene.home("before"), await scene.home("fresh")
    async with await scene.client(before) as client:
        await client.sync()
        log = await scene.take_in(root)
        await scene.contract.append(thing.entry)
        await anvil.mine(FINAL + 1)
        await client.sync()  # the root, which the mirror proves
        await client.sync()  # and what the chain orders
        await _has_moved(client, [*log, thing.entry])
    async with await scene.client(fresh) as client:
        await client.sync()
        await _has_moved(client, [*log, thing.entry])


async def test_a_planned_move_to_another_contract_begins_with_a_copy_of_its_root(scene: Scene, anvil: Anvil) -> None:
    other = await Contract.deploy(anvil)
    root, thing = scene.network.next_root(2, log_keys=[], clock_keys=[], order=other.order), scene.network.put("c")
    stranger = scene.network.signed("put", "thing", "d", {"name": "d"})
    home = await scene.home("home")
    log = await scene.take_in(root)
    async with await scene.client(home) as client:
        await client.sync()
        assert [one.entry for one in await client.entries()] == log
    await other.append(stranger.entry, root.entry, thing.entry)  # what stands before the copy does not count, nor does the copy
    await anvil.mine(FINAL + 1)
    await asyncio.to_thread(configure, home, ledger=other.ledger)
    async with await scene.client(home) as client:
        await client.sync()
        await _has_moved(client, [*log, thing.entry])


async def _has_moved(client: LedgerClient, entries: list[bytes]) -> None:
    assert [one.entry for one in await client.entries()] == entries
    assert len((await client.get("thing")).policies) == 3
    status = await client.status()
    assert (status["state"], status["went_back"]) == ("ok", [])


async def test_a_copy_that_was_ahead_goes_back_to_where_the_root_says(scene: Scene, anvil: Anvil) -> None:
    size = len(scene.entries)
    home = await scene.home("ahead")
    async with await scene.client(home) as client:
        assert (await client.sync()).size == size
        assert len((await client.get("thing")).policies) == 2
    await scene.contract.append(scene.taking_over(size - 1).entry)
    await anvil.mine(FINAL + 1)
    async with await scene.client(home) as client:
        assert (await client.sync()).size == size
        assert len((await client.get("thing")).policies) == 1
        assert (await client.status())["went_back"] == [f"{size} to {size - 1} by root 2"]


async def test_a_root_that_continues_another_log_is_a_split_view(scene: Scene, anvil: Anvil) -> None:
    size = len(scene.entries)
    home = await scene.home("other")
    async with await scene.client(home) as client:
        await client.sync()
    other = [*scene.entries[:-1], b"another entry"]
    await scene.contract.append(scene.taking_over(size, other).entry)
    await anvil.mine(FINAL + 1)
    async with await scene.client(home) as client:
        with pytest.raises(SplitViewError, match="not the one"):
            await client.sync()
        assert len((await client.get("thing")).policies) == 2


async def test_a_root_that_nobody_signed_moves_nothing(scene: Scene, anvil: Anvil) -> None:
    root = scene.taking_over(len(scene.entries))
    await scene.contract.append(root.entry.replace(b'"sig":"', b'"sig":"A', 1))
    forged = scene.network.signed("put", "root", "root", root.statement.body, "stranger", prev=scene.network.id)
    await scene.contract.append(forged.entry)
    await anvil.mine(FINAL + 1)
    home = await scene.home("calm")
    async with await scene.client(home) as client:
        assert (await client.sync()).size == len(scene.entries)
