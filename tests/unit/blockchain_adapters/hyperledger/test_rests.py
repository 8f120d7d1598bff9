"""How long the bridge rests after its process died: real processes, which are no Java, and a clock that the test turns."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from signal import SIGKILL
from typing import TYPE_CHECKING

import pytest

from blockchain_adapters.hyperledger import bridge as module
from blockchain_adapters.hyperledger.bridge import Bridge, Pace
from ledger.core.errors import NotReadyError
from tests.support.small_network import TurnedClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SOUND = """#!/bin/sh
read token
echo '{"port": 1}'
exec cat
"""
BROKEN = """#!/bin/sh
exit 1
"""
PACE = Pace(rest=1.0, most_rest=5.0, healthy=10.0)
RESTS = [1.0, 2.0, 4.0, 5.0, 5.0]
MOMENT = 0.125


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> TurnedClock:
    one = TurnedClock()
    monkeypatch.setattr(module, "time", one)
    return one


@asynccontextmanager
async def running(folder: Path, program: str) -> AsyncIterator[Bridge]:
    path = folder / "java"
    path.write_text(program)
    path.chmod(0o755)
    bridge = Bridge(path, folder / "bridge.jar", PACE)
    try:
        yield bridge
    finally:
        await bridge.close()


async def killed(bridge: Bridge) -> None:
    """Kill the process, and wait until its bridge knows."""
    assert bridge._running is not None
    os.kill(bridge._running.process.pid, SIGKILL)
    await bridge._running.process.wait()


async def rests(bridge: Bridge, clock: TurnedClock, seconds: float) -> None:
    """Assert that the bridge starts nothing for so long."""
    with pytest.raises(NotReadyError, match=f"again in {seconds:.1f} s"):
        await bridge.start()
    clock.turn(seconds - MOMENT)
    with pytest.raises(NotReadyError, match="again in"):
        await bridge.start()
    clock.turn(MOMENT)


async def test_one_that_dies_again_and_again_rests_twice_as_long_each_time_up_to_the_most(tmp_path: Path, clock: TurnedClock) -> None:
    async with running(tmp_path, SOUND) as bridge:
        assert await bridge.start() == 1
        await killed(bridge)
        assert await bridge.start() == 2  # the first death costs no time
        for generation, seconds in enumerate(RESTS, start=3):
            clock.turn(PACE.healthy - MOMENT)  # not long enough to count as sound
            await killed(bridge)
            await rests(bridge, clock, seconds)
            assert await bridge.start() == generation


async def test_one_that_lived_long_enough_is_started_at_once_and_its_deaths_are_forgotten(tmp_path: Path, clock: TurnedClock) -> None:
    async with running(tmp_path, SOUND) as bridge:
        await bridge.start()
        await killed(bridge)
        await bridge.start()
        for seconds in RESTS[:3]:
            await killed(bridge)
            await rests(bridge, clock, seconds)
            await bridge.start()
        clock.turn(PACE.healthy)
        await killed(bridge)
        before = bridge.generation
        assert await bridge.start() == before + 1
        await killed(bridge)
        await rests(bridge, clock, RESTS[0])
        assert await bridge.start() == before + 2


async def test_one_that_does_not_start_rests_from_the_first_time_on(tmp_path: Path, clock: TurnedClock) -> None:
    async with running(tmp_path, BROKEN) as bridge:
        for seconds in RESTS:
            with pytest.raises(NotReadyError, match="does not start"):
                await bridge.start()
            await rests(bridge, clock, seconds)
    assert bridge.generation == 0
