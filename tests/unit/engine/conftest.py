"""What tests of the sequencer share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.running_log import RunningLog, running_log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[RunningLog]:
    made = await running_log(tmp_path)
    yield made
    await made.close()
