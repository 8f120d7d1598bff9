"""Chains for tests: one anvil or geth each, stopped at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.anvil import running_anvil
from tests.support.chain_homes import found
from tests.support.chain_writing import opened_journal
from tests.support.contract import Contract
from tests.support.direct_story import DirectStory
from tests.support.geth import running_geth
from tests.support.small_network import SmallNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ledger.engine.journal import Journal
    from tests.support.anvil import Anvil
    from tests.support.chain_homes import Founded
    from tests.support.geth import Geth


@pytest.fixture
async def anvil() -> AsyncIterator[Anvil]:
    async with running_anvil() as one:
        yield one


@pytest.fixture
async def geth(tmp_path: Path) -> AsyncIterator[Geth]:
    folder = tmp_path / "geth"
    folder.mkdir()
    async with running_geth(folder) as one:
        yield one


@pytest.fixture
async def contract(anvil: Anvil) -> Contract:
    return await Contract.deploy(anvil)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with opened_journal(tmp_path / "journal.db") as one:
        yield one


@pytest.fixture
def things() -> list[bytes]:
    return [one.entry for one in SmallNetwork().things(90)]


@pytest.fixture
async def direct(anvil: Anvil, contract: Contract, tmp_path: Path) -> Founded:
    return await found(anvil, contract, tmp_path)


@pytest.fixture
def story(direct: Founded, contract: Contract, tmp_path: Path) -> DirectStory:
    return DirectStory(direct, contract, tmp_path)
