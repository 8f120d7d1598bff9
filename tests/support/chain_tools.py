"""What tests of chains run, pinned, in a cache outside the tree: anvil and solc from their npm packages, geth from its Go module,
our chaincode and the stand-in peer that runs it.

Versions and hashes stand in `tests/chains/node` and `tests/chains/go`. `python -m tests.support.chain_tools` installs them; `make test`
calls it. Tests only look whether they are there: building geth takes minutes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.go_tools import CHAINCODE, FABRIC_PEER, TESTS, GoProgram, GoToolError, built, built_path, find_go

if TYPE_CHECKING:
    from collections.abc import Callable

GETH = GoProgram("geth", TESTS / "chains" / "go", "github.com/ethereum/go-ethereum/cmd/geth")
NODE = TESTS / "chains" / "node"
ANVIL = Path("node_modules", "@foundry-rs", "anvil-linux-amd64", "bin", "anvil")
INSTALL_SECONDS = 300
HOW = "make chain-tools"


class ChainToolError(RuntimeError):
    """npm is missing, or it does not install what the lock file pins."""


def _place() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    pinned = hashlib.sha256((NODE / "package-lock.json").read_bytes()).hexdigest()[:16]
    return Path(base) / "metaledger" / "node" / pinned


def node_modules() -> Path:
    """Return the directory of the installed npm packages. ChainToolError when they are not there."""
    anvil()
    return _place() / "node_modules"


def anvil() -> Path:
    """Return the installed anvil. ChainToolError when it is not there."""
    found = _place() / ANVIL
    if not found.exists():
        raise ChainToolError(f"anvil is not installed ({HOW})")
    return found


def geth() -> Path:
    """Return the built geth. ChainToolError when it is not there."""
    if find_go() is None:
        raise ChainToolError("geth needs Go 1.26 or later on the PATH (https://go.dev/dl)")
    found = built_path(GETH)
    if not found.exists():
        raise ChainToolError(f"geth is not built ({HOW})")
    return found


def missing_anvil() -> str | None:
    """Return why no anvil can run here, None when one can."""
    try:
        anvil()
    except ChainToolError as error:
        return str(error)
    return None


def missing_geth() -> str | None:
    """Return why no geth can run here, None when one can."""
    try:
        geth()
    except (ChainToolError, GoToolError) as error:
        return str(error)
    return None


def install_anvil() -> Path:
    """Install what the lock file pins, unless it is there. Scripts of packages do not run."""
    place = _place()
    if not (place / ANVIL).exists():
        npm = shutil.which("npm")
        if npm is None:
            raise ChainToolError("anvil needs npm (Node.js 20 or later)")
        place.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=place.parent))
        try:
            for name in ("package.json", "package-lock.json", ".npmrc"):
                shutil.copy(NODE / name, scratch)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
            done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
            if done.returncode or not (scratch / ANVIL).exists():
                raise ChainToolError("npm could not install anvil")
            scratch.rename(place)  # atomic: two may install at once
        except OSError as error:
            if not (place / ANVIL).exists():
                raise ChainToolError(f"anvil could not be installed: {error.strerror}") from error
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return place / ANVIL


def main() -> None:
    """Install all and say where they are. What cannot be installed is said, and left to the tiers, which name it again."""
    parts: dict[str, Callable[[], Path]] = {one.name: partial(built, one) for one in (GETH, CHAINCODE, FABRIC_PEER)}
    for name, install in {"anvil": install_anvil, **parts}.items():
        try:
            sys.stdout.write(f"{name}: {install()}\n")
        except (ChainToolError, GoToolError) as error:
            sys.stderr.write(f"could not install {name}: {error} - the closing summary names the tiers that need it\n")


if __name__ == "__main__":
    main()
