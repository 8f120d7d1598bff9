"""The fuzzers for a while; `make fuzz` gives them longer."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.support.house import ROOT

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 30


def test_queries(tmp_path: Path) -> None:
    options = [f"-max_total_time={SECONDS}", f"-artifact_prefix={tmp_path}/", "-print_final_stats=1"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.queries", *options], cwd=ROOT, capture_output=True, text=True, timeout=55, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "number_of_executed_units" in done.stderr
