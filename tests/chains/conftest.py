"""Chains for tests: one anvil or geth each, stopped at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.anvil import running_anvil
from tests.support.contract import Contract
from tests.support.geth import running_geth

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.anvil import Anvil
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
