"""A master keeps its log on a contract: the same log, whatever is killed on the way, and nothing of it waits for the chain."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from ledger.home.home import Home
from tests.support.chain_homes import reader_home
from tests.support.chain_writing import entries_of
from tests.support.live import eventually, founded, ledger_cli, open_client, state_root_of
from tests.support.mirroring_master import Mirrored, log_of, note_of, play

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.anvil import Anvil

__all__ = ["founded"]

pytestmark = pytest.mark.timeout(120)


def test_the_mirror_is_the_log_and_a_node_needs_nothing_else(founded: Path, tmp_path: Path) -> None:
    play(founded, tmp_path, _whole_story)


async def _whole_story(scene: Mirrored, anvil: Anvil) -> None:
    dry = (await scene.cli("add", "mirror", scene.contract.ledger, "--dry-run", "-o", "json")).good()
    assert (dry.json["chain"], dry.json["allowed"]) == (anvil.chain, True)
    assert dry.json["gas"] > 21_000
    assert not (scene.home / "mirrors.json").exists()
    (await scene.add()).good()
    await scene.network.publish("Oslo", "Bergen")
    await scene.reaches("current")
    await scene.network.publish("Voss")
    facts = await scene.reaches("current")
    log = await log_of(scene)
    assert (facts["size"], facts["lag"], facts["believed"]) == (len(log), 0, True)
    assert facts["gas_today"] > 50_000
    assert await entries_of(scene.contract) == log
    said = (await scene.cli("audit", scene.network.url, scene.contract.ledger, "-o", "json")).good().json
    assert (said["same"], said["sizes"], said["compared"]) == (True, [len(log)] * 2, len(log))
    edge = await scene.network.join("edge")
    await scene.reaches("current")
    async with open_client(edge) as client:
        await client.sync()
    wanted = await state_root_of(edge)
    await asyncio.to_thread(scene.network.master.stop)
    reader = await asyncio.to_thread(reader_home, tmp := scene.home.parent / "reader", scene.network.network, scene.contract.ledger)
    async with open_client(reader) as client:
        assert (await client.sync()).entries == len(await entries_of(scene.contract))
    assert await state_root_of(tmp) == wanted


def test_a_master_on_an_old_copy_is_stopped_by_its_mirror(founded: Path, tmp_path: Path) -> None:
    play(founded, tmp_path, _old_copy_story)


async def _old_copy_story(scene: Mirrored, _anvil: Anvil) -> None:
    await asyncio.to_thread(scene.write)
    await scene.network.publish("Oslo")
    await scene.reaches("current")
    await asyncio.to_thread(scene.network.master.stop)
    old = scene.home.parent / "old"
    await asyncio.to_thread(shutil.copytree, scene.home, old)
    await asyncio.to_thread(scene.network.master.restart)
    await scene.network.publish("Bergen")
    await scene.reaches("current")
    await asyncio.to_thread(scene.network.master.stop)
    await asyncio.to_thread(shutil.rmtree, scene.home)
    await asyncio.to_thread(shutil.move, old, scene.home)
    await asyncio.to_thread(scene.network.master.restart)
    refused = await asyncio.to_thread(ledger_cli, scene.home, "publish", "policy", "-", text='{"site":{"name":"Voss"}}')
    assert refused.returncode != 0
    assert "could fork the log" in refused.stderr
    assert scene.network.master.events("fork-risk-presented")
    assert list(Home(scene.home).evidence.glob("fork-*-presented.note"))
    assert len(await entries_of(scene.contract)) == len(await log_of(scene)) + 1


def test_what_keeps_a_mirror_from_going_on_is_said(founded: Path, tmp_path: Path) -> None:
    play(founded, tmp_path, _troubles_story)


async def _troubles_story(scene: Mirrored, anvil: Anvil) -> None:
    address = json.loads((Home(scene.home).keys / "ethereum.json").read_text())["address"]
    funds = await anvil.call("eth_getBalance", f"0x{address.removeprefix('0x')}", "latest")
    await anvil.call("anvil_setBalance", f"0x{address.removeprefix('0x')}", "0x0")
    refused = await scene.add()
    assert refused.code == 4
    assert "funds" in refused.err.lower()
    await asyncio.to_thread(scene.write)
    published = await scene.network.publish("Oslo")  # nothing waits for a mirror
    assert published[0].result == "published"
    await scene.reaches("waits", says="funds")
    await anvil.call("anvil_setBalance", f"0x{address.removeprefix('0x')}", funds)
    await scene.reaches("current")
    (await scene.cli("pause", "mirror", scene.contract.address)).good()
    await scene.reaches("paused")
    await scene.network.publish("Bergen")
    assert (await scene.reaches("paused"))["lag"] >= 1
    spent = (await scene.facts())["gas_today"]
    (await scene.cli("resume", "mirror", scene.contract.address)).good()
    await scene.reaches("current")
    (await scene.add("--max-gas-per-day", "1")).good()

    async def taken_up() -> bool:
        await asyncio.sleep(0.3)
        return (await scene.facts()).get("max_gas_per_day") == 1

    await eventually(taken_up, "the master takes the limit up")
    await scene.network.publish("Voss")
    await scene.reaches("waits", says="allowed")
    (await scene.add("--max-gas-per-day", str(10 * spent))).good()
    await scene.reaches("current")
    (await scene.cli("drop", "mirror", scene.contract.address, "--yes")).good()
    assert (await scene.cli("get", "mirrors", "-o", "json")).good().json == []
    assert (await scene.cli("pause", "mirror", scene.contract.address)).code == 1


def test_what_was_tampered_with_is_named_with_block_and_transaction(founded: Path, tmp_path: Path) -> None:
    play(founded, tmp_path, _tampered_story)


async def _tampered_story(scene: Mirrored, anvil: Anvil) -> None:
    """Let a private chain show another entry, and a checkpoint of its own making."""
    await scene.network.publish("Oslo", "Bergen")
    log, note = await log_of(scene), await note_of(scene)
    spoilt = [*log[:5], log[6], *log[6:]]
    replaced = await scene.contract.anchor(note, spoilt)
    words = ("audit", scene.network.url, scene.contract.ledger, "-o", "json")
    done = await scene.cli(*words)
    assert done.code == 1, done.err
    [difference] = done.json["differences"]
    block = int((await anvil.call("eth_getTransactionReceipt", replaced))["blockNumber"], 16)
    assert (difference["index"], difference["block"], difference["transaction"]) == (5, block, replaced)
    assert (difference["first"], difference["second"]) == (sha256(log[5]).hexdigest(), sha256(log[6]).hexdigest())
    text, _, lines = note.partition(b"\n\n")
    origin, size, _root = text.split(b"\n")[:3]
    made_up = await scene.contract.anchor(b"\n".join((origin, size, base64.b64encode(bytes(32)))) + b"\n\n" + lines, log)
    turned = (await scene.cli("audit", scene.contract.ledger, scene.network.url, "-o", "json")).json
    [difference] = turned["differences"]  # the right entry came, from somebody: what is wrong now is the checkpoint
    assert (difference["what"], difference["transaction"]) == ("checkpoint, not signed by this log", made_up)
    assert (difference["first"], turned["split"]) == ("00" * 32, False)
    same = (await scene.cli("audit", scene.network.url, scene.network.url, "-o", "json")).good().json
    assert (same["same"], same["compared"]) == (True, len(log))
