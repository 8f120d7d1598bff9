"""Fixtures of this tier."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.live import founded, own_network

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["founded", "own_network"]

MEMORY = Path("/dev/shm")


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where there is one: for tests in which the disk is played, so that it need not be waited for."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=MEMORY))
    yield folder
    shutil.rmtree(folder)
