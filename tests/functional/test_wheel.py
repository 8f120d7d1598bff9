"""The wheel as people get it: exactly our four packages, and nobody else's files under their names."""

from __future__ import annotations

import csv
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.house import PACKAGES, ROOT
from tests.support.java_bridge import build_wheel, java

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(600)]

UV = Path(sys.executable).with_name("uv")
START_BRIDGE = """
import asyncio, sys
from pathlib import Path
from blockchain_adapters.hyperledger.bridge import Bridge
from blockchain_adapters.hyperledger.java import find_jar

async def main():
    bridge = Bridge(Path(sys.argv[1]), find_jar())
    print(find_jar(), await bridge.ask("ping", {}))
    await bridge.close()

asyncio.run(main())
"""
LOAD_BACKENDS = """
import importlib.metadata as m
print(sorted(p.name for p in m.entry_points(group="metaledger.backends") if p.load().schemes))
"""


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(folder: Path) -> Path:
    """Build from what git would hand out: a stray file of the work tree must not make it pass."""
    source = folder / "source"
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    for name in (n for n in listed if (ROOT / n).is_file() and n.split("/")[0] in {*PACKAGES, "pyproject.toml", "README.md", "LICENSE"}):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    run(UV, "build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder, source, cwd=folder)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_exactly_the_four_typed_packages(tmp_path: Path) -> None:
    names = zipfile.ZipFile(build(tmp_path)).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith("tests/") or name.endswith((".pyc", ".java", ".jar"))]
    assert "blockchain_adapters/hyperledger/chaincode/go.sum" in names


def install(folder: Path, *wheels: Path) -> Path:
    """Install wheels with what all extras need into a clean environment; return its Python."""
    python = folder / "clean" / "bin" / "python"
    run(UV, "venv", "--quiet", "--python", sys.executable, folder / "clean", cwd=folder)
    run(UV, "pip", "sync", "--quiet", "--python", python, "--require-hashes", ROOT / "requirements-extras.lock", cwd=folder)
    run(UV, "pip", "install", "--quiet", "--python", python, "--no-deps", *wheels, cwd=folder)
    return python


def test_no_other_distribution_has_our_names_and_every_backend_loads(tmp_path: Path) -> None:
    python = install(tmp_path, build(tmp_path))
    owners: dict[str, set[str]] = {name: set() for name in PACKAGES}
    for record in (tmp_path / "clean").rglob("*.dist-info/RECORD"):
        for path, *_ in csv.reader(record.read_text().splitlines()):
            owners.get(path.split("/")[0].removesuffix(".py"), set()).add(record.parent.name.split("-")[0])
    assert owners == {name: {"metaledger"} for name in PACKAGES}
    assert run(python, "-I", "-c", LOAD_BACKENDS, cwd=tmp_path).strip() == "['ethereum', 'https', 'hyperledger', 'sqlite']"


@pytest.mark.java
def test_the_jar_is_a_wheel_of_its_own_and_runs_where_both_are_installed(tmp_path: Path) -> None:
    product, jar = build(tmp_path), build_wheel(tmp_path / "one")
    assert hashlib.sha256(build_wheel(tmp_path / "two").read_bytes()).digest() == hashlib.sha256(jar.read_bytes()).digest()
    name = jar.name.split("-")
    assert [
        f"metaledger_fabric-{name[1]}.dist-info/{part}" for part in ("METADATA", "WHEEL", "licenses/LICENSE", "licenses/NOTICE", "RECORD")
    ] == [one for one in zipfile.ZipFile(jar).namelist() if one != "metaledger_fabric/fabric-bridge.jar"]
    python = install(tmp_path, product, jar)
    needed = run(python, "-I", "-c", "import importlib.metadata as m; print(m.requires('metaledger'))", cwd=tmp_path)
    assert f"metaledger-fabric=={product.name.split('-')[1]}; extra == 'hyperledger'" in needed
    found = run(python, "-I", "-c", START_BRIDGE, java(), cwd=tmp_path)
    assert found.startswith(str(tmp_path / "clean"))
    assert found.endswith("fabric-bridge.jar {'ok': True}\n")
