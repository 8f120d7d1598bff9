"""A provider that stands between a reader and an honest node, and lies, stalls or babbles as a test tells it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from aiohttp import web

from tests.support.web import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

CHUNK = b" " * 65_536


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a lie gives for an error in place of a result."""

    number: int
    text: str


class LyingNode:
    """Passes calls on. `lie(method, params, result)` gives what is answered; `status`, `body`, `delay` and `flood` replace the answer."""

    def __init__(self, behind: str) -> None:
        self._behind = behind
        self.lie: Callable[[str, list[Any], Any], Any] = lambda _method, _params, result: result
        self.status = 200
        self.body: bytes | None = None
        self.delay = 0.0
        self.flood = False
        self.url = ""
        self.asked = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        raw = await request.read()
        await asyncio.sleep(self.delay)
        if self.flood:
            return await self._flooded(request)
        if self.status != 200 or self.body is not None:
            return web.Response(status=self.status, body=self.body or b"", content_type="application/json")
        async with (
            aiohttp.ClientSession() as session,
            session.post(self._behind, data=raw, headers={"Content-Type": "application/json"}) as reply,
        ):
            answered = orjson.loads(await reply.read())
        calls, answers = orjson.loads(raw), answered
        for call, answer in zip(*((calls, answers) if isinstance(calls, list) else ([calls], [answers])), strict=True):
            if "result" in answer:
                said = self.lie(call["method"], call["params"], answer.pop("result"))
                answer.update({"error": {"code": said.number, "message": said.text}} if isinstance(said, Refusal) else {"result": said})
        return web.Response(body=orjson.dumps(answered), content_type="application/json")

    async def _flooded(self, request: web.Request) -> web.StreamResponse:
        """Answer without end, at most a gigabyte."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for _ in range(16_384):
            await response.write(CHUNK)
        return response


@asynccontextmanager
async def lying_node(behind: str) -> AsyncIterator[LyingNode]:
    """Run one for the time of the block."""
    node = LyingNode(behind)
    app = web.Application()
    app.router.add_post("/", node.answer)
    async with serving(app) as node.url:
        yield node
