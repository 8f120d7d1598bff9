"""Builds the Go programs that tests and benchmarks run, once, into a cache outside the tree.

Versions and hashes stand in the go.mod and go.sum beside each program, so that what is built is what was
looked at. `python -m tests.support.go_tools` builds them all beforehand.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
BUILD_SECONDS = 600


class GoToolError(RuntimeError):
    """Go is missing, or a program does not build."""


@dataclass(frozen=True, slots=True)
class GoProgram:
    """A Go package and the module directory whose go.mod pins it."""

    name: str
    module: Path
    package: str = "."


CHECKLOG = GoProgram("checklog", TESTS / "conformance" / "go")
FSCK = GoProgram("fsck", TESTS / "conformance" / "go", "github.com/transparency-dev/tessera/cmd/fsck")
LOAD = GoProgram("load", TESTS / "bench" / "go")
WATCH = GoProgram("watch", TESTS / "bench" / "go", "./watch")
CHAINCODE = GoProgram("chaincode", TESTS.parent / "blockchain_adapters" / "hyperledger" / "chaincode")
FABRIC_PEER = GoProgram("fabric-peer", TESTS / "support" / "fabric-peer")


def find_go() -> Path | None:
    """Return the go command, if this machine has one."""
    found = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    return Path(found) if found else None


def built(program: GoProgram) -> Path:
    """Return the path of `program`, building it first if the cache has none of these sources; raises GoToolError."""
    binary = built_path(program)
    if not binary.exists():
        _build(_go(program), program, binary)
    return binary


def built_path(program: GoProgram) -> Path:
    """Return where `program` is once it was built from these sources by this Go; raises GoToolError."""
    version = _run(_go(program), "env", "GOVERSION", cwd=program.module).strip()
    return _cache() / f"{program.name}-{_fingerprint(program, version)}"


def run_tests(program: GoProgram) -> str:
    """Run the Go tests of a module; raises GoToolError with what they say when one fails."""
    go = _go(program)
    return _run(go, "vet", "-mod=readonly", "./...", cwd=program.module) + _run(go, "test", "-mod=readonly", "./...", cwd=program.module)


def _go(program: GoProgram) -> Path:
    go = find_go()
    if go is None:
        raise GoToolError(f"{program.name} needs Go 1.26 or later on the PATH (https://go.dev/dl)")
    return go


def _build(go: Path, program: GoProgram, binary: Path) -> None:
    binary.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=binary.parent) as scratch:
        fresh = Path(scratch) / program.name
        _run(go, "build", "-mod=readonly", "-buildvcs=false", "-o", str(fresh), program.package, cwd=program.module)
        fresh.replace(binary)  # atomic: two test processes may build at once


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "metaledger" / "go"


def _fingerprint(program: GoProgram, version: str) -> str:
    digest = hashlib.sha256(f"{version} {program.package}\n".encode())
    for source in sorted(path for path in program.module.rglob("*") if path.suffix in {".go", ".mod", ".sum"}):
        digest.update(f"{source.name} {hashlib.sha256(source.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


def _run(go: Path, *arguments: str, cwd: Path) -> str:
    # One set of flags for all: what was compiled to be run is not compiled again to be tested.
    flags = f"{os.environ.get('GOFLAGS', '')} -trimpath".strip()
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": flags}
    try:
        done = subprocess.run(
            [str(go), *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise GoToolError(f"go {arguments[0]} took more than {BUILD_SECONDS} s") from error
    if done.returncode:
        raise GoToolError(f"go {arguments[0]} failed: {_without_addresses(done.stdout + done.stderr)}")
    return done.stdout


def _without_addresses(text: str) -> str:
    return re.sub(r"https?://\S+", "<address>", text).strip()


def main() -> None:
    """Build every program and say where each one is."""
    for program in (CHECKLOG, FSCK, LOAD, WATCH, CHAINCODE, FABRIC_PEER):
        sys.stdout.write(f"{program.name}: {built(program)}\n")


if __name__ == "__main__":
    main()
