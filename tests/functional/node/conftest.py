"""No agent outlives its test: each would follow everything that later tests publish."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.functional.node.stage import Stage, Victims, staged
from tests.support.forgery import Forgery

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.live import LiveNetwork


@pytest.fixture(autouse=True)
def no_agent_left(request: pytest.FixtureRequest) -> Iterator[None]:
    network = request.getfixturevalue("live_network") if "live_network" in request.fixturenames else None
    yield
    if network is not None:
        network.stop_nodes()


@pytest.fixture(scope="session")
def victims(live_network: LiveNetwork) -> Victims:
    asyncio.run(live_network.publish(*(f"before-{number}" for number in range(4))))
    home = asyncio.run(live_network.join("victim"))
    return Victims(live_network, home, Forgery.read(live_network.home, home))


@pytest.fixture(scope="session")
def one_stage(victims: Victims, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with staged(victims, tmp_path_factory.mktemp("lies")) as one:
        yield one


@pytest.fixture
async def stage(one_stage: Stage) -> Stage:
    """One node that hears lie after lie: after each it follows an honest master."""
    await one_stage.begin()
    return one_stage


@pytest.fixture
def own_stage(victims: Victims, tmp_path: Path) -> Iterator[Stage]:
    """A node for one test: what it hears there leaves a trace."""
    with staged(victims, tmp_path) as one:
        yield one


@pytest.fixture
def fresh_stage(victims: Victims, tmp_path: Path) -> Iterator[Stage]:
    """A node that holds nothing yet and was not started."""
    with staged(victims, tmp_path, fresh=True) as one:
        yield one
