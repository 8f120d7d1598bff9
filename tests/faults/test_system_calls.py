"""Files that are no database, and the making of a network: each of their system calls fails, or is the last of its process (strace).

strace counts the calls of each thread; a test goes on from the first call until no call is left that could fail.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ledger.client.checking import verify_snapshot
from ledger.engine.genesis import create_log
from ledger.engine.store import Store
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from master.create import NewNetwork, create_network
from tests.faults import actor
from tests.faults.scenes import LEDGER, Lane, sequencing, whole
from tests.support.live import environment
from tests.support.small_network import SmallNetwork, TurnedClock
from tests.support.tiers import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.strace

KILLED = -signal.SIGKILL
CALLS = {  # what can end in the middle, and in which ways
    "fsync": ("error=EIO", "error=ENOSPC", "signal=SIGKILL"),
    "fdatasync": ("error=EIO", "signal=SIGKILL"),
    "pwrite64": ("error=ENOSPC", "signal=SIGKILL"),
    "write": ("error=ENOSPC", "signal=SIGKILL"),
    "rename,renameat,renameat2": ("error=EIO", "signal=SIGKILL"),
    "link,linkat": ("error=EIO", "signal=SIGKILL"),
    "mkdir": ("error=ENOSPC", "signal=SIGKILL"),
    "fchmod": ("error=EIO",),
    "ftruncate": ("error=EIO", "signal=SIGKILL"),
}
ROWS = [(calls, how) for calls, ways in CALLS.items() for how in ways]
IN_LANES = [  # the calls of the database are those that another thread makes in the other lane
    *((*row, Lane.THREAD) for row in ROWS),
    *((*row, Lane.LOOP) for row in ROWS if row[0] in {"fsync", "fdatasync", "pwrite64"}),
]


@dataclass
class Actor:
    """The process that forks the actors."""

    process: subprocess.Popen[str]
    folder: Path

    def act(self, scene: str, home: Path, calls: str, how: str, *, threads: bool = True) -> tuple[int, bool]:
        """Do a scene with a fault, in each thread or in the first alone; return its exit code, and whether a call failed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"scene": scene, "home": str(home)}) + "\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        seen = self.folder / "strace"
        words = ["strace", "-p", str(child), "-o", str(seen), "-e", f"trace={calls}", "-e", f"inject={calls}:{how}"]
        words += ["-f"] if threads else []
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as tracer:
            assert tracer.stderr is not None
            said = tracer.stderr.readline()
            assert "attached" in said, said
            os.kill(child, signal.SIGCONT)
            code = int(self.process.stdout.readline())
            tracer.stderr.read()
        return code, code == KILLED or "(INJECTED)" in seen.read_text()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Actor]:
    words = [sys.executable, "-m", "tests.faults.actor"]
    with subprocess.Popen(words, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Actor(process, tmp_path_factory.mktemp("actor"))
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize(("calls", "how"), ROWS)
def test_network_is_made_whole_or_not_at_all(running: Actor, quick_path: Path, calls: str, how: str) -> None:
    number, code = 0, None
    while True:
        number += 1
        folder = quick_path / str(number)
        folder.mkdir()
        code, failed = running.act("create", folder / "home", calls, f"{how}:when={number}")
        assert code in {actor.DONE, actor.REFUSED, KILLED}, f"{calls} {number}"
        if not failed:
            break
        check_network(folder / "home", code)
    assert code == actor.DONE


@pytest.mark.parametrize("how", ["error=EIO", "signal=SIGKILL"])
@pytest.mark.parametrize("calls", ["rename,renameat,renameat2", "fsync"])
def test_last_steps_of_a_new_network_are_done_or_not(running: Actor, quick_path: Path, calls: str, how: str) -> None:
    """The first thread alone: the moves of the config and of the whole home to its place, and the syncs that make names last."""
    stood, number = [], 0
    while True:
        number += 1
        folder = quick_path / str(number)
        folder.mkdir()
        code, failed = running.act("create", folder / "home", calls, f"{how}:when={number}", threads=False)
        if not failed:
            break
        assert code in {actor.REFUSED, KILLED}
        stood.append((folder / "home").exists())
        check_network(folder / "home", code)
    assert stood == [False] * (len(stood) - 1) + [calls == "fsync"]


def check_network(home: Path, code: int) -> None:
    """Check a home that was made under a fault; make it now if it was not."""
    beside = [path.name for path in home.parent.iterdir() if path != home]
    assert code == KILLED or not beside
    assert all(name.startswith(".home.") for name in beside)
    if code != actor.DONE and not home.exists():
        asyncio.run(create_network(home, NewNetwork("faulty"), SystemClock()))
    config = Home(home).read_config()
    store = Store.open(Home(home).database)
    checked = store.read_now(lambda snapshot: verify_snapshot(snapshot, str(config["network"])))
    store.close()
    assert checked.verified, checked.detail
    assert Home(home).head_file.exists()


@pytest.mark.parametrize(("calls", "how", "lane"), IN_LANES)
def test_head_file_that_cannot_be_written_forks_nothing(running: Actor, quick_path: Path, calls: str, how: str, lane: Lane) -> None:
    network = SmallNetwork()
    (quick_path / "template").mkdir()
    asyncio.run(create_log(quick_path / "template" / LEDGER, network.first, network.keys, TurnedClock()))
    number = 0
    while True:
        number += 1
        home = quick_path / str(number)
        shutil.copytree(quick_path / "template", home)
        code, failed = running.act(f"sequence {lane.name}", home, calls, f"{how}:when={number}")
        assert code in {actor.DONE, actor.REFUSED, actor.DONE_THEN_FAILED, KILLED}, f"{calls} {number}"
        if not failed:
            break
        asyncio.run(check_sequence(home, code, lane))
    assert code == actor.DONE


async def check_sequence(home: Path, code: int, lane: Lane) -> None:
    """Check that the log is whole, that it has what was acknowledged, and that it may be signed on."""
    network = SmallNetwork()
    async with sequencing(home, network, lane) as sequencer:
        assert sequencer.fork_risk is None
        size = sequencer.store.read_now(lambda snapshot: whole(snapshot, network.id))
        if code != KILLED:
            assert (size > len(network.first)) == (code in {actor.DONE, actor.DONE_THEN_FAILED})
        await sequencer.append([network.put("a")])
        sequencer.store.read_now(lambda snapshot: whole(snapshot, network.id))
