"""`create chaincode` writes what can be built, run and installed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.command import program
from tests.support.go_tools import GoProgram, built
from tests.support.live import environment

if TYPE_CHECKING:
    from pathlib import Path


def create(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return program("create", "chaincode", "--out", str(folder), *words)


LOCAL = ("--address", "127.0.0.1:9999", "--msp", "Org1MSP")


@pytest.mark.go
@pytest.mark.timeout(600)  # the first build fetches what go.sum pins
def test_what_it_writes_is_built_as_it_says(tmp_path: Path) -> None:
    done = create(tmp_path / "new", *LOCAL, "-o", "json")
    assert done.returncode == 0, done.stderr
    written = json.loads(done.stdout)
    binary = built(GoProgram("written-chaincode", tmp_path / "new" / "chaincode"))
    refused = subprocess.run([binary], capture_output=True, text=True, timeout=60, check=False)
    assert "set CHAINCODE_ID" in refused.stderr
    assert any(f"CHAINCODE_ID={written['package_id']}" in step for step in written["steps"])


def test_it_says_what_to_type_and_refuses_a_folder_in_use(tmp_path: Path) -> None:
    done = create(tmp_path / "new", *LOCAL)
    assert done.stdout.startswith(f"cd {tmp_path / 'new'}\n")
    assert "peer lifecycle chaincode install metaledger.tgz" in done.stdout
    again = create(tmp_path / "new", *LOCAL)
    assert again.returncode == 2
    assert "not empty" in again.stderr


def test_it_needs_no_library_of_the_extra(tmp_path: Path) -> None:
    code = (
        "import sys\nsys.modules['py4j'] = None\nfrom ledger.cli.main import main\n"
        f"sys.exit(main(['create', 'chaincode', '--out', {str(tmp_path / 'new')!r}, *{LOCAL!r}]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
