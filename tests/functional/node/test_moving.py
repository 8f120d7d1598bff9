"""A master that moves: its nodes and members follow its `master` policy to the new address, and nobody else's."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from tests.support.live import LiveNetwork, Server, configure, eventually, ledger_cli, reaches, size_of
from tests.support.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.core.canonical import JSON


async def says(network: LiveNetwork, url: str, home: Path | None = None) -> str:
    """Publish, as the member of a home, that the master is at `url`; return the policy's id."""
    policy: JSON = {"master": {"name": f"says {'admin' if home is None else home.name}", "url": url}}
    async with network.client(home) as author:
        return (await author.publish_one(policy)).id


def move(network: LiveNetwork, url: str) -> None:
    """Stop the master and start it at another address, as its operator does (blocking)."""
    network.master.stop()
    network.master.start(url.removeprefix("https://"))
    configure(network.home, ledger=url)


def new_url() -> str:
    return f"https://127.0.0.1:{free_port()}"


def config_of(home: Path) -> bytes:
    return (home / "config.toml").read_bytes()


async def node_status(network: LiveNetwork, node: Server) -> dict[str, Any]:
    async with network.transport(node.url) as admin:
        status: dict[str, Any] = orjson.loads((await admin.get("/v1/status")).body)
    return status


@pytest.mark.timeout(180)  # two moves and a dozen processes, on a busy machine
async def test_node_and_members_follow_a_master_that_moved(own_network: LiveNetwork) -> None:
    network, old, url = own_network, own_network.url, new_url()
    home, member, away = [await network.join(name) for name in ("node-1", "member-1", "member-2")]
    node = await asyncio.to_thread(network.start_node, home, poll=0.5)
    configured = await asyncio.to_thread(config_of, home)
    policy = await says(network, url)
    size = await size_of(network.home)
    await reaches(home, size)
    assert (await asyncio.to_thread(ledger_cli, member, "sync")).returncode == 0

    await asyncio.to_thread(move, network, url)
    await network.publish("after the move")
    await reaches(home, size + 1)
    (event,) = node.events("master-moved")
    assert (event["former"], event["url"], event["policy"]) == (old, url, policy)
    status = await node_status(network, node)
    assert (status["moved"]["url"], status["moved"]["former"], status["sources"][0]["url"]) == (url, [old], url)

    await asyncio.to_thread(node.stop)  # and it is there after a restart
    await asyncio.to_thread(node.start)
    await network.publish("after the restart")
    await reaches(home, size + 2)
    assert len(node.events("master-moved")) == 1
    assert await asyncio.to_thread(config_of, home) == configured

    # A member without an agent finds it with its next command, and publishes there.
    (await asyncio.to_thread(member.joinpath("site.json").write_text, '{"site": {"name": "from a member"}}'))
    published = await asyncio.to_thread(ledger_cli, member, "publish", "policy", str(member / "site.json"))
    assert published.returncode == 0, published.stderr
    told = json.loads((await asyncio.to_thread(ledger_cli, member, "status", "-o", "json")).stdout)
    assert (told["ledger"], told["moved"]["former"], told["state"]) == (url, [old], "ok")

    # One that never heard of the policy cannot know.
    lost = await asyncio.to_thread(ledger_cli, away, "sync")
    assert (lost.returncode, "cannot connect" in lost.stderr) == (4, True)
    await reaches(home, size + 3)

    back = new_url()  # and on it goes
    await says(network, back)
    await asyncio.to_thread(move, network, back)
    await network.publish("after the second move")
    await reaches(home, size + 5)
    assert (await node_status(network, node))["moved"]["former"] == [old, url]


@pytest.mark.timeout(180)  # as above
async def test_member_cannot_lead_the_nodes_away(own_network: LiveNetwork, tmp_path: Path) -> None:
    network, url = own_network, new_url()
    home, mallory = [await network.join(name) for name in ("node-1", "mallory")]
    node = await asyncio.to_thread(network.start_node, home, poll=0.2)
    trap = await asyncio.to_thread(network.start_node, mallory, "--relay")  # a server of this network, with a certificate of its CA

    await says(network, trap.url, mallory)  # in the log and in force: of ordinary members no news of the network
    await reaches(home, await size_of(network.home))
    await asyncio.to_thread(network.master.stop)
    await eventually(lambda: len(node.events("source-failed")) > 0, "the node misses its master")
    await asyncio.sleep(1.0)
    assert (node.events("master-moved"), node.events("master-not-followed")) == ([], [])

    # Even of an admin's policy only where to look is believed: the server there must be the master of this log.
    await asyncio.to_thread(network.master.restart)
    other = tmp_path / "other"
    assert (await asyncio.to_thread(ledger_cli, other, "create", "network", "other")).returncode == 0
    stranger = Server("master", other)
    network.servers.append(stranger)
    await asyncio.to_thread(stranger.start)
    lies = {trap.url: "is mallory, not master", stranger.url: "does not trust", "http://127.0.0.1:1": "only https"}
    for wrong, reason in lies.items():
        await says(network, wrong)
        await eventually(lambda reason=reason: any(reason in str(one) for one in node.events("master-not-followed")), reason)
    assert node.events("master-moved") == []

    await says(network, url)
    await reaches(home, await size_of(network.home))
    await asyncio.to_thread(move, network, url)
    await network.publish("after all")
    await reaches(home, await size_of(network.home))
    assert [one["url"] for one in node.events("master-moved")] == [url]


@pytest.mark.parametrize(("guarded", "reason"), [(False, "the clock key went back"), (True, "it has 27 entries of the 28")])
async def test_node_does_not_follow_to_an_older_copy(own_network: LiveNetwork, tmp_path: Path, guarded: bool, reason: str) -> None:
    """A copy with every key, and the log as it was; with its fork guard up it renews nothing, so that it proves no lie either."""
    network, url = own_network, new_url()
    home = await network.join("node-1")
    await asyncio.to_thread(network.master.stop)
    old = tmp_path / "old"
    await asyncio.to_thread(shutil.copytree, network.home, old)
    if guarded:
        await asyncio.to_thread((old / "head.json").unlink)
    await asyncio.to_thread(network.master.restart)
    await says(network, url)
    node = await asyncio.to_thread(network.start_node, home, poll=0.2)
    await reaches(home, await size_of(network.home))
    await asyncio.to_thread(network.master.stop)
    copy = Server("master", old)
    network.servers.append(copy)
    await asyncio.to_thread(copy.start, url.removeprefix("https://"))
    await eventually(lambda: any(reason in str(one) for one in node.events("source-failed")), reason)
    assert node.events("master-moved") == []
    kept = await asyncio.to_thread(lambda: list((home / "evidence").glob("*.json")))
    assert len(kept) == (0 if guarded else 1)
