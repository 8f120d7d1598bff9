"""A master keeps its log in a chaincode: the same log, beside another mirror too, whatever is killed; and a node needs nothing else."""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import suppress
from functools import partial
from hashlib import sha256
from signal import SIGCONT, SIGKILL, SIGSTOP, Signals
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped] # it has no types
import pytest

from blockchain_adapters.codec import encode
from blockchain_adapters.hyperledger.bridge import Bridge
from blockchain_adapters.hyperledger.peer import Peer
from ledger.client.place import Place
from ledger.core.trust.good import parse_claim
from ledger.home.home import Home
from tests.support.anvil import running_anvil
from tests.support.chain_homes import PHRASE, reader_home, write_account
from tests.support.channel_master import Scene
from tests.support.contract import Contract
from tests.support.forked_master import ForkedMaster
from tests.support.live import founded, live, open_client, state_root_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.support.anvil import Anvil
    from tests.support.fabric.shape import FabricNetwork
    from tests.support.live import LiveNetwork

__all__ = ["founded"]

pytestmark = [pytest.mark.java, pytest.mark.timeout(180)]

EACH = 30  # entries a round
LONGEST = 0.3
AWAY = 1.0  # seconds that a part is frozen


def play(
    opened: AbstractAsyncContextManager[FabricNetwork], founded: Path, folder: Path, story: Callable[[Scene], Awaitable[None]]
) -> None:
    """Run a story with a master and a channel."""

    async def run(network: LiveNetwork) -> None:
        async with opened as channel:
            await story(await asyncio.to_thread(Scene, network, channel, folder, METALEDGER_PASSPHRASE=PHRASE))

    with live(founded, folder, make=ForkedMaster, passphrase=PHRASE) as network:
        asyncio.run(run(network))


def test_the_mirror_is_the_log_and_a_node_needs_nothing_else(
    opened: AbstractAsyncContextManager[FabricNetwork], founded: Path, tmp_path: Path
) -> None:
    play(opened, founded, tmp_path, _whole_story)


async def _whole_story(scene: Scene) -> None:
    dry = (await scene.cli("add", "mirror", scene.url, "--dry-run", "-o", "json")).good().json
    assert (dry["channel"], dry["chaincode"], dry["configured"], dry["anchors"]) == ("ledger", "metaledger", True, 0)
    assert dry["entries"] > 0
    refused = await scene.add("", "--max-gas-per-day", "7")
    assert (refused.code, "no gas" in refused.err) == (2, True)
    (await scene.add()).good()
    await scene.network.publish("Oslo", "Bergen")
    await scene.reaches("current")
    await scene.network.publish("Voss")
    facts = await scene.reaches("current")
    assert (facts["lag"], facts["gas_today"], facts["believed"]) == (0, 0, len(scene.channel.peers) == 1)
    said = await scene.audit(scene.network.url, scene.url)
    assert said["sizes"] == [facts["size"]] * 2
    edge = await scene.network.join("edge")
    await scene.reaches("current")
    async with open_client(edge) as client:
        await client.sync()
    wanted = await state_root_of(edge)
    await asyncio.to_thread(scene.network.master.stop)
    reader = await asyncio.to_thread(reader_home, scene.home.parent / "reader", scene.network.network, scene.url)
    (Home(reader).keys / "fabric.id").write_bytes((Home(scene.home).keys / "fabric.id").read_bytes())
    (Home(reader).keys / "fabric.id").chmod(0o600)
    async with open_client(reader) as client:
        assert (await client.sync()).entries > facts["size"]
        assert len((await client.get("site")).policies) == 3
    assert await state_root_of(reader) == wanted


@pytest.mark.anvil
def test_one_log_is_mirrored_to_two_chains_at_once_and_all_three_are_the_same(
    opened: AbstractAsyncContextManager[FabricNetwork], founded: Path, tmp_path: Path
) -> None:
    async def story(scene: Scene) -> None:
        async with running_anvil() as anvil:
            await _two_chains(scene, anvil)

    play(opened, founded, tmp_path, story)


async def _two_chains(scene: Scene, anvil: Anvil) -> None:
    contract = await Contract.deploy(anvil)
    await asyncio.to_thread(write_account, Home(scene.home).keys / "ethereum.json", anvil.key)
    for url in (scene.url, contract.ledger):
        (await scene.add(url)).good()
    await scene.network.publish("Oslo", "Bergen", "Voss")
    sizes = {(await scene.reaches("current", url=url))["size"] for url in (scene.url, contract.ledger)}
    assert len(sizes) == 1
    for first, second in ((scene.network.url, scene.url), (scene.network.url, contract.ledger), (contract.ledger, scene.url)):
        assert (await scene.audit(first, second))["compared"] == min(sizes)


def test_what_was_tampered_with_is_named_with_block_and_transaction(
    opened: AbstractAsyncContextManager[FabricNetwork], founded: Path, tmp_path: Path, parts: tuple[Path, Path]
) -> None:
    async def story(scene: Scene) -> None:
        bridge = Bridge(*parts)
        try:
            await _tampered_story(scene, bridge)
        finally:
            await bridge.close()

    play(opened, founded, tmp_path, story)


async def _tampered_story(scene: Scene, bridge: Bridge) -> None:
    """Let one who may append anchor another entry under the master's own checkpoint."""
    await scene.network.publish("Oslo", "Bergen")
    backend = (await asyncio.to_thread(lambda: Place.find(scene.home))).https(scene.network.url)
    head = await backend.head()
    log, note = await backend.read(0, head.size), head.checkpoint
    await backend.close()
    assert note is not None
    claim, spoilt = parse_claim(note), [*log[:5], log[6], *log[6:]]
    peer = Peer(bridge, scene.channel.profile())
    endorsed = await peer.endorse("Anchor", b"0", b"0", str(claim.size).encode(), claim.root, encode(spoilt), note)
    await peer.submit(endorsed)
    found = await peer.committed(endorsed.transaction, 30.0)
    assert found is not None
    done = await scene.cli("audit", scene.network.url, scene.url, "-o", "json")
    assert done.code == 1, done.err
    [difference] = done.json["differences"]
    assert (difference["index"], difference["block"], difference["transaction"]) == (5, found.block, endorsed.transaction)
    assert (difference["first"], difference["second"]) == (sha256(log[5]).hexdigest(), sha256(log[6]).hexdigest())
    (await scene.add()).good()  # the master mends it: the chaincode holds its entry, too
    await scene.reaches("current")
    reader = await asyncio.to_thread(reader_home, scene.home.parent / "reader", scene.network.network, scene.url)
    (Home(reader).keys / "fabric.id").write_bytes((Home(scene.home).keys / "fabric.id").read_bytes())
    (Home(reader).keys / "fabric.id").chmod(0o600)
    async with open_client(reader) as client:
        assert (await client.sync()).size >= head.size


@pytest.mark.parametrize(
    "rounds",
    [pytest.param(20, marks=pytest.mark.timeout(300)), pytest.param(100, marks=[pytest.mark.siege, pytest.mark.timeout(1_500)])],
)
def test_what_is_killed_or_frozen_in_mid_batch_goes_on(
    opened: AbstractAsyncContextManager[FabricNetwork], founded: Path, tmp_path: Path, rounds: int
) -> None:
    play(opened, founded, tmp_path, partial(_struck_story, rounds))


async def _struck_story(rounds: int, scene: Scene) -> None:
    chance = random.Random(rounds)
    (await scene.add()).good()
    victims = ("master", "jvm", *scene.channel.parts)
    strikes = [partial(strike, scene, one) for strike in (_kill, _freeze) for one in victims]
    for number in range(rounds):
        await scene.network.publish(*(f"site {number}-{one}" for one in range(EACH)))
        await asyncio.sleep(chance.uniform(0, LONGEST))
        await strikes[number % len(strikes)]()
    await scene.reaches("current", seconds=90.0)
    said = await scene.audit(scene.network.url, scene.url)
    assert said["compared"] >= rounds * EACH


async def _kill(scene: Scene, victim: str) -> None:
    if victim == "master":
        await asyncio.to_thread(scene.network.master.kill)
        await asyncio.to_thread(scene.network.master.restart)
    elif victim == "jvm":
        _signal(_jvms(scene), SIGKILL)
    else:
        await asyncio.to_thread(scene.channel.kill, victim)
        await scene.channel.start(victim)


async def _freeze(scene: Scene, victim: str) -> None:
    """Let a part stand still for a while; it has not died, and does not answer."""
    if victim in {"master", "jvm"}:
        stopped = [scene.network.master.pid] if victim == "master" else _jvms(scene)
        _signal(stopped, SIGSTOP)
        await asyncio.sleep(AWAY)
        _signal(stopped, SIGCONT)
    else:
        scene.channel.freeze(victim)
        await asyncio.sleep(AWAY)
        scene.channel.thaw(victim)


def _jvms(scene: Scene) -> list[int]:
    return [one.pid for one in psutil.Process(scene.network.master.pid).children() if one.name() == "java"]


def _signal(processes: list[int], number: Signals) -> None:
    for one in processes:
        with suppress(ProcessLookupError):
            os.kill(one, number)
