"""No agent outlives its test: each would follow everything that later tests publish."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def no_agent_left(request: pytest.FixtureRequest) -> Iterator[None]:
    network = request.getfixturevalue("live_network") if "live_network" in request.fixturenames else None
    yield
    if network is not None:
        network.stop_nodes()
