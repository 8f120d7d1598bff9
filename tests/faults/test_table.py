"""The table of faults: every step in which something is written, failing in every way, before and after it; then all is verified anew.

A row is a scene and a way to fail; each row goes through every step there is (`disk.Disk` counts them).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from ledger.core.errors import LedgerError
from tests.faults.disk import Disk, Fault, How, Left
from tests.faults.scenes import Commit, Genesis, Intake, Intents, KilledGenesis, Lane, Told

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.scenes import Scene

# SQLite passes over some reads that fail, and apsw then shows their errors to nobody in particular.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. None:pytest.PytestUnraisableExceptionWarning")

SCENES = ("commit", "commit in the loop", "intake", "journal", "genesis")
LEAST_STEPS = {"commit": 40, "commit in the loop": 40, "intake": 40, "journal": 20, "genesis": 20}
LEAST_READS = 8


def scene_of(name: str, folder: Path, *, killed: bool = False) -> Scene:
    if name.startswith("commit"):
        return Commit(folder, Lane.LOOP if name.endswith("loop") else Lane.THREAD)
    if name == "intake":
        return Intake(folder)
    if name == "journal":
        return Intents()
    return KilledGenesis() if killed else Genesis()


def fail_at(scene: Scene, home: Path, fault: Fault) -> tuple[Told, Disk]:
    """Act while the disk fails, then check that what was told holds."""
    scene.prepare(home)
    told = Told()
    with Disk(home) as disk:
        disk.arm(fault)
        with suppress(LedgerError):
            asyncio.run(scene.act(home, told))
    try:
        asyncio.run(scene.check(home, told))
    except BaseException as error:
        error.add_note(f"{fault.how}: step {fault.number} of {len(disk.steps)}, told {told}")
        raise
    return told, disk


@pytest.mark.parametrize("how", How)
@pytest.mark.parametrize("name", SCENES)
def test_a_step_that_fails_leaves_a_whole_log_and_no_lie(quick_path: Path, name: str, how: How) -> None:
    scene = scene_of(name, quick_path)
    number = 0
    while True:
        _, disk = fail_at(scene, quick_path / str(number), Fault(number, how))
        if not disk.tripped:
            break
        number += 1
    assert number >= (LEAST_READS if how is How.READ else LEAST_STEPS[name])


@pytest.mark.parametrize("left", Left)
@pytest.mark.parametrize("name", SCENES)
def test_a_crash_before_any_step_leaves_a_whole_log_with_all_that_was_acknowledged(quick_path: Path, name: str, left: Left) -> None:
    scene, told = scene_of(name, quick_path, killed=True), Told()
    scene.prepare(quick_path / "live")
    with Disk(quick_path / "live") as disk:
        disk.keep(quick_path, left, told.copy)
        asyncio.run(scene.act(quick_path / "live", told))
    for image in disk.images:
        then = image.seen
        assert isinstance(then, Told)
        then.perhaps = True
        try:
            asyncio.run(scene.check(image.home, then))
        except BaseException as error:
            error.add_note(f"{left}: before step {image.number}, {image.step}")
            raise
    assert len(disk.images) >= LEAST_STEPS[name]
