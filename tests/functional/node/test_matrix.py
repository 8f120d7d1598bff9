"""Every route of a node against every scope: who gets through and who is refused, at a relay and at a node that is none.

A route that is added or changed has to be put into the table below: whom it opens to is a decision.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import aiohttp
import pytest
from yarl import URL

from auth.assertions import GRANT_TYPE, make_assertion
from auth.join import parse_join_token
from auth.tls import client_context
from auth.tokens import Site
from ledger.client.place import Place
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from tests.support.live import reaches, size_of

if TYPE_CHECKING:
    from ledger.core.keys import PrivateKey
    from tests.support.live import LiveNetwork, Server

EVERYBODY = "everybody"
READ = "read join api-token"
OPENS = {
    "GET /checkpoint": EVERYBODY,
    "GET /v1/watch": READ,
    "GET /v1/policies": READ,
    "POST /v1/query": READ,
    "GET /v1/indexes": READ,
    "POST /v1/indexes": "operate api-token",
    "GET /v1/policies/{id}": READ,
    "GET /v1/policies/{id}/history": READ,
    "GET /v1/receipts/{digest}": READ,
    "GET /v1/roots/{n}": EVERYBODY,
    "POST /v1/sync": "operate api-token",
    "POST /v1/token": EVERYBODY,
    "GET /.well-known/jwks.json": EVERYBODY,
    "GET /healthz": EVERYBODY,
    "GET /readyz": EVERYBODY,
    "GET /v1/status": "operate",
    "GET /openapi.json": EVERYBODY,
}
RELAYED = {"GET /tile/{path}": READ, "GET /v1/entries": READ}
SAMPLES = {"{path}": "0/000", "{id}": "root", "{digest}": "0" * 64, "{n}": "1"}
QUERIES = {"GET /v1/entries": "?start=0&end=1", "GET /v1/watch": "?start=0"}


class Knocker:
    """Asks one node with one token after another."""

    def __init__(self, node: Server, network: LiveNetwork, session: aiohttp.ClientSession) -> None:
        self._node = node
        self._network = network
        self._session = session

    async def routes(self) -> dict[str, str]:
        """Return the routes that the node describes, and the type of body that each takes ("" for none)."""
        async with self._session.get(f"{self._node.url}/openapi.json") as answer:
            paths = (await answer.json())["paths"]
        return {
            f"{method.upper()} {path}": next(iter(facts.get("requestBody", {}).get("content", {})), "")
            for path, methods in paths.items()
            for method, facts in methods.items()
        }

    async def token(self, name: str, key: PrivateKey, scope: str) -> str:
        site = Site(self._network.network, self._node.home.name)
        form = {"grant_type": GRANT_TYPE, "assertion": make_assertion(name, key, site, SystemClock().now()), "scope": scope}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        async with self._session.post(f"{self._node.url}/v1/token", data=urlencode(form).encode(), headers=headers) as answer:
            facts = json.loads(await answer.read())
        assert facts["scope"] == scope, facts
        return str(facts["access_token"])

    async def status_of(self, route: str, takes: str, token: str | None) -> int:
        """Ask with a sound path and an empty body; return the status alone: the feed would never end."""
        method, path = route.split(" ")
        for name, value in SAMPLES.items():
            path = path.replace(name, value)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        headers |= {"Content-Type": takes} if takes else {}
        url = URL(self._node.url + path + QUERIES.get(route, ""), encoded=True)
        async with self._session.request(method, url, headers=headers) as answer:
            return answer.status


async def node_with_an_invite(network: LiveNetwork, name: str, *options: str) -> tuple[Server, PrivateKey]:
    """Start a node that knows of an invite for `NAME-guest`; return the invite's key too."""
    home = await network.join(name)
    async with network.client() as admin:
        invite = parse_join_token(await admin.invite(f"{name}-guest", "node"))
    node = await asyncio.to_thread(network.start_node, home, *options)
    await reaches(home, await size_of(network.home))
    return node, invite.key


@pytest.mark.parametrize("relay", [True, False])
async def test_each_scope_opens_what_it_is_for_and_nothing_else(live_network: LiveNetwork, *, relay: bool) -> None:
    name = "matrix-relay" if relay else "matrix-node"
    opens = OPENS | (RELAYED if relay else {})
    node, guest = await node_with_an_invite(live_network, name, *(["--relay"] if relay else []))
    ca = await asyncio.to_thread(Home(live_network.home).ca_file.read_bytes)
    admin = await asyncio.to_thread(lambda: Place.find(live_network.home).keys.load("member"))
    local = await asyncio.to_thread(lambda: node.api_token)
    connector = aiohttp.TCPConnector(ssl=await asyncio.to_thread(client_context, ca))
    async with aiohttp.ClientSession(connector=connector) as session:
        knocker = Knocker(node, live_network, session)
        routes = await knocker.routes()
        assert routes.keys() == opens.keys()
        tokens = {"": None, "api-token": local, "join": await knocker.token(f"{name}-guest", guest, "join")}
        tokens |= {scope: await knocker.token("admin", admin, scope) for scope in ("read", "write", "operate")}
        wrong = []
        for route, takes in routes.items():
            for scope, token in tokens.items():
                status = await knocker.status_of(route, takes, token)
                passes = opens[route] == EVERYBODY or scope in opens[route].split()
                refused = status in {401, 403} and route != "POST /v1/token"
                if refused == passes or (refused and status != (403 if scope else 401)) or status >= 500:
                    wrong.append((route, scope, status))
    assert wrong == [], node.log_text()[-2000:]
