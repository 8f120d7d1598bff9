"""Mirrors as their operator meets them: one that gave up, one that rests, two at once."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account as EthAccount

from ledger.client.place import Place
from ledger.home.home import Home
from ledger.home.mirrors import Mirror, write_mirrors
from tests.support.anvil import running_anvil
from tests.support.chain_homes import write_account
from tests.support.chain_writing import entries_of
from tests.support.contract import Contract
from tests.support.live import eventually, founded
from tests.support.mirroring_master import Mirrored, log_of, note_of, play

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.anvil import Anvil

__all__ = ["founded"]

pytestmark = pytest.mark.timeout(120)

OTHER_KEY = "0x" + "21" * 32
OTHER = EthAccount.from_key(OTHER_KEY).address


def test_what_no_block_takes_is_given_up_until_it_is_tried_again(founded: Path, tmp_path: Path) -> None:
    play(founded, tmp_path, _dead_story)


async def _dead_story(scene: Mirrored, anvil: Anvil) -> None:
    await anvil.call("evm_setBlockGasLimit", hex(40_000))
    await asyncio.to_thread(scene.write)
    dead = await scene.reaches("dead", says="gas")
    assert dead["lag"] > 0
    await scene.network.publish("Oslo")  # nothing waits for a mirror
    await anvil.call("evm_setBlockGasLimit", hex(30_000_000))
    log = await log_of(scene)
    await scene.contract.anchor(await note_of(scene), log[:5])  # somebody else's, and right
    seen = await scene.until(lambda one: one["size"] == 5, "it has looked at the contract again")
    assert seen["state"] == "dead"
    assert await entries_of(scene.contract) == log[:5]  # it was left alone
    (await scene.cli("retry", "mirror", scene.contract.address)).good()
    await scene.reaches("current")
    assert await entries_of(scene.contract) == await log_of(scene)


def test_two_mirrors_at_one_address_of_two_chains_hold_the_same_log(founded: Path, tmp_path: Path) -> None:
    play(founded, tmp_path, _two_story)


async def _two_story(scene: Mirrored, _anvil: Anvil) -> None:
    """Mirror to a second chain, on which the same account made the same contract; then that chain goes away."""
    async with running_anvil("--chain-id", "999") as second:
        other = await Contract.deploy(second)
        assert other.address == scene.contract.address
        await second.call("anvil_setBalance", OTHER, hex(10**18))
        await asyncio.to_thread(_write_both, scene, other)

        async def both() -> bool:
            await asyncio.sleep(0.3)
            log = await log_of(scene)
            return await entries_of(scene.contract) == log == await entries_of(other)

        await scene.network.publish("Oslo", "Bergen")
        await eventually(both, "both mirrors hold the log", 30)
        await scene.network.publish("Voss")
        await eventually(both, "both mirrors hold what came after", 30)
    await scene.network.publish("Hamar")

    async def alone() -> bool:
        await asyncio.sleep(0.3)
        return await entries_of(scene.contract) == await log_of(scene)

    await eventually(alone, "the mirror whose chain is there goes on", 30)
    rows = (await scene.cli("get", "mirrors", "-o", "json")).good().json
    assert {one["url"]: one["lag"] > 0 for one in rows} == {scene.contract.ledger: False, other.ledger: True}


def test_metrics_and_status_show_how_mirrors_are(founded: Path, tmp_path: Path) -> None:
    play(founded, tmp_path, _shown_story)


async def _shown_story(scene: Mirrored, _anvil: Anvil) -> None:
    before = await _gauges(scene)
    assert before == {"mirror_lag_entries": 0.0, "mirror_gas_day": 0.0, "mirrors_waiting": 0.0}  # there is none
    await asyncio.to_thread(scene.write)
    facts = await scene.reaches("current")
    assert await _gauges(scene) == {"mirror_lag_entries": 0.0, "mirror_gas_day": float(facts["gas_today"]), "mirrors_waiting": 0.0}
    (await scene.cli("pause", "mirror", scene.contract.address)).good()
    await scene.reaches("paused")
    await scene.network.publish("Oslo")
    [told] = await _status(scene)
    assert (told["state"], told["lag"] > 0) == ("paused", True)
    assert (await _gauges(scene))["mirror_lag_entries"] == told["lag"]
    (await scene.cli("resume", "mirror", scene.contract.address)).good()
    await scene.reaches("current")
    (await scene.add("--max-gas-per-day", "1")).good()
    await scene.until(lambda one: one.get("max_gas_per_day") == 1, "the master takes the limit up")
    await scene.network.publish("Bergen")
    await scene.reaches("waits", says="allowed")
    [told] = await _status(scene)
    assert (told["code"], told["lag"] > 0) == ("not-ready", True)
    assert (await _gauges(scene))["mirrors_waiting"] == 1.0


async def _status(scene: Mirrored) -> list[dict[str, Any]]:
    """Return what `GET /v1/status` says of the mirrors."""
    place = await asyncio.to_thread(Place.find, scene.home)
    async with await asyncio.to_thread(partial(place.transport, scope="operate")) as server:
        found: list[dict[str, Any]] = json.loads((await server.get("/v1/status")).body)["mirrors"]
    return found


async def _gauges(scene: Mirrored) -> dict[str, float]:
    """Return what `/metrics` says of the mirrors."""
    told = json.loads((scene.home / "listen.json").read_text())["metrics"]
    async with scene.network.transport(f"https://{told}") as scraper:
        text = (await scraper.get("/metrics", private=False)).body.decode()
    lines = [line.removeprefix("metaledger_").split(" ") for line in text.splitlines() if line.startswith("metaledger_mirror")]
    return {name: float(value) for name, value in lines}


def _write_both(scene: Mirrored, other: Contract) -> None:
    """Write both mirrors into the home, each with an account file of its own (blocking)."""
    home = Home(scene.home)
    write_account(home.keys / "other.json", OTHER_KEY)
    write_mirrors(
        home,
        [
            Mirror(url=scene.contract.ledger, key="ethereum.json", every=0.0),
            Mirror(url=other.ledger, key="other.json", every=0.0),
        ],
    )
