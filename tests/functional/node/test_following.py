"""A publish reaches the nodes: proven to its author, verified by each node, at the cost of what changed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from ledger.client.place import Place
from ledger.client.sync import Syncer
from ledger.core.errors import AuthenticationError
from ledger.engine.replica import Replica
from ledger.engine.store import Store
from ledger.home.clock import SystemClock
from tests.support.counting import counting
from tests.support.live import LiveNetwork, content_of, eventually, reaches, size_of, state_root_of

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.core.canonical import JSONObject

POLL_BYTES = 400
PUBLISH_BYTES = 8 * 1024
PUBLISH_REQUESTS = 2


async def read_json(network: LiveNetwork, url: str, path: str, home: Path | None = None) -> Any:
    async with network.transport(url, home) as transport:
        return orjson.loads((await transport.get(path)).body)


async def test_publish_is_proven_and_reaches_a_node(live_network: LiveNetwork) -> None:
    home = await live_network.join("follower")
    node = await asyncio.to_thread(live_network.start_node, home)
    policy: JSONObject = {"site": {"name": "Heathrow", "iata": "LHR"}}
    async with live_network.client(home) as author:
        published = await author.publish_one(policy)
        assert published.receipt is not None
        verified = author.verify_receipt(published.receipt, policy=policy)
        assert (verified.index, verified.kind, verified.policy) == (published.index, "site", "the same")
        await reaches(home, verified.index + 1)
        (shown,) = (await author.get("site", "name = Heathrow")).policies
        assert content_of(shown)["iata"] == "LHR"
    answer = await read_json(live_network, node.url, f"/v1/policies/{published.id}", home)
    assert answer["policy"]["site"]["name"] == "Heathrow"
    assert answer["stale"] is False
    assert answer["size"] >= verified.index + 1


async def test_two_nodes_hold_the_same_state(live_network: LiveNetwork) -> None:
    homes = [await live_network.join(f"twin-{number}") for number in range(2)]
    await asyncio.to_thread(live_network.start_node, homes[0])
    published = await live_network.publish(*(f"twin site {number}" for number in range(30)))
    async with live_network.client() as admin:
        await admin.patch(published[0].id, {"city": "Oslo"})
        await admin.drop(published[1].id)
    await asyncio.to_thread(live_network.start_node, homes[1], "--relay")
    size = await size_of(live_network.home)
    for home in homes:
        await reaches(home, size)
    assert await state_root_of(homes[0]) == await state_root_of(homes[1]) == await state_root_of(live_network.home)


async def test_pushed_policy_costs_no_request_and_few_bytes(live_network: LiveNetwork) -> None:
    home = await live_network.join("pushed")
    async with counting(live_network.url) as wire:
        node = await asyncio.to_thread(live_network.start_node, home, ledger=wire.url)
        await eventually(lambda: bool(node.events("listening")), "the node listens")
        await live_network.publish("before the count")
        await reaches(home, await size_of(live_network.home))
        before = await wire.settled()
        requests = await source_requests(live_network, node.url)
        await live_network.publish("while counting")
        await reaches(home, await size_of(live_network.home))
        assert 0 < await wire.settled() - before <= PUBLISH_BYTES
        assert await source_requests(live_network, node.url) == requests
        assert wire.connections <= 2
        await asyncio.to_thread(node.stop)


async def source_requests(network: LiveNetwork, url: str) -> int:
    """Return how many requests a node sent to its source; the admin may ask."""
    (source,) = (await read_json(network, url, "/v1/status"))["sources"]
    requests: int = source["requests"]
    return requests


async def test_polled_policy_and_idle_poll_cost_little(live_network: LiveNetwork) -> None:
    """The figures of a node that polls: one 304 while nothing changed, two requests for one new policy."""
    home = await live_network.join("polling")
    place = await asyncio.to_thread(Place.find, home)
    store = await asyncio.to_thread(Store.open, place.database)
    replica = Replica(store, place.network)
    syncer = Syncer(replica, clock=SystemClock(), evidence=place.home.evidence)
    await syncer.load()
    async with counting(live_network.url) as wire:
        source = await asyncio.to_thread(place.https, wire.url)
        await live_network.publish("warm up")
        await syncer.step(source, wire.url)
        before = await wire.settled()
        idle = await syncer.step(source, wire.url)
        idle_bytes = await wire.settled() - before
        await live_network.publish("one more")
        before = await wire.settled()
        report = await syncer.step(source, wire.url)
        step_bytes = await wire.settled() - before
        await source.close()
    assert (idle.requests, idle.entries) == (1, 0)
    assert idle_bytes <= POLL_BYTES
    assert report.entries >= 1
    assert report.requests <= PUBLISH_REQUESTS
    assert step_bytes <= PUBLISH_BYTES
    assert wire.connections == 1
    await asyncio.to_thread(replica.close)
    await asyncio.to_thread(store.close)


async def test_relay_serves_the_log_to_another_node(live_network: LiveNetwork) -> None:
    first, second = [await live_network.join(f"chain-{number}") for number in range(2)]
    relay = await asyncio.to_thread(live_network.start_node, first, "--relay")
    await asyncio.to_thread(live_network.start_node, second, ledger=relay.url, server="chain-0")
    await live_network.publish("by way of a relay")
    size = await size_of(live_network.home)
    await reaches(second, size)
    assert await state_root_of(second) == await state_root_of(first)


async def test_node_that_is_no_relay_keeps_its_log_to_itself(live_network: LiveNetwork) -> None:
    home = await live_network.join("reserved")
    node = await asyncio.to_thread(live_network.start_node, home)
    async with live_network.transport(node.url) as transport:
        checkpoint = await transport.get("/checkpoint")
        assert checkpoint.status == 200
        assert "metaledger-remark" not in checkpoint.headers
        with pytest.raises(Exception, match="there is no such route"):
            await transport.get("/v1/entries?start=0&end=1")


async def test_sync_beside_a_running_agent_is_done_by_it(live_network: LiveNetwork) -> None:
    home = await live_network.join("accompanied")
    node = await asyncio.to_thread(live_network.start_node, home)
    async with live_network.client(home) as client:
        report = await client.sync()
    assert report.agent
    assert report.size == await size_of(live_network.home)
    async with live_network.transport(node.url, home) as transport:
        with pytest.raises(Exception, match="operate"):
            await transport.post("/v1/sync", b"{}", "application/json")


async def test_revoked_member_is_refused_at_the_next_request(live_network: LiveNetwork) -> None:
    home = await live_network.join("leaving")
    stays = await live_network.join("staying")
    node = await asyncio.to_thread(live_network.start_node, stays)
    async with (
        live_network.client() as admin,
        live_network.transport(home=home) as at_master,
        live_network.transport(node.url, home) as at_node,
    ):
        for transport in (at_master, at_node):
            assert (await transport.get("/v1/policies?kind=site")).status == 200
        (member,) = (await admin.get("member", "name = leaving")).policies
        dropped = await admin.drop(str(content_of(member)["id"]))
        with pytest.raises(AuthenticationError):
            await at_master.get("/v1/policies?kind=site")
        assert dropped.index is not None
        await reaches(stays, dropped.index + 1)

        async def refused() -> bool:
            try:
                await at_node.get("/v1/policies?kind=site")
            except AuthenticationError:
                return True
            return False

        await eventually(refused, "the node refuses whoever its replica shows as gone", 2.0)
