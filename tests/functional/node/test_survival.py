"""A node alone: the master stopped, the node restarted, its home empty, its settings wrong."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from typing import TYPE_CHECKING, Any

import orjson

from tests.support.live import LiveNetwork, configure, eventually, ledger_cli, reaches, size_of, state_root_of

if TYPE_CHECKING:
    from tests.support.live import Server


async def status_of(network: LiveNetwork, node: Server) -> Any:
    async with network.transport(node.url) as transport:
        return orjson.loads((await transport.get("/v1/status")).body)


async def test_node_answers_without_its_master_and_goes_on_when_it_is_back(own_network: LiveNetwork) -> None:
    network = own_network
    home = await network.join("node-1")
    node = await asyncio.to_thread(network.start_node, home, poll=0.5)
    (published,) = await network.publish("kept")
    assert published.index is not None
    await reaches(home, published.index + 1)
    assert await asyncio.to_thread(network.master.stop) == 0
    async with network.transport(node.url, home) as transport:  # a new token, by the node, from its own replica
        answer = orjson.loads((await transport.get(f"/v1/policies/{published.id}")).body)
        assert answer["policy"]["site"]["name"] == "kept"
        receipt = (await transport.get(f"/v1/receipts/{published.digest}")).body
        assert (await transport.get("/readyz", private=False)).status == 200
    async with network.client(home) as client:
        assert client.verify_receipt(receipt).index == published.index

    async def noticed() -> bool:
        (source,) = (await status_of(network, node))["sources"]
        return bool(source["error"])

    await eventually(noticed, "the node sees that its source is gone")
    await asyncio.to_thread(network.master.restart)
    await network.publish("after the break")
    await reaches(home, await size_of(network.home))


async def test_node_that_slept_goes_on_when_it_wakes(own_network: LiveNetwork) -> None:
    """As a machine that is suspended: the node stands still while its streams end and the master is another process."""
    network = own_network
    home = await network.join("node-1")
    node = await asyncio.to_thread(network.start_node, home, poll=0.5)
    await network.publish("before it slept")
    await reaches(home, await size_of(network.home))
    os.kill(node.pid, signal.SIGSTOP)
    await network.publish("while it slept")
    await asyncio.to_thread(network.master.kill)
    await asyncio.to_thread(network.master.restart)
    await network.publish("while it slept still")
    os.kill(node.pid, signal.SIGCONT)
    await reaches(home, await size_of(network.home))
    await network.publish("after it woke")
    await reaches(home, await size_of(network.home))
    assert node.running


async def test_restarted_node_fetches_only_what_is_new(own_network: LiveNetwork) -> None:
    network = own_network
    home = await network.join("node-1")
    node = await asyncio.to_thread(network.start_node, home)
    await network.publish(*(f"before {number}" for number in range(20)))
    size = await size_of(network.home)
    await reaches(home, size)
    for end in (node.stop, node.kill):
        await asyncio.to_thread(end)
        (published,) = await network.publish(f"while it was away: {end.__name__}")
        await asyncio.to_thread(configure, home, log_level="debug")
        before = len(node.events("synced"))
        await asyncio.to_thread(node.restart)
        assert published.index is not None
        await reaches(home, published.index + 1)
        await eventually(lambda: len(node.events("synced")) > before, "it says what it fetched")  # noqa: B023 - asked at once
        first = node.events("synced")[before]
        assert first["entries"] == published.index + 1 - size
        assert first["requests"] == 2
        size = published.index + 1
    assert await state_root_of(home) == await state_root_of(network.home)


async def test_empty_home_joins_at_the_first_start(own_network: LiveNetwork) -> None:
    network = own_network
    async with network.client() as admin:
        line = await admin.invite("late", "node")
    token = network.folder / "late.token"
    token.write_text(line + "\n")
    token.chmod(0o600)
    home = network.folder / "late"
    home.mkdir()
    node = await asyncio.to_thread(network.start_node, home, "--join", f"@{token}")
    await network.publish("for the newcomer")
    await reaches(home, await size_of(network.home))
    assert (await status_of(network, node))["server"] == "late"
    for name in ("api-token", "listen.json"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    assert await asyncio.to_thread(node.stop) == 0
    assert not (home / "listen.json").exists()
    await asyncio.to_thread(node.restart)  # the token is spent; a home that is there needs none
    assert line not in node.log_text()


async def test_second_agent_on_one_home_is_refused(live_network: LiveNetwork) -> None:
    home = await live_network.join("single")
    await asyncio.to_thread(live_network.start_node, home)
    done = await asyncio.to_thread(ledger_cli, home, "run", "node", "--listen", "127.0.0.1:0")
    assert done.returncode == 4
    assert "is held by process" in done.stderr
