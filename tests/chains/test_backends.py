"""Ledgers on a real chain keep the contract of the port: ordered by the chain and mirrored there, on anvil and on geth."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import pytest
from eth_account import Account as EthAccount

from blockchain_adapters.chainfile import ChainFile
from blockchain_adapters.directbackend import DirectBackend
from blockchain_adapters.ethereum.account import Account
from blockchain_adapters.ethereum.backend import EthereumSource, start_writing
from blockchain_adapters.mirrorbackend import MirrorBackend
from ledger.client.embedded import SqliteBackend
from ledger.engine.genesis import create_log
from ledger.home.clock import SystemClock
from tests.contract.suite import BackendContract, BackendFactory, Ledger
from tests.support.contract import Contract
from tests.support.mirrored import Mirroring
from tests.support.small_network import Heard, SmallNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.anvil import Anvil
    from tests.support.contract import Node
    from tests.support.geth import Geth

POLL_SECONDS = 0.1
FINAL = 3


class Bench:
    """Opens ledgers on one node, in files of one folder; closes what it opened."""

    def __init__(self, node: Node, folder: Path, stack: AsyncExitStack) -> None:
        self.node = node
        self.folder = folder
        self._stack = stack
        self._opened = 0

    async def source(self, contract: Contract) -> EthereumSource:
        self._opened += 1
        kept = await asyncio.to_thread(ChainFile.open, self.folder / f"chain-{self._opened}.db")
        source = EthereumSource(contract.rpc(), kept, SystemClock(), confirmations=FINAL)
        self._stack.push_async_callback(source.close)
        await source.open()
        return source

    async def direct(self, contract: Contract, network: SmallNetwork) -> DirectBackend:
        source = await self.source(contract)
        account = Account(EthAccount.from_key(self.node.key))
        writer = partial(start_writing, source, account, self.folder / f"journal-{self._opened}.db", (SystemClock(), Heard()))
        backend = DirectBackend(source, network.id, writer, poll_seconds=POLL_SECONDS)
        self._stack.push_async_callback(backend.close)
        return backend

    async def ordered(self) -> Ledger:
        """Return a network that the chain orders."""
        contract = await Contract.deploy(self.node)
        network = SmallNetwork(order=contract.order)
        backend = await self.direct(contract, network)
        await backend.append([one.entry for one in network.first])
        return Ledger(backend, network, judges=False, settle=partial(self.node.mine, FINAL + 1))

    async def mirrored(self) -> Ledger:
        """Return a network whose master's log is mirrored on the chain."""
        contract, network = await Contract.deploy(self.node), SmallNetwork()
        path = self.folder / "ledger.db"
        await create_log(path, network.first, network.keys, SystemClock())
        log = await asyncio.to_thread(SqliteBackend, path, network.keys, SystemClock())
        self._stack.push_async_callback(log.close)
        mirroring = Mirroring(log, contract)
        await mirroring.copy()
        backend = MirrorBackend(await self.source(contract), network.id, poll_seconds=POLL_SECONDS)
        self._stack.push_async_callback(backend.close)
        return Ledger(backend, network, judges=True, writer=log, arrive=mirroring.copy)


class OnAnvil:
    @pytest.fixture
    async def bench(self, anvil: Anvil, tmp_path: Path) -> AsyncIterator[Bench]:
        async with AsyncExitStack() as stack:
            yield Bench(anvil, tmp_path, stack)


class OnGeth:
    @pytest.fixture
    async def bench(self, geth: Geth, tmp_path: Path) -> AsyncIterator[Bench]:
        async with AsyncExitStack() as stack:
            yield Bench(geth, tmp_path, stack)


class Ordered(BackendContract):
    @pytest.fixture
    def backend_factory(self, bench: Bench) -> BackendFactory:
        return bench.ordered


class Mirrored(BackendContract):
    @pytest.fixture
    def backend_factory(self, bench: Bench) -> BackendFactory:
        return bench.mirrored


class TestOrderedOnAnvil(OnAnvil, Ordered):
    pass


class TestMirroredOnAnvil(OnAnvil, Mirrored):
    pass


@pytest.mark.geth
class TestOrderedOnGeth(OnGeth, Ordered):
    pass


@pytest.mark.geth
class TestMirroredOnGeth(OnGeth, Mirrored):
    pass
