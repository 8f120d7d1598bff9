"""The demo, with its log mirrored on a channel: of the stand-in, and of a real network."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.functional.test_demo import COMMAND, ROOT, environment, processes_in

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 240
FIRST = {
    "": "On a stand-in peer for tests, which is not Hyperledger Fabric (FABRIC_BIN names no folder).\n",
    "FABRIC_BIN": "On a Hyperledger Fabric network of the programs in FABRIC_BIN.\n",
}

pytestmark = [pytest.mark.java, pytest.mark.timeout(SECONDS)]


@pytest.mark.parametrize(
    "named", [pytest.param("", marks=pytest.mark.fabric_standin), pytest.param("FABRIC_BIN", marks=pytest.mark.fabric)]
)
def test_demo_on_a_channel_keeps_every_promise_says_where_and_leaves_nothing(named: str, tmp_path: Path) -> None:
    command = (*COMMAND, "--ledger", "hyperledger")
    place = environment(tmp_path) | {"FABRIC_BIN": os.environ.get(named, "")}
    done = subprocess.run(command, cwd=ROOT, env=place, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert done.stdout.startswith(FIRST[named])
    assert "All 17 promises kept" in done.stdout
    assert "the same log and the same state as node-1" in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert list(processes_in(tmp_path)) == []


def test_demo_where_a_program_of_fabric_lacks_says_which(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    place = environment(tmp_path) | {"FABRIC_BIN": str(tmp_path / "bin")}
    done = subprocess.run(
        (*COMMAND, "--ledger", "hyperledger"), cwd=ROOT, env=place, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "not in FABRIC_BIN: peer, orderer" in done.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["bin"]
