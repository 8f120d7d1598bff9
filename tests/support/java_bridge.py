"""Builds the bridge's jar, once, into a cache outside the tree; and what tests start and look at of it.

Maven resolves what the pom pins. `python -m tests.support.chain_tools` builds it beforehand; tests only look whether it is there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from blockchain_adapters.hyperledger.java import JAR, MissingJavaError, find_java

SOURCES = Path(__file__).resolve().parents[2] / "blockchain_adapters" / "hyperledger" / "bridge-java"
BUILD_SECONDS = 600
HOW = "make chain-tools"


class JavaToolError(RuntimeError):
    """Java or Maven is missing, or the jar does not build."""


def _place() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    found = sorted(one for one in SOURCES.rglob("*") if one.is_file() and "target" not in one.relative_to(SOURCES).parts)
    parts = hashlib.sha256()
    for one in found:
        parts.update(f"{one.relative_to(SOURCES)}\0".encode() + hashlib.sha256(one.read_bytes()).digest())
    return Path(base) / "metaledger" / "java" / f"{parts.hexdigest()[:16]}.jar"


def java() -> Path:
    """Return the java command that tests use. JavaToolError when there is none."""
    try:
        return find_java(os.environ.get("JAVA_HOME"))
    except MissingJavaError as error:
        raise JavaToolError(f"{error.message} (make system-packages)") from error


def bridge_jar() -> Path:
    """Return the built jar. JavaToolError when it is not there."""
    found = _place()
    if not found.exists():
        raise JavaToolError(f"the bridge is not built ({HOW})")
    return found


def missing_bridge() -> str | None:
    """Return why the bridge cannot run here, None when it can."""
    try:
        java()
        bridge_jar()
    except JavaToolError as error:
        return str(error)
    return None


def built_bridge() -> Path:
    """Return the path of the jar, building it first if the cache has none of these sources. Raises JavaToolError."""
    place = _place()
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
            compile_bridge(Path(scratch) / "bridge").rename(place)  # atomic: two may build at once
    return place


def compile_bridge(folder: Path) -> Path:
    """Build the jar from a copy of the sources at `folder`; return its path there. Raises JavaToolError."""
    maven = shutil.which("mvn")
    if maven is None:
        raise JavaToolError("the bridge needs Maven: no command mvn (make system-packages)")
    java()
    shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("target"))
    done = subprocess.run([maven, "-q", "-B", "package"], cwd=folder, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    if done.returncode:
        raise JavaToolError("Maven could not build the bridge")
    return folder / "target" / JAR
