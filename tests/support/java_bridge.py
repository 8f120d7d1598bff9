"""Builds the bridge's jar, once, into a cache outside the tree, and its distribution; and what tests start and look at of it.

Maven resolves what the pom pins. `make fabric-bridge` (`python -m tests.support.java_bridge`) leaves the distribution in `dist/` and
installs it; `make test` calls it. Tests only look whether it is there.
"""

from __future__ import annotations

import filecmp
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from blockchain_adapters.hyperledger.java import JAR, MissingJavaError, find_jar, find_java
from ledger.core.errors import MissingExtraError

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "blockchain_adapters" / "hyperledger" / "bridge-java"
UV = Path(sys.executable).with_name("uv")
BUILD_SECONDS = 600
HOW = "make fabric-bridge"
TOLD = "maven.log"


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
        jar = bridge_jar()
    except JavaToolError as error:
        return str(error)
    return None if _is_installed(jar) else f"metaledger-fabric is not installed, or is of other sources ({HOW})"


def _is_installed(jar: Path) -> bool:
    try:
        return filecmp.cmp(find_jar(), jar, shallow=False)
    except MissingExtraError:
        return False


def built_bridge() -> Path:
    """Return the path of the jar, building it first if the cache has none of these sources. Raises JavaToolError."""
    place = _place()
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
            compile_bridge(Path(scratch) / "bridge").rename(place)  # atomic: two may build at once
    return place


def compile_bridge(folder: Path) -> Path:
    """Build the jar from a copy of the sources at `folder`; return its path there, beside what Maven `TOLD`. Raises JavaToolError."""
    maven = shutil.which("mvn")
    if maven is None:
        raise JavaToolError("the bridge needs Maven: no command mvn (make system-packages)")
    java()
    shutil.copytree(SOURCES, folder, ignore=shutil.ignore_patterns("target"))
    done = subprocess.run([maven, "-B", "package"], cwd=folder, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    if done.returncode:
        raise JavaToolError("Maven could not build the bridge")
    folder.joinpath("target", TOLD).write_text(done.stdout)
    return folder / "target" / JAR


def build_wheel(folder: Path) -> Path:
    """Build the distribution `metaledger-fabric` into `folder`; return the wheel. Raises JavaToolError."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "source")
        shutil.copytree(SOURCES, source, ignore=shutil.ignore_patterns("target", "src"))
        (source / "target").mkdir()
        shutil.copy(built_bridge(), source / "target" / JAR)
        fresh = Path(scratch, "wheel")
        _uv("build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", fresh, source)
        [wheel] = fresh.glob("*.whl")
        return Path(shutil.move(wheel, folder / wheel.name))


def _uv(*arguments: str | Path) -> None:
    command = [str(one) for one in (UV, arguments[0], "--quiet", *arguments[1:])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    if done.returncode:
        raise JavaToolError(f"uv {arguments[0]} failed: {done.stderr[-400:]}")


def main() -> int:
    """Build the wheel into `dist/` and install it, unless this very jar is. What cannot be built is said, and left to the tiers."""
    try:
        wheel = build_wheel(ROOT / "dist")
        if not _is_installed(bridge_jar()):
            _uv("pip", "install", "--python", sys.executable, "--no-deps", "--reinstall", wheel)
    except JavaToolError as error:
        sys.stderr.write(f"could not build the bridge to Hyperledger Fabric: {error}\n")
        return 1
    sys.stdout.write(f"fabric-bridge: {wheel.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
