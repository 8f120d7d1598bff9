"""A way to a master on which answers are lost: a real HTTPS server with the master's certificate that passes everything on."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import ClientSession, TCPConnector, web

from auth.tls import client_context
from ledger.home.home import Home
from tests.support.web import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from tests.support.live import LiveNetwork

HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}


@dataclass
class Lossy:
    """For each POST at `path`, in order: whether it is passed on. After these nothing is lost any more."""

    path: str
    passes: list[bool]
    url: str = ""
    lost: list[int | None] = field(default_factory=list)  # the statuses of what nobody heard; None where nobody was asked


@asynccontextmanager
async def losing(network: LiveNetwork, path: str, *passes: bool) -> AsyncIterator[Lossy]:
    """Serve the network's master at `url`; the connection breaks in place of each answer that is lost."""
    lossy, master = Lossy(path, list(passes)), network.url
    trusted, shown = await asyncio.to_thread(_contexts, network.home)
    async with ClientSession(master, connector=TCPConnector(ssl=trusted), auto_decompress=False) as session:

        async def pass_on(request: web.Request) -> web.StreamResponse:
            body, losing = await request.read(), request.method == "POST" and request.path == path and bool(lossy.passes)
            if losing and not lossy.passes.pop(0):
                lossy.lost.append(None)
                return _broken(request)
            async with session.request(request.method, request.rel_url, headers=_without_hops(request.headers), data=body) as answer:
                text = await answer.read()
            if losing:
                lossy.lost.append(answer.status)
                return _broken(request)
            return web.Response(status=answer.status, headers=_without_hops(answer.headers), body=text)

        app = web.Application()
        app.router.add_route("*", "/{any:.*}", pass_on)
        async with serving(app, shown) as lossy.url:
            yield lossy


def _contexts(home: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(Home(home).certificate_file, Home(home).certificate_key_file)
    return client_context(Home(home).ca_file.read_bytes()), shown


def _without_hops(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}


def _broken(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()
