"""The wheel as people get it: exactly our four packages, and nobody else's files under their names."""

from __future__ import annotations

import csv
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.house import PACKAGES, ROOT

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(600)]

UV = Path(sys.executable).with_name("uv")
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
    assert not [name for name in names if name.startswith("tests/") or name.endswith(".pyc")]


def test_no_other_distribution_has_our_names_and_every_backend_loads(tmp_path: Path) -> None:
    wheel = build(tmp_path)
    python = tmp_path / "clean" / "bin" / "python"
    run(UV, "venv", "--quiet", "--python", sys.executable, tmp_path / "clean", cwd=tmp_path)
    run(UV, "pip", "sync", "--quiet", "--python", python, "--require-hashes", ROOT / "requirements-extras.lock", cwd=tmp_path)
    run(UV, "pip", "install", "--quiet", "--python", python, "--no-deps", wheel, cwd=tmp_path)
    owners: dict[str, set[str]] = {name: set() for name in PACKAGES}
    for record in (tmp_path / "clean").rglob("*.dist-info/RECORD"):
        for path, *_ in csv.reader(record.read_text().splitlines()):
            owners.get(path.split("/")[0].removesuffix(".py"), set()).add(record.parent.name.split("-")[0])
    assert owners == {name: {"metaledger"} for name in PACKAGES}
    assert run(python, "-I", "-c", LOAD_BACKENDS, cwd=tmp_path).strip() == "['ethereum', 'https', 'sqlite']"
