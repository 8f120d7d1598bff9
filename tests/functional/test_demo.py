"""The demo keeps its promises, says when one is not kept, and leaves nothing behind, also when it is interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.demo.stage import DemoError, Stage

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "tests.demo.run")
SECONDS = 120
LOOK_SECONDS = 0.05

pytestmark = pytest.mark.timeout(2 * SECONDS)


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(folder), "METALEDGER_HOME": str(folder / "not-this"), "PYTHONUNBUFFERED": "1"}


def processes_in(folder: Path) -> Iterator[int]:
    """Yield the processes that work in a folder."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            place = (process / "cwd").readlink()
        except OSError:
            continue
        if place.is_relative_to(folder):
            yield int(process.name)


def test_demo_keeps_every_promise_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(COMMAND, cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "All 15 promises kept" in done.stdout
    for said in ("verify ledger names index ", "403 not-allowed", "422 bad-signature", "its entries do not make its root"):
        assert said in done.stdout
    assert list(tmp_path.iterdir()) == []
    assert list(processes_in(tmp_path)) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_interrupted_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen(COMMAND, cwd=ROOT, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "run node" in line:
                break
        deadline = time.monotonic() + SECONDS
        while len(list(processes_in(tmp_path))) < 2 and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        demo.send_signal(number)
        _, said = demo.communicate(timeout=SECONDS)
    assert demo.returncode == 130
    assert "interrupted" in said
    assert list(tmp_path.iterdir()) == []
    assert list(processes_in(tmp_path)) == []


def test_promise_not_kept_ends_the_demo() -> None:
    with pytest.raises(DemoError, match="not as promised: the sky is green"), Stage() as stage:
        stage.promise(False, "the sky is green")
    assert not stage.place.exists()


def test_command_that_exits_otherwise_ends_the_demo() -> None:
    with pytest.raises(DemoError, match="exited with 1, not 0"), Stage() as stage:
        stage.unseen("status", "--home", "nobody")
    assert not stage.place.exists()
