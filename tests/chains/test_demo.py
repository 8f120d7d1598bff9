"""The demo, with its log mirrored on a real chain."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.functional.test_demo import COMMAND, ROOT, environment, processes_in

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 240

pytestmark = pytest.mark.timeout(SECONDS)


def test_demo_on_ethereum_keeps_every_promise_and_leaves_nothing(tmp_path: Path) -> None:
    command = (*COMMAND, "--ledger", "ethereum")
    done = subprocess.run(command, cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "All 17 promises kept" in done.stdout
    assert "the same log and the same state as node-1" in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert list(processes_in(tmp_path)) == []
