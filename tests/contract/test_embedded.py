"""The embedded SQLite ledger keeps the contract of the port."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger.client.embedded import SqliteBackend
from ledger.core.errors import NotReadyError
from ledger.engine.genesis import create_log
from tests.contract.racing import RaceContract
from tests.contract.suite import BackendContract, BackendFactory, Ledger
from tests.support.small_network import SmallNetwork, TurnedClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class TestEmbedded(RaceContract, BackendContract):
    @pytest.fixture
    async def backend_factory(self, tmp_path: Path) -> AsyncIterator[BackendFactory]:
        opened: list[SqliteBackend] = []

        async def make() -> Ledger:
            network, clock = SmallNetwork(), TurnedClock()
            await create_log(tmp_path / "ledger.db", network.first, network.keys, clock)
            opened.append(await asyncio.to_thread(SqliteBackend, tmp_path / "ledger.db", network.keys, clock))
            return Ledger(opened[-1], network, judges=True)

        yield make
        for one in opened:
            await one.close()

    async def test_a_home_without_log_keys_reads_only(self, backend_factory: BackendFactory, tmp_path: Path) -> None:
        ledger = await backend_factory()
        reader = await asyncio.to_thread(SqliteBackend, tmp_path / "ledger.db", None, TurnedClock())
        await ledger.append(ledger.network.put("a"))
        assert (await reader.head()).size == (await ledger.backend.head()).size
        assert await reader.find(ledger.network.last["a"]) is not None
        with pytest.raises(NotReadyError):
            await reader.append([ledger.network.put("b").entry])
        await reader.close()
