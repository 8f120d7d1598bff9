"""A bridge for tests: a real JVM, ended with the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.hyperledger.bridge import Bridge
from tests.support.java_bridge import bridge_jar, java

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(scope="session")
def parts() -> tuple[Path, Path]:
    """The java command and the jar."""
    return java(), bridge_jar()


@pytest.fixture
async def bridge(parts: tuple[Path, Path]) -> AsyncIterator[Bridge]:
    one = Bridge(*parts)
    yield one
    await one.close()
