"""Every route of the real table against every scope and every hostile token: who gets through, who is refused, and how.

A route that is added or changed has to be put into the table below: whom it opens to is a decision.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from typing import TYPE_CHECKING

from yarl import URL

from auth.jws import Jws
from auth.keystore import KeyStore, generate_key
from auth.tokens import TOKEN_TYPE
from ledger.core.canonical import format_time
from tests.support.masters import Identity

if TYPE_CHECKING:
    from ledger.core.canonical import JSON, JSONObject
    from ledger.http.routes import Route
    from tests.support.masters import Network

EVERYBODY = "everybody"
OPENS: dict[str, str] = {
    "GET /checkpoint": EVERYBODY,
    "GET /tile/{path*}": "read join",
    "GET /v1/entries": "read join",
    "GET /v1/watch": "read join",
    "POST /v1/entries": "write join",
    "POST /v1/checkpoints": EVERYBODY,
    "GET /v1/policies": "read join",
    "POST /v1/query": "read join",
    "GET /v1/indexes": "read join",
    "POST /v1/indexes": "operate",
    "GET /v1/policies/{id}": "read join",
    "GET /v1/policies/{id}/history": "read join",
    "GET /v1/receipts/{digest}": "read join",
    "GET /v1/roots/{n}": EVERYBODY,
    "POST /v1/token": EVERYBODY,
    "GET /.well-known/jwks.json": EVERYBODY,
    "POST /v1/certificates": "write",
    "GET /v1/crl": EVERYBODY,
    "GET /healthz": EVERYBODY,
    "GET /readyz": EVERYBODY,
    "GET /v1/status": "operate",
    "GET /openapi.json": EVERYBODY,
}
SAMPLES = {"{path*}": "0/000", "{id}": "root", "{digest}": "0" * 64, "{n}": "1"}
READ_OPEN = ("GET /tile/{path*}", "GET /v1/entries", "GET /v1/watch")  # what --public-read opens


async def status_of(network: Network, route: Route, token: str | None) -> int:
    """Ask a route with sound paths and an empty body; return the status alone: the feed would never end."""
    path = route.path
    for name, value in SAMPLES.items():
        path = path.replace(name, value)
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    if route.takes:
        headers["Content-Type"] = route.takes[0]
    query = "?start=0&end=1" if path == "/v1/entries" and route.method == "GET" else "?start=0" if path == "/v1/watch" else ""
    async with network.session.request(route.method, URL(network.url + path + query, encoded=True), headers=headers) as response:
        return response.status


async def tokens_of_each_scope(network: Network) -> dict[str, str]:
    """Return an access token with one scope each."""
    key = generate_key()
    expires = format_time(int(network.clock.now()) + 3600)
    invite: JSONObject = {"name": "guest", "type": "node", "key": key.public.text, "permissions": ["permissions.node"], "expires": expires}
    assert (await network.publish(network.put("invite", invite, also=key))).status == 201
    holders = dict.fromkeys(("read", "write", "operate"), network.admin) | {"join": Identity("guest", key)}
    return {scope: await network.login(Identity(who.name, who.key), scope) for scope, who in holders.items()}


async def test_each_scope_opens_what_it_is_for_and_nothing_else(network: Network) -> None:
    routes = network.master._routes
    assert {route.name for route in routes} == OPENS.keys()
    tokens = await tokens_of_each_scope(network)
    wrong = []
    for route in routes:
        opens = OPENS[route.name]
        for scope, token in (("", None), *tokens.items()):
            status = await status_of(network, route, token)
            expected = {401} if not scope else {403}
            passes = opens == EVERYBODY or scope in opens.split()
            if (status in {401, 403}) if passes and route.path != "/v1/token" else (not passes and status not in expected):
                wrong.append((route.name, scope, status))
            if status >= 500:
                wrong.append((route.name, scope, status))
    assert wrong == []


async def test_public_read_opens_the_log_and_no_more(public_network: Network) -> None:
    for route in public_network.master._routes:
        status = await status_of(public_network, route, None)
        open_now = OPENS[route.name] == EVERYBODY or route.name in READ_OPEN
        assert (status == 401) == (not open_now), (route.name, status)


async def hostile_tokens(network: Network) -> dict[str, str]:
    """Return tokens that look good but for one thing each."""
    server = await asyncio.to_thread(KeyStore(network.home.keys).load, "token")
    now = int(network.clock.now())
    good: dict[str, JSON] = {
        "iss": network.site.server,
        "sub": network.admin.name,
        "aud": network.site.audience,
        "scope": "join operate read write",
        "client_id": network.admin.key.public.keyid,
        "iat": now,
        "exp": now + 600,
        "jti": "matrix",
    }
    header, payload, _ = Jws().make(good, server, typ=TOKEN_TYPE).split(".")
    member = await network.enrol("leaver")
    gone = await network.login(member)
    (member_id,) = network.versions
    assert (await network.publish(network.drop("member", member_id))).status == 201

    def made(**changed: JSON) -> str:
        return Jws().make({**good, **changed}, server, typ=TOKEN_TYPE)

    def spelled(**fields: str) -> str:
        return base64.urlsafe_b64encode(json.dumps(fields).encode()).rstrip(b"=").decode()

    symmetric = f"{spelled(alg='HS256', kid=server.public.keyid, typ=TOKEN_TYPE)}.{payload}"
    mac = hmac.new(server.public.raw, symmetric.encode(), hashlib.sha256).digest()
    return {
        "garbage": "x",
        "empty": "",
        "expired": made(iat=now - 2000, exp=now - 1100),
        "not yet valid": made(iat=now + 4000, exp=now + 4600),
        "lives too long": made(exp=now + 10 * 86_400),
        "another server": made(aud=f"{network.site.network}/node-1"),
        "another network": made(aud=f"{'0' * 64}/master"),
        "another issuer": made(iss="node-1"),
        "another subject": made(sub="nobody"),
        "alg none": f"{spelled(alg='none', kid=server.public.keyid, typ=TOKEN_TYPE)}.{payload}.",
        "HS256 with the public key": f"{symmetric}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}",
        "unknown kid": Jws().make(good, generate_key(), typ=TOKEN_TYPE),
        "no signature": f"{header}.{payload}.",
        "an assertion": network.assertion(network.admin),
        "revoked": gone,
    }


async def test_no_hostile_token_opens_any_route(network: Network) -> None:
    tokens = await hostile_tokens(network)
    wrong = []
    for route in network.master._routes:
        for name, token in tokens.items():
            status = await status_of(network, route, token)
            if route.scopes and status != 401:
                wrong.append((route.name, name, status))
            if not route.scopes and (status >= 500 or (status == 401 and route.path != "/v1/token")):
                wrong.append((route.name, name, status))
    assert wrong == []
