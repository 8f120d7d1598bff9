"""No agent outlives its test: each would follow everything that later tests publish."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.functional.node.stage import Victims
from tests.support.forgery import Forgery

if TYPE_CHECKING:
    from collections.abc import Iterator

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
