"""The feed over HTTPS: live deltas, resuming, and streams that end when they must."""

from __future__ import annotations

import asyncio
import base64
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from ledger.core.checkpoint import parse_checkpoint
from ledger.core.note import parse_note
from ledger.core.tiles import unframe
from tests.support.masters import LINES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.masters import Identity, Network

PATIENCE = 10.0


class Stream:
    """An open stream of events."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.entries: dict[int, bytes] = {}
        self._rest = b""

    async def event(self) -> tuple[str, int, Any] | None:
        """Return the next event: name, id, data; None at the end of the stream."""
        while True:
            block, found, rest = self._rest.partition(b"\n\n")
            if not found:
                async with asyncio.timeout(PATIENCE):
                    got = await self.response.content.readany()
                if not got:
                    return None
                self._rest += got
                continue
            self._rest = rest
            if block.startswith(b":"):
                continue
            fields = dict(line.split(b": ", 1) for line in block.split(b"\n"))
            return fields[b"event"].decode(), int(fields[b"id"]), orjson.loads(fields[b"data"])

    async def until_head(self, size: int) -> int:
        """Read on until the head of that size or a larger one; return its size."""
        while True:
            event = await self.event()
            assert event is not None, "the stream ended"
            name, ident, data = event
            if name == "entries":
                for place, text in enumerate(data["entries"], data["start"]):
                    assert place not in self.entries
                    self.entries[place] = base64.b64decode(text, validate=True)
            else:
                assert parse_checkpoint(parse_note(data["checkpoint"].encode()).text).size == data["size"] == ident
                if ident >= size:
                    return ident


@asynccontextmanager
async def watching(
    network: Network, path: str = "/v1/watch", *, who: Identity | None = None, last: int | None = None
) -> AsyncIterator[Stream]:
    identity = who or network.admin
    headers = {"Authorization": f"Bearer {identity.token or await network.login(identity)}"}
    if last is not None:
        headers["Last-Event-ID"] = str(last)
    timeout = aiohttp.ClientTimeout(total=60, sock_read=PATIENCE)
    async with network.session.get(network.url + path, headers=headers, timeout=timeout) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-store"
        yield Stream(response)


async def publish(network: Network, *names: str) -> int:
    reply = None
    for name in names:
        reply = await network.publish(network.put("site", {"name": name}))
        assert reply.status == 201, reply.body
    assert reply is not None
    return int(reply.json["index"])


async def test_watch_brings_everything_from_the_start_in_order(network: Network) -> None:
    async with watching(network, "/v1/watch?start=0") as stream:
        first = await stream.until_head(1)
        index = await publish(network, "one", "two")
        await stream.until_head(index + 1)
    whole = unframe((await network.get("/v1/entries?start=0", who=network.admin)).body)
    assert first < len(whole)
    assert [stream.entries[place] for place in range(len(whole))] == whole


async def test_watch_without_start_begins_at_the_present_head(network: Network) -> None:
    async with watching(network) as stream:
        before = await stream.until_head(0)
        index = await publish(network, "one")
        await stream.until_head(index + 1)
    assert min(stream.entries) >= before


async def test_last_event_id_resumes_and_outranks_start(network: Network) -> None:
    async with watching(network, "/v1/watch?start=0") as stream:
        seen = await stream.until_head(1)
    index = await publish(network, "one")
    async with watching(network, "/v1/watch?start=0", last=seen) as stream:
        await stream.until_head(index + 1)
    assert min(stream.entries) == seen


async def test_watch_follows_a_bulk_publish_larger_than_a_delta(network: Network) -> None:
    lines = b"\n".join(network.put("site", {"name": f"site-{n}", "note": "x" * 300}).entry for n in range(400))
    async with watching(network, "/v1/watch?start=0") as stream:
        await stream.until_head(1)
        reply = await network.call("POST", "/v1/entries", who=network.admin, headers={"Content-Type": LINES}, body=lines)
        assert reply.status == 200
        last = max(orjson.loads(line)["index"] for line in reply.body.splitlines())
        await stream.until_head(last + 1)
    assert sorted(stream.entries) == list(range(last + 1))


async def test_watch_ends_with_its_token(network: Network) -> None:
    await network.login(network.admin)
    network.clock.step = 896.0  # some seconds are left to open the stream
    async with watching(network) as stream:
        await stream.until_head(0)
        assert await stream.event() is None
    network.clock.step = 901.0
    assert (await network.get("/v1/watch", headers={"Authorization": f"Bearer {network.admin.token}"})).status == 401


async def test_watch_ends_when_the_member_is_dropped_and_shows_nothing_more(network: Network) -> None:
    member = await network.enrol("leaver")
    member_id = next(policy_id for policy_id in network.versions)
    async with watching(network, who=member) as stream:
        before = await stream.until_head(0)
        dropped = await network.publish(network.drop("member", member_id))
        assert dropped.status == 201, dropped.body
        await publish(network, "not for you")
        while (event := await stream.event()) is not None:
            assert event[0] == "head"
            assert event[1] <= before
    assert (await network.get("/v1/entries?start=0", who=member)).status == 401


async def test_watch_ends_when_the_server_stops(network: Network) -> None:
    async with watching(network) as stream:
        await stream.until_head(0)
        stopping = asyncio.create_task(network.master.stop())
        assert await stream.event() is None
        await asyncio.wait_for(stopping, PATIENCE)


async def test_watch_wakes_many(network: Network) -> None:
    async def follow(ready: asyncio.Semaphore) -> int:
        async with watching(network) as stream:
            size = await stream.until_head(0)
            ready.release()
            return await stream.until_head(size + 1)

    ready = asyncio.Semaphore(0)
    await network.login(network.admin)
    tasks = [asyncio.create_task(follow(ready)) for _ in range(40)]
    for _ in tasks:
        await ready.acquire()
    assert network.master.sequencer.feed.head.size > 0
    index = await publish(network, "one")
    assert set(await asyncio.gather(*tasks)) == {index + 1}


async def test_watch_needs_chunks(network: Network) -> None:
    token = await network.login(network.admin)
    old = aiohttp.ClientSession(connector=network.session.connector, connector_owner=False, version=aiohttp.HttpVersion10)
    async with old as session, session.get(network.url + "/v1/watch", headers={"Authorization": f"Bearer {token}"}) as response:
        assert response.status == 400
