"""`kill -9` of a master at any moment, under load: what was acknowledged stands, sizes never go back, nothing is torn."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.faults.load import Load
from tests.support.live import LiveNetwork, ledger_cli

ROUNDS = 5  # of each test: four of them in `make test`, forty in `make faults`
ACKNOWLEDGED = 8


async def live_and_die(network: LiveNetwork, load: Load) -> None:
    task = await load.until_killed(network.master.url, ACKNOWLEDGED)
    await asyncio.sleep(load.moment())
    network.master.kill()
    await task


def rounds(network: LiveNetwork) -> None:
    load, size = Load(network.home, network.network), 0
    for _ in range(ROUNDS):
        asyncio.run(live_and_die(network, load))
        size_now = load.check()
        assert size_now >= size + ACKNOWLEDGED
        size = size_now
        network.master.start()  # a plain restart: no fork risk, whatever head.json was about to say
        assert not network.master.events("sequencer.fork-risk")
    assert len(load.placed) >= ROUNDS * ACKNOWLEDGED
    assert load.lost == ROUNDS * 8  # nobody was refused before the kill
    assert ledger_cli(network.home, "verify", "ledger").returncode == 0
    assert network.master.stop() == 0
    assert load.check() >= size


@pytest.mark.parametrize("number", range(4))
def test_master_killed_under_load_keeps_what_it_acknowledged(own_network: LiveNetwork, number: int) -> None:
    rounds(own_network)


@pytest.mark.siege
@pytest.mark.parametrize("number", range(40))
def test_master_killed_two_hundred_times_keeps_what_it_acknowledged(own_network: LiveNetwork, number: int) -> None:
    rounds(own_network)


def test_signing_process_killed_under_load_ends_the_master_and_loses_nothing(own_network: LiveNetwork) -> None:
    load, size = Load(own_network.home, own_network.network), 0
    for _ in range(ROUNDS):
        asyncio.run(live_without_signing(own_network, load))
        size_now = load.check()
        assert size_now >= size + ACKNOWLEDGED
        size = size_now
        own_network.master.start()
        assert not own_network.master.events("sequencer.fork-risk")
    assert load.lost == ROUNDS * 8  # an unknown outcome, a refusal, or no connection: nobody was left waiting
    assert ledger_cli(own_network.home, "verify", "ledger").returncode == 0


def children(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


async def live_without_signing(network: LiveNetwork, load: Load) -> None:
    task = await load.until_killed(network.master.url, ACKNOWLEDGED)
    await asyncio.sleep(load.moment())
    (signing,) = await asyncio.to_thread(children, network.master.pid)
    os.kill(signing, signal.SIGKILL)
    assert await asyncio.to_thread(network.master.wait) == 1
    assert "the signing process was killed by SIGKILL" in network.master.log_text()
    await task


def test_check_sees_what_is_missing(own_network: LiveNetwork, tmp_path: Path) -> None:
    """The check itself: an acknowledgement that does not stand, a checkpoint of another tree and a size that goes back are found."""
    load = Load(own_network.home, own_network.network)
    asyncio.run(live_and_die(own_network, load))
    load.check()
    (envelope, placed), (other, _) = load.placed[0], load.placed[1]
    for wrong in ((other, placed), (load.envelope(), placed)):
        load.placed.append(wrong)
        with pytest.raises(AssertionError):
            load.check()
        load.placed.pop()
    load.placed.append((envelope, placed))
    load.check()
    load.heads.reverse()
    if len(set(load.heads)) > 1:
        with pytest.raises(AssertionError):
            load.check()
