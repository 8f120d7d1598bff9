"""The composition root of a node: builds every part from a home and its settings, starts and stops them in order.

Start: crypto self-test, replica, feed, routes, listeners, and then the following: a node answers from what it holds before any source
does. Stop: not ready, the following, streams, requests, replica. The addresses bound are written to `<home>/listen.json` (0600).
"""

from __future__ import annotations

import asyncio
import secrets
from importlib.metadata import version
from typing import TYPE_CHECKING

from auth.assertions import AssertionVerifier
from auth.pki import common_name, load_chain
from auth.tls import ServerIdentity
from auth.tokenkeys import TokenKeyFiles
from auth.tokens import Site, TokenIssuer, TokenVerifier
from auth.used import UsedSlots
from ledger.client.certificates import is_due, renew_certificate
from ledger.client.joining import LOCAL_HOSTS
from ledger.client.moving import Moving
from ledger.client.ordered import ChainSyncer
from ledger.client.ownca import CA_KEY, certify_alone, renew_own
from ledger.client.place import Place
from ledger.client.slips import Lookout
from ledger.core.errors import InternalError, NotFoundError, UsageError
from ledger.core.keys import self_test
from ledger.core.trust.good import parse_claim
from ledger.engine.replica import Replica
from ledger.engine.store import Store
from ledger.home.files import create_file, read_private_file
from ledger.home.url import parse_ledger_url
from ledger.http.access import BearerAuthorizer
from ledger.http.feed import Hub
from ledger.http.frames import SignedHead
from ledger.http.health import HealthRoutes, Service
from ledger.http.index_routes import IndexRoutes
from ledger.http.log_routes import LogRoutes, Sharing
from ledger.http.members import StateMembers, touches_rights
from ledger.http.metrics import Metrics
from ledger.http.query_routes import QueryRoutes
from ledger.http.routes import Route, RouteTable
from ledger.http.server import HttpServer, ServerParts, parse_address
from ledger.http.service import Bound, Listeners, World, announce, withdraw
from ledger.http.state_routes import StateRoutes
from ledger.http.token_routes import TokenRoutes
from ledger.http.upkeep import CertificateChore, Chore, Renewal, TokenKeyChore, keep_up
from ledger.node.audit import Audit
from ledger.node.condition import Condition, Running
from ledger.node.delivering import Delivering
from ledger.node.following import Following, Pace
from ledger.node.moves import Moves
from ledger.node.revocation import RevocationChore
from ledger.node.sources import open_sources
from ledger.node.sync_route import SyncRoute

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.client.moving import Moved
    from ledger.client.sync import Move
    from ledger.core.errors import LedgerError
    from ledger.engine.indexes import IndexChange
    from ledger.home.home import Home
    from ledger.home.settings import Settings
    from ledger.node.sources import Source

DEFAULT_LISTEN = "127.0.0.1:8444"
API_TOKEN_BYTES = 32
LOCK_PATIENCE_SECONDS = 3.0
TITLE = "metaledger node"
UNNAMED = "node"  # in the certificate of a home that is no member
ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104 - what no certificate is for
EVERYWHERE = frozenset({"/checkpoint", "/v1/watch"})


class Node:
    """One running node; `open_node` makes it, `stop` ends it. Its public parts are there for tests and for the CLI."""

    def __init__(self, place: Place, replica: Replica, sources: Sequence[Source], world: World, hosts: Sequence[str] = ()) -> None:
        """Make the parts; `hosts` are further names for a certificate of the node's own."""
        self._hosts = tuple(hosts)
        self.home = place.home
        self.settings = place.settings
        self.replica = replica
        self.store = replica.store
        self.members = StateMembers(self.store)
        self.metrics = Metrics()
        self.syncer = ChainSyncer(replica, clock=world.clock, evidence=place.home.evidence, moved=self._hear)
        self.audit = Audit(replica, evidence=place.home.evidence, clock=world.clock, log=world.log, note=lambda: self.syncer.state.note)
        pace = Pace(self.settings.poll)
        self.following = Following(self.syncer, sources, pace=pace, clock=world.clock, log=world.log)
        self.moving = Moving(place, self._tell_moved)
        self.moves = Moves(self.moving, sources[0], pace=pace, log=world.log)
        if sources[0].transport is not None:
            sources[0].transport.moved = self._moved
        self.delivering = Delivering(place, self.store, pace=pace, clock=world.clock, log=world.log)
        self._world = world
        self._hub: Hub | None = None
        self._condition: Condition | None = None
        self._listeners: Listeners | None = None
        self._routes: tuple[Route, ...] = ()
        self._tasks: list[asyncio.Task[None]] = []
        self._parts_running: tuple[asyncio.Task[None], ...] = ()
        self._chores: dict[str, Chore] = {}
        self._place = place

    async def start(self) -> Bound:
        """Serve and follow. Raises what keeps it from serving; call `stop` then too."""
        await self.syncer.load()
        hub = self._hub = Hub(await self._first_head(), self._read)
        await asyncio.to_thread(self._certify)
        identity = await asyncio.to_thread(ServerIdentity, self.home.certificate_file, self.home.certificate_key_file)
        site = Site(self.replica.network, await asyncio.to_thread(server_name, self.home))
        parts = await self._parts(site, hub)
        server = HttpServer(parts)
        lookout = Lookout(self.store, self._world.clock)
        running = Running(site, version("metaledger"), self.following, hub, server, identity, self.audit, self.moving, lookout)
        condition = self._condition = Condition(running, self._world.clock)
        await condition.learn()
        condition.show_in(self.metrics)
        self._listeners = Listeners(server, parts, identity)
        bound = await self._listeners.start(self.settings, DEFAULT_LISTEN, self.metrics)
        await asyncio.to_thread(announce, self.home.path, bound, self.store.lock)
        renewal = Renewal(lambda: is_due(self.home, self._world.clock.now()), self._renew)
        self._chores["certificate"] = CertificateChore(identity, self._world, renewal)
        self._chores["revocations"] = RevocationChore(self._place, self.following.sources, self._world)
        self._tasks = [
            asyncio.create_task(self.following.run(), name="following"),
            asyncio.create_task(self.delivering.run(), name="delivering"),
            asyncio.create_task(self.moves.run(), name="moves"),
            asyncio.create_task(self.audit.run(), name="audit"),
            asyncio.create_task(keep_up(self._chores, self._world), name="upkeep"),
        ]
        self._parts_running = tuple(self._tasks)
        metrics = None if bound.metrics is None else str(bound.metrics)
        where = {"url": bound.url, "listen": str(bound.listen), "metrics": metrics}
        self._world.log.event("listening", **where, network=site.network, server=site.server, size=hub.head.size)
        return bound

    async def lost(self) -> LedgerError:
        """Wait until one of the parts that run for ever ends by itself, and return what to tell people."""
        done, _ = await asyncio.wait(self._parts_running, return_when=asyncio.FIRST_COMPLETED)
        part = next(iter(done))
        error = None if part.cancelled() else part.exception()
        if error is not None:
            self._world.log.failure("part-ended", error, part=part.get_name())
        return InternalError(f"the part {part.get_name()} of the agent ended", advice="Start it again. See the log above.")

    async def stop(self, drain_seconds: float | None = None) -> None:
        """Stop in order. Idempotent; takes the drain time at most, and a commit."""
        if self._condition is not None:
            self._condition.draining = True
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.following.close()
        if self._hub is not None:
            await self._hub.close()
        limit = self.settings.drain if drain_seconds is None else drain_seconds
        if self._listeners is not None:
            await self._listeners.stop(limit)
        await asyncio.to_thread(self.replica.close)
        await asyncio.to_thread(self.store.close)
        await asyncio.to_thread(withdraw, self.home.path)
        self._world.log.event("stopped")

    def _hear(self, move: Move) -> None:
        """Deliver what was verified. Rights come first: nothing that is delivered goes to one who lost them in it."""
        hub = self._hub
        if hub is None:
            return
        self._world.log.write("debug", "moved", start=move.start, size=move.size)
        self.audit.wake()
        if move.start < move.size and (not move.entries or touches_rights(move.entries)):
            self.members.moved()
            hub.recheck()
            self._tasks.append(asyncio.create_task(self._learn(), name="learn"))
        if move.note is not None and parse_claim(move.note).size == move.size:
            hub.publish(SignedHead(move.size, move.note), move.start, move.entries)
        elif move.note is None and self.syncer.stands is not None:
            hub.move(SignedHead(move.size, b""))

    async def _moved(self) -> str | None:
        return await self.moving.find(self.following.sources[0].url)

    def _tell_moved(self, moved: Moved) -> None:
        self._world.log.event("master-moved", former=moved.former[-1], url=moved.url, policy=moved.policy, index=moved.index)

    async def _learn(self) -> None:
        if self._condition is not None:
            await self._condition.learn()
        self._tasks = [task for task in self._tasks if not task.done() and task is not asyncio.current_task()]

    async def _first_head(self) -> SignedHead:
        """Return the head to serve first: that of the newest note of a tree that is held whole, else that of an empty log."""
        size = (await self.syncer.head()).size
        if self.syncer.stands is not None:
            return SignedHead(size, b"")
        stored = await self.store.read(lambda snapshot: snapshot.checkpoint())
        for note in (self.syncer.state.note, stored):
            if note is not None and parse_claim(note).size <= size:
                return SignedHead(parse_claim(note).size, note)
        return SignedHead(0, b"")

    async def _read(self, start: int, end: int) -> Sequence[bytes]:
        return await self.store.read(lambda snapshot: snapshot.entries(start, end))

    async def _parts(self, site: Site, hub: Hub) -> ServerParts:
        clock = self._world.clock
        token_files = TokenKeyFiles(self._place.keys, clock)
        token_keys = await asyncio.to_thread(token_files.load_or_create)
        api_token = await asyncio.to_thread(self._api_token)
        issuer, verifier = TokenIssuer(site, token_keys.signer, clock), TokenVerifier(site, token_keys.public, self.members, clock)
        self._chores["token-keys"] = TokenKeyChore(token_files, issuer, verifier, self._world)
        authorizer = BearerAuthorizer(verifier, local_token=api_token)
        sharing = Sharing(public=self.settings.public_read and self.settings.relay)
        used = await asyncio.to_thread(UsedSlots, clock, self.home.used_file)
        assertions = AssertionVerifier(site, self.members, used, clock)
        service = Service(TITLE, version("metaledger"), self._unready, self._status)
        log_routes = LogRoutes(hub, self.store, sharing, authorizer, clock).routes()
        self._routes = (
            *(route for route in log_routes if self.settings.relay or route.path in EVERYWHERE),
            *QueryRoutes(hub, self.store, clock, self._marks).routes(),
            *IndexRoutes(self.store, self._change_index).routes(),
            *StateRoutes(hub, self.store, sharing, self._marks).routes(),
            *SyncRoute(self.following).routes(),
            *TokenRoutes(assertions, issuer, verifier, clock).routes(),
            *HealthRoutes(service, lambda: self._routes).routes(),
        )
        return ServerParts(RouteTable(self._routes), authorizer, self._world.log, self.metrics, self._remark)

    def _certify(self) -> None:
        """Make a certificate of this home's own where nobody else gives one (blocking): a chain has no CA."""
        on_chain = self.following.sources[0].transport is None
        if on_chain and not self.home.certificate_file.exists() and not self.home.ca_file.exists():
            host = parse_address(self.settings.listen or DEFAULT_LISTEN).host
            hosts = dict.fromkeys([*self._hosts, *(() if host in ANY_ADDRESS else (host,)), *LOCAL_HOSTS])
            certify_alone(self.home, self.settings.name or UNNAMED, list(hosts), self._world.clock)
            self._world.log.event("certificate-made", ca=str(self.home.ca_file), hosts=list(hosts))

    async def _change_index(self, change: IndexChange) -> None:
        await self.store.write(lambda transaction: transaction.change_indexes(change.apply))

    def _api_token(self) -> str:
        """Return the read token of this machine; made at the first start (blocking)."""
        try:
            token = read_private_file(self.home.api_token)
        except NotFoundError:
            token = secrets.token_urlsafe(API_TOKEN_BYTES).encode()
            create_file(self.home.api_token, token + b"\n")
        return token.decode("ascii").strip()

    async def _renew(self) -> None:
        if await asyncio.to_thread((self.home.tls / CA_KEY).exists):
            ends = await asyncio.to_thread(renew_own, self.home, self._world.clock)
        else:
            ends = await renew_certificate(self._place)
        self._world.log.event("certificate-renewed", expires=ends)

    def _marks(self) -> dict[str, object]:
        return {} if self._condition is None else dict(self._condition.marks())

    def _remark(self) -> str | None:
        return None if self._condition is None else self._condition.remark()

    def _unready(self) -> str | None:
        return "starting" if self._condition is None else self._condition.unready()

    async def _status(self) -> dict[str, object]:
        return {} if self._condition is None else dict(await self._condition.status())


async def open_node(home: Home, settings: Settings, world: World, hosts: Sequence[str] = ()) -> Node:
    """Return a node over the replica of `home`, not serving yet; `hosts` as for `Node`.

    Raises what is wrong there; BusyError when another process has it.
    """
    await asyncio.to_thread(home.require)
    self_test()
    if settings.ledger is None:
        raise UsageError(f"{home.config} names no ledger", advice="Give --ledger URL.")
    if settings.role == "master":
        raise UsageError(f"{home.path} is a master's home", advice="Join the network from a home of its own.")
    place = await asyncio.to_thread(Place(home, settings, parse_ledger_url(settings.ledger), world.clock).at_present)
    sources = await asyncio.to_thread(open_sources, place, (world.clock, world.log))
    return Node(place, Replica(await asyncio.to_thread(_open_store, home), place.network), sources, world, hosts)


def _open_store(home: Home) -> Store:
    """Open the replica, made if there is none; a short command that happens to write is waited for (blocking)."""
    return Store.open(home.database, create=not home.database.exists(), wait_seconds=LOCK_PATIENCE_SECONDS)


def server_name(home: Home) -> str:
    """Return the name in the home's certificate: the member that this server is."""
    return common_name(load_chain(home.certificate_file.read_bytes())[0].subject)
