"""One network a session, copied for each test, served in process on a port of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger.home.clock import SystemClock
from master.create import NewNetwork, create_network
from tests.support.masters import Network, running_network

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("network") / "home"
    asyncio.run(create_network(place, NewNetwork("demo"), SystemClock()))
    return place


@pytest.fixture
async def network(template: Path, tmp_path: Path) -> AsyncIterator[Network]:
    async with running_network(template, tmp_path / "home") as network:
        yield network


@pytest.fixture
async def public_network(template: Path, tmp_path: Path) -> AsyncIterator[Network]:
    async with running_network(template, tmp_path / "home", public_read=True) as network:
        yield network
