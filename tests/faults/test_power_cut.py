"""A power cut under a master: its home lies on a file system of its own, which is shut down as it is; what was not synced is gone.

`xfs_io -c shutdown` stops an ext4 at once: nothing that its caches hold reaches the disk any more, its journal replays at the next mount.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ledger.engine.headfile import HeadFile
from tests.faults.load import Load
from tests.support.live import LiveNetwork, start_master

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.power

MEGABYTES = 64
CUTS = 3


def run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, (words, done.stderr)


class Volume:
    """An ext4 in a file, and its power switch."""

    def __init__(self, folder: Path) -> None:
        self._image = folder / "disk.img"
        self.place = folder / "disk"
        self.place.mkdir()
        with self._image.open("wb") as file:
            file.truncate(MEGABYTES << 20)
        run("mkfs.ext4", "-q", str(self._image))

    def mount(self) -> None:
        run("mount", "-o", "loop", str(self._image), str(self.place))

    def unmount(self) -> None:
        """Unmount, once the process that signs has followed the killed master."""
        deadline = time.monotonic() + 10
        while True:
            try:
                run("umount", str(self.place))
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return

    def settle(self) -> None:
        """Write out what a test copied here; what a master writes it syncs by itself."""
        run("sync", "-f", str(self.place))

    def cut(self) -> None:
        run("xfs_io", "-x", "-c", "shutdown", str(self.place))


@contextmanager
def volume(folder: Path) -> Iterator[Volume]:
    made = Volume(folder)
    made.mount()
    try:
        yield made
    finally:
        made.unmount()


def kept_size(network: LiveNetwork) -> int:
    left = HeadFile(network.home / "head.json").read()
    return 0 if left is None else left.size


async def cut_under_load(network: LiveNetwork, load: Load, disk: Volume, acknowledged: int) -> None:
    task = await load.until_killed(network.master.url, acknowledged)
    answered, seen = len(load.placed), len(load.heads)
    await asyncio.to_thread(disk.cut)
    await asyncio.sleep(0.2)
    network.master.kill()
    await task
    # A sync that is under way when ext4 is shut down may return as if it were done: with the power gone nobody would hear of that.
    del load.placed[answered:], load.heads[seen:]


def test_power_cut_under_load_keeps_what_was_acknowledged_and_is_a_plain_restart(founded: Path, tmp_path: Path) -> None:
    with volume(tmp_path) as disk:
        network = start_master(founded, disk.place)
        disk.settle()
        load, lags, size = Load(network.home, network.network), [], 0
        try:
            for number in range(CUTS):
                acknowledged = 30 * (number + 1)
                asyncio.run(cut_under_load(network, load, disk, acknowledged))
                disk.unmount()
                disk.mount()
                size = load.check()
                lags.append(size - kept_size(network))
                network.master.start()
                assert not network.master.events("sequencer.fork-risk")
        finally:
            network.stop()
        assert len(load.placed) >= 150
        assert max(lags) > 0  # the cut did take what head.json was about to say
        assert load.check() >= size


def test_power_cut_right_after_an_answer_keeps_it(founded: Path, tmp_path: Path) -> None:
    """The answer leaves only after the sync: the newest acknowledgement is on disk, whatever is cut then."""
    with volume(tmp_path) as disk:
        network = start_master(founded, disk.place)
        disk.settle()
        load = Load(network.home, network.network)
        try:
            asyncio.run(cut_under_load(network, load, disk, 1))
            disk.unmount()
            disk.mount()
            assert load.check() > max(placed.index for _, placed in load.placed)
        finally:
            network.stop()
