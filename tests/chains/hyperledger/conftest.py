"""A bridge for tests: a real JVM, ended with the test."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.hyperledger.bridge import Bridge
from tests.support.channel import Bench
from tests.support.fabric.real import running_real_network
from tests.support.fabric.standin import running_standin
from tests.support.java_bridge import bridge_jar, java

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.support.fabric.shape import FabricNetwork
    from tests.support.fabric.standin import StandIn


NETWORKS: dict[str, Callable[[Path], AbstractAsyncContextManager[FabricNetwork]]] = {
    "standin": running_standin,
    "fabric": running_real_network,
}


@pytest.fixture(scope="session")
def parts() -> tuple[Path, Path]:
    """The java command and the jar."""
    return java(), bridge_jar()


@pytest.fixture
async def bridge(parts: tuple[Path, Path]) -> AsyncIterator[Bridge]:
    one = Bridge(*parts)
    yield one
    await one.close()


@pytest.fixture
async def standin(tmp_path: Path) -> AsyncIterator[StandIn]:
    async with running_standin(tmp_path / "standin") as one:
        yield one


@pytest.fixture(params=[pytest.param("standin", marks=pytest.mark.fabric_standin), pytest.param("fabric", marks=pytest.mark.fabric)])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AbstractAsyncContextManager[FabricNetwork]:
    """Each network that this machine can run, to be entered."""
    return NETWORKS[request.param](tmp_path / "network")


@pytest.fixture
async def network(opened: AbstractAsyncContextManager[FabricNetwork]) -> AsyncIterator[FabricNetwork]:
    """Each network that this machine can run."""
    async with opened as one:
        yield one


@pytest.fixture
async def bench(network: FabricNetwork, parts: tuple[Path, Path], tmp_path: Path) -> AsyncIterator[Bench]:
    """Opens ledgers on the channel of each network."""
    async with AsyncExitStack() as stack:
        yield Bench(network, parts, tmp_path, stack)


@pytest.fixture
async def lone(standin: StandIn, parts: tuple[Path, Path], tmp_path: Path) -> AsyncIterator[Bench]:
    """Opens ledgers on the channel of the stand-in alone, for faults that only it has."""
    async with AsyncExitStack() as stack:
        yield Bench(standin, parts, tmp_path, stack)
