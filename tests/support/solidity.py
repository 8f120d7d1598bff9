"""Compiles Solidity with the pinned compiler, as the artifact of the contract was compiled."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.support.chain_tools import node_modules

CONTRACT = Path(__file__).resolve().parents[2] / "blockchain_adapters" / "ethereum" / "contract"


def compiled(*source: Path) -> str:
    """Return the artifact of a source file, of the contract itself without one."""
    command = ["node", str(CONTRACT / "compile.js"), str(node_modules().parent), *map(str, source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def artifact_of(source: Path) -> dict[str, Any]:
    """Return the interface and the code of the contract in a source file."""
    artifact: dict[str, Any] = json.loads(compiled(source))
    return artifact
