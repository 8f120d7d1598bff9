"""The tiers of a suite of its own, in child processes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.tiers import ROOT

if TYPE_CHECKING:
    from pathlib import Path

MISSING = """
import pytest
from tests.support import tiers
from tests.support.tiers import *
from tests.support.tiers import Tier
away = {"docker", "chains", "chains/hyperledger", "fuzz"}
here = {name: tier for name, tier in tiers.TIERS.items() if name not in away}
tiers.TIERS = {**here, "go": Tier("x", lambda: "no go here"), "java": Tier("x", lambda: "no java here")}
"""


WITHOUT_DOCKER = """
from tests.support import tiers
from tests.support.tiers import *
away = {"docker", "chains", "chains/hyperledger", "fuzz"}  # which not every machine has
tiers.TIERS = {name: tier for name, tier in tiers.TIERS.items() if name not in away}
tiers.FOLDERS = {name: tier for name, tier in tiers.FOLDERS.items() if name not in away}
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    for folder in ("unit", "property", "contract", "functional", "conformance", "faults", "bench"):
        (tmp_path / "tests" / folder).mkdir(parents=True)
        (tmp_path / "tests" / folder / f"test_{folder}.py").write_text("def test_one(): pass\n")
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\ntestpaths = ["tests"]\naddopts = ["--import-mode=importlib"]\n')
    (tmp_path / "conftest.py").write_text(WITHOUT_DOCKER)
    return tmp_path


def run(suite: Path, *arguments: str, ci: bool = False) -> tuple[int, str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "COV", "CI"))} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments]
    done = subprocess.run(command, cwd=suite, env=environment | ({"CI": "true"} if ci else {}), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_a_whole_run_counts_its_tiers_and_names_the_rest(suite: Path, workers: list[str]) -> None:
    code, out = run(suite, *workers, ci=True)
    assert code == 0, out
    assert "ran: unit 1, property 1, contract 1, functional 1, conformance 1, faults 1\n" in out
    assert "did not run: bench (1 tests): runs by make bench" in out
    assert "not asked for: shared_vectors, go, " in out
    assert "CI requires" not in out


def test_an_opt_in_tier_runs_when_named(suite: Path) -> None:
    code, out = run(suite, "tests/bench", "--tier", "bench")
    assert (code, "ran: bench 1\n" in out) == (0, True), out


@pytest.mark.timeout(180)  # three runs of pytest, each with processes of its own
@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_a_missing_tier_fails_in_ci_only(suite: Path, workers: list[str]) -> None:
    (suite / "conftest.py").write_text(MISSING)
    (suite / "tests" / "unit" / "test_go.py").write_text("import pytest\n@pytest.mark.go\ndef test_go(): raise RuntimeError\n")
    code, out = run(suite, *workers)
    assert code == 0, out
    assert "did not run: go (1 tests): no go here" in out
    code, out = run(suite, *workers, ci=True)
    assert code == 1, out
    assert "CI requires the tier go" in out
    assert run(suite, *workers, "tests/unit", ci=True)[0] == 0


@pytest.mark.timeout(120)
@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_a_tier_whose_tests_all_lack_another_did_not_run(suite: Path, workers: list[str]) -> None:
    (suite / "conftest.py").write_text(MISSING)
    path = suite / "tests" / "unit" / "test_two.py"
    path.write_text("import pytest\n@pytest.mark.go\n@pytest.mark.strace\ndef test_two(): raise RuntimeError\n")
    code, out = run(suite, *workers, ci=True)
    assert code == 1, out
    assert "did not run: strace (1 tests): its tests need go too" in out
    assert "CI requires the tier strace" in out
    assert "did not run: unit" not in out


def test_everything_that_a_test_lacks_is_named(suite: Path) -> None:
    """Else a machine without Go hides that it has no Java either."""
    (suite / "conftest.py").write_text(MISSING)
    both = "import pytest\n@pytest.mark.go\n@pytest.mark.java\ndef test_both(): raise RuntimeError\n"
    (suite / "tests" / "unit" / "test_both.py").write_text(both)
    code, out = run(suite)
    assert code == 0, out
    assert "did not run: go (1 tests): no go here" in out
    assert "did not run: java (1 tests): no java here" in out


def test_the_innermost_folder_is_the_tier(suite: Path) -> None:
    """What runs on a channel needs no anvil, though it lies among the chains."""
    away = 'tiers.FOLDERS = {**tiers.FOLDERS, "unit": tiers.Tier("x", lambda: "no unit here"), "unit/deep": tiers.Tier("y")}\n'
    (suite / "conftest.py").write_text(WITHOUT_DOCKER + away + "tiers.TIERS = {**tiers.TIERS, **tiers.FOLDERS}\n")
    (suite / "tests" / "unit" / "deep" / "er").mkdir(parents=True)
    (suite / "tests" / "unit" / "deep" / "er" / "test_deeper.py").write_text("def test_one(): pass\n")
    code, out = run(suite, "tests/unit")
    assert code == 0, out
    assert "did not run: unit (1 tests): no unit here" in out
    assert "unit/deep 1\n" in out


def test_an_empty_folder_fails_in_ci(suite: Path) -> None:
    (suite / "tests" / "contract" / "test_contract.py").unlink()
    code, out = run(suite, ci=True)
    assert (code, "CI requires the tier contract" in out) == (1, True), out
    assert run(suite)[0] == 0
