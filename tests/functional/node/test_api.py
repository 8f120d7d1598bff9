"""The local read API of a node: who may read, with which token, and what is told about the node itself."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import orjson
import pytest

from ledger.client.https import log_event
from ledger.client.place import Place
from ledger.client.sse import Parser
from ledger.client.transport import Transport
from ledger.core.backend import Entries, NewHead
from ledger.core.errors import AuthenticationError, NotAllowedError
from tests.support.live import LiveNetwork, Server, reaches, size_of
from tests.support.status_page import differing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@asynccontextmanager
async def bearing(home: Path, url: str, token: str | None) -> AsyncIterator[Transport]:
    """Open a transport that trusts the home's CA and bears just this token."""
    context = await asyncio.to_thread(lambda: Place.find(home).tls())
    async with Transport(url, context=context, bearer=token) as transport:
        yield transport


async def started(network: LiveNetwork, name: str, **settings: object) -> Server:
    home = await network.join(name)
    node = await asyncio.to_thread(network.start_node, home, **settings)
    await reaches(home, await size_of(network.home))
    return node


async def test_tokens_are_good_at_one_server_only(live_network: LiveNetwork) -> None:
    node = await started(live_network, "guarded")
    of_master = await live_network.access_token(node.home)
    async with bearing(node.home, node.url, None) as nobody:
        with pytest.raises(AuthenticationError):
            await nobody.get("/v1/policies?kind=site")
        assert (await nobody.get("/healthz", private=False)).status == 200
    async with bearing(node.home, node.url, of_master) as stranger:
        with pytest.raises(AuthenticationError):
            await stranger.get("/v1/policies?kind=site")
    async with live_network.transport(node.url, node.home) as member:
        assert (await member.get("/v1/policies?kind=site")).status == 200
        own = await member.token()
    async with bearing(node.home, live_network.url, own) as back:
        with pytest.raises(AuthenticationError):
            await back.get("/v1/policies?kind=site")


async def test_api_token_reads_and_does_no_more(live_network: LiveNetwork) -> None:
    node = await started(live_network, "local")
    token = await asyncio.to_thread(lambda: node.api_token)
    async with bearing(node.home, node.url, token) as program:
        assert orjson.loads((await program.get("/v1/policies?kind=member")).body)["policies"]
        with pytest.raises(NotAllowedError):
            await program.get("/v1/status")
    async with bearing(node.home, live_network.url, token) as elsewhere:
        with pytest.raises(AuthenticationError):
            await elsewhere.get("/v1/policies?kind=member")


async def test_status_metrics_and_description(live_network: LiveNetwork) -> None:
    node = await started(live_network, "telling", metrics_listen="127.0.0.1:0")
    size = await size_of(node.home)
    async with live_network.transport(node.url) as admin:
        status = orjson.loads((await admin.get("/v1/status")).body)
        described = orjson.loads((await admin.get("/openapi.json", private=False)).body)
    told = json.loads(await asyncio.to_thread((node.home / "listen.json").read_text))
    async with bearing(node.home, f"https://{told['metrics']}", None) as scraper:
        metrics = (await scraper.get("/metrics", private=False)).body.decode()
    assert (status["role"], status["server"], status["network"]) == ("node", "telling", live_network.network)
    assert (status["ready"], status["freshness"], status["alarms"], status["halted"]) == (True, "fresh", [], None)
    assert status["size"] >= size
    assert differing(status) == set()
    assert [source["url"] for source in status["sources"]] == [live_network.url]
    assert {"/checkpoint", "/v1/watch", "/v1/sync", "/v1/policies", "/v1/token"} <= described["paths"].keys()
    assert "/v1/entries" not in described["paths"]
    assert told["process"] == node.pid
    assert f"metaledger_log_size {float(size)}" in metrics
    assert "metaledger_ready 1.0" in metrics


async def test_node_pushes_what_it_verified(live_network: LiveNetwork) -> None:
    node = await started(live_network, "pushing")
    size = await size_of(node.home)
    heard: list[object] = []
    parser = Parser()
    async with live_network.transport(node.url, node.home) as member:
        stream = member.stream(f"/v1/watch?start={size}", headers={}, idle_seconds=20)
        async with asyncio.timeout(20), aclosing(stream) as chunks:
            publishing = asyncio.create_task(live_network.publish("told by the node"))
            async for chunk in chunks:
                heard += [event for event in map(log_event, parser.feed(chunk)) if event is not None]
                if any(isinstance(event, Entries) for event in heard) and isinstance(heard[-1], NewHead):
                    break
            (published,) = await publishing
    (entries,) = [event for event in heard if isinstance(event, Entries)]
    assert entries.start == size == published.index
    async with live_network.client() as admin:
        (seen,) = await admin.entries(size, size + 1)
    assert entries.entries == (seen.entry,)
