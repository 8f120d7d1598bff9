"""A master in process for functional tests: a copied home, a real log, real TLS from the network's CA, real tokens."""

from __future__ import annotations

import asyncio
import io
import shutil
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from yarl import URL

from auth.assertions import GRANT_TYPE, make_assertion
from auth.keystore import KeyStore, generate_key
from auth.tls import client_context
from auth.tokens import Site
from ledger.core.canonical import format_time
from ledger.core.envelope import Envelope, sign
from ledger.core.statement import Statement, derive_id
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from ledger.home.settings import Settings, load_settings
from ledger.http.logs import EventLog
from ledger.http.service import World
from master.app import Master, open_master

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ledger.core.canonical import JSONObject
    from ledger.core.keys import PrivateKey

ENVELOPE = "application/vnd.dsse.envelope.v1+json"
LINES = "application/jsonl"
PERMISSIONS: dict[str, str] = {"admin": "permissions.admin", "node": "permissions.node"}


class MovableClock(SystemClock):
    """The system's clock, and a step that a test adds."""

    def __init__(self) -> None:
        self.step = 0.0

    def now(self) -> float:
        return super().now() + self.step


@dataclass(frozen=True)
class Reply:
    """An answer, read whole."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Identity:
    """A name and its key, and the token it got last."""

    name: str
    key: PrivateKey
    token: str | None = None


@dataclass
class Network:
    """A running master and everything a test wants of it."""

    home: Home
    master: Master
    url: str
    session: aiohttp.ClientSession
    clock: MovableClock
    log: io.BytesIO
    admin: Identity
    site: Site
    versions: dict[str, str] = field(default_factory=dict)

    async def call(
        self, method: str, path: str, *, who: Identity | None = None, headers: dict[str, str] | None = None, body: Any = None
    ) -> Reply:
        sent = dict(headers or {})
        if who is not None:
            sent["Authorization"] = f"Bearer {who.token or await self.login(who)}"
        async with self.session.request(
            method, URL(self.url + path, encoded=True), headers=sent, data=body, allow_redirects=False
        ) as response:
            return Reply(response.status, response.headers, await response.read())

    async def get(self, path: str, *, who: Identity | None = None, headers: dict[str, str] | None = None) -> Reply:
        return await self.call("GET", path, who=who, headers=headers)

    def assertion(self, who: Identity, site: Site | None = None) -> str:
        return make_assertion(who.name, who.key, site or self.site, self.clock.now())

    async def ask_token(self, assertion: str, scope: str = "") -> Reply:
        form = {"grant_type": GRANT_TYPE, "assertion": assertion, **({"scope": scope} if scope else {})}
        return await self.call("POST", "/v1/token", body=form)

    async def login(self, who: Identity, scope: str = "") -> str:
        reply = await self.ask_token(self.assertion(who), scope)
        assert reply.status == 200, reply.body
        who.token = str(reply.json["access_token"])
        return who.token

    def put(
        self, kind: str, body: JSONObject, *, who: Identity | None = None, policy_id: str | None = None, also: PrivateKey | None = None
    ) -> Envelope:
        author, wanted = who or self.admin, policy_id or derive_id(kind, body)
        return self.sign("put", kind, wanted, author, body, also=also)

    def drop(self, kind: str, policy_id: str, *, who: Identity | None = None) -> Envelope:
        return self.sign("drop", kind, policy_id, who or self.admin, None)

    def sign(
        self, op: str, kind: str, policy_id: str, author: Identity, body: JSONObject | None, *, also: PrivateKey | None = None
    ) -> Envelope:
        """Return a statement that follows the version this test published last."""
        prev, now = self.versions.get(policy_id), format_time(int(self.clock.now()))
        statement = Statement(self.site.network, op, kind, policy_id, prev, author.key.public.keyid, now, body)
        return sign(statement, [author.key, *([] if also is None else [also])])

    async def publish(self, envelope: Envelope, *, who: Identity | None = None, headers: dict[str, str] | None = None) -> Reply:
        reply = await self.call(
            "POST", "/v1/entries", who=who or self.admin, headers={"Content-Type": ENVELOPE, **(headers or {})}, body=envelope.entry
        )
        if reply.status == 201:
            self.versions[envelope.statement.id] = envelope.statement.digest
        return reply

    async def enrol(self, name: str, kind: str = "node") -> Identity:
        """Make a member, by the admin's right and grant."""
        identity = Identity(name, generate_key())
        body: JSONObject = {"name": name, "type": kind, "key": identity.key.public.text, "permissions": [PERMISSIONS[kind]]}
        reply = await self.publish(self.put("member", body, also=identity.key))
        assert reply.status == 201, reply.body
        return identity

    def lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.log.getvalue().splitlines()]


@asynccontextmanager
async def running_network(template: Path, place: Path, **flags: object) -> AsyncIterator[Network]:
    """Serve a copy of the home `template` at `place` until the block ends."""
    home = Home(place)
    settings, admin = await asyncio.to_thread(prepare, template, home, {"listen": "127.0.0.1:0", "drain": 2.0, **flags})
    clock, log = MovableClock(), io.BytesIO()
    master = await open_master(home, settings, World(clock, EventLog(log, clock, level="debug")))
    try:
        bound = await master.start()
        connector = aiohttp.TCPConnector(ssl=await asyncio.to_thread(trusting, home), limit=200)
        async with aiohttp.ClientSession(connector=connector, skip_auto_headers=("Accept-Encoding",), auto_decompress=False) as session:
            yield Network(home, master, bound.url, session, clock, log, admin, Site(str(settings.network), "master"))
    finally:
        await master.stop()


def prepare(template: Path, home: Home, flags: dict[str, object]) -> tuple[Settings, Identity]:
    """Copy a home; return its settings and its admin."""
    shutil.copytree(template, home.path)
    return load_settings(home.path, flags, {}), Identity("admin", KeyStore(home.keys).load("member"))


def trusting(home: Home) -> ssl.SSLContext:
    """Return a client's context that trusts this network's CA only."""
    return client_context(home.ca_file.read_bytes())


def wait_for_file(path: Path, seconds: float = 15.0) -> bytes:
    """Return the content of a file that another process writes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if path.exists():
            return path.read_bytes()
        time.sleep(0.02)
    raise AssertionError(f"{path} did not appear")
