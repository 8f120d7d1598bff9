"""A bridge for tests: a real JVM, ended with the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.hyperledger.bridge import Bridge
from tests.support.java_bridge import bridge_jar, java

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def bridge() -> AsyncIterator[Bridge]:
    one = Bridge(java(), bridge_jar())
    yield one
    await one.close()
