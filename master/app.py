"""The composition root of the master: builds every part from a home and its settings, starts and stops them in order.

Start: crypto self-test, lock, signing process, store, feed, routes, listeners. Stop: not ready, streams end, requests finish, then
the store, then the signing process. The addresses bound are written to `<home>/listen.json` (0600), so that programs on this machine
find a master that was given port 0.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from auth.assertions import AssertionVerifier
from auth.tls import ServerIdentity
from auth.tokenkeys import TokenKeyFiles
from auth.tokens import TokenIssuer, TokenVerifier
from auth.used import UsedSlots
from ledger.client.ownca import authority_of
from ledger.client.slips import Lookout
from ledger.core.keys import self_test
from ledger.engine.store import Store
from ledger.home.backends import BackendContext
from ledger.http.access import BearerAuthorizer
from ledger.http.feed import Hub
from ledger.http.frames import SignedHead
from ledger.http.health import HealthRoutes, Service
from ledger.http.index_routes import IndexRoutes
from ledger.http.log_routes import LogRoutes, Sharing
from ledger.http.members import StateMembers, touched
from ledger.http.metrics import Metrics
from ledger.http.observers import ServiceObserver
from ledger.http.query_routes import QueryRoutes
from ledger.http.routes import Route, RouteTable
from ledger.http.server import HttpServer, ServerParts
from ledger.http.service import Bound, Listeners, World, announce, withdraw
from ledger.http.state_routes import StateRoutes
from ledger.http.token_routes import TokenRoutes
from ledger.http.upkeep import CertificateChore, Chore, TokenKeyChore, keep_up
from master.admission import Admission
from master.certificates import CertificateRoutes, HostRule, IssueBook
from master.forks import ForkRoutes
from master.mirrors import MasterLog, Mirrors
from master.parts import entries_reader, first_head, key_store, site_of, take_lock
from master.publish import PublishRoutes
from master.renewal import AuthorityChore, renewal_of
from master.signing.remote import Place, RemoteSequencer
from master.status import Condition, Running

if TYPE_CHECKING:
    from auth.tokens import Site
    from ledger.engine.feed import Delta
    from ledger.home.home import Home
    from ledger.home.lock import WriterLock
    from ledger.home.settings import Settings
    from master.forks import Comparison

DEFAULT_LISTEN = "127.0.0.1:8443"
ISSUED_FILE = "issued.jsonl"
TITLE = "metaledger master"


@dataclass(frozen=True, slots=True)
class Engine:
    """The log under a master, which it only reads: the signing process writes it, under the lock that both hold. And what counts events."""

    sequencer: RemoteSequencer
    store: Store
    lock: WriterLock
    metrics: Metrics
    version: str


class Master:
    """One running master; `open_master` makes it, `stop` ends it. Its public parts are there for tests and for the CLI."""

    def __init__(self, home: Home, settings: Settings, world: World, engine: Engine) -> None:
        self.home = home
        self.settings = settings
        self.sequencer = engine.sequencer
        self.store = engine.store
        self._lock = engine.lock
        self.members = StateMembers(self.store)
        self.metrics = engine.metrics
        self._version = engine.version
        self._world = world
        self._hub: Hub | None = None
        self._condition: Condition | None = None
        self._listeners: Listeners | None = None
        self._routes: tuple[Route, ...] = ()
        self._chores: dict[str, Chore] = {}
        self._upkeep: asyncio.Task[None] | None = None
        self._forks = ForkRoutes(self.store, self._alarm, home.evidence)
        self._mirrors: Mirrors | None = None

    async def start(self) -> Bound:
        """Serve. Raises what keeps it from serving; call `stop` then too."""
        await self.sequencer.start(accept=self.settings.accept_fork_risk)
        hub = self._hub = Hub(await first_head(self.sequencer, self.store), entries_reader(self.store))
        self.sequencer.feed.subscribe(self._hear)
        site = await asyncio.to_thread(site_of, self.home, self.settings, self.store)
        identity = await asyncio.to_thread(ServerIdentity, self.home.certificate_file, self.home.certificate_key_file)
        parts = await self._parts(site, hub)
        server = HttpServer(parts)
        running = Running(site, self._version, self.sequencer, hub, server, identity, Lookout(self.store, self._world.clock))
        self._condition = Condition(running, self._world.clock)
        self._condition.show_in(self.metrics)
        await self._open_mirrors(site, hub)
        self._listeners = Listeners(server, parts, identity)
        bound = await self._listeners.start(self.settings, DEFAULT_LISTEN, self.metrics)
        await asyncio.to_thread(announce, self.home.path, bound, self._lock)
        self._chores["certificate"] = CertificateChore(identity, self._world, renewal_of(self.home, self._world.clock))
        self._upkeep = asyncio.create_task(keep_up(self._chores, self._world), name="upkeep")
        metrics = None if bound.metrics is None else str(bound.metrics)
        where = {"url": bound.url, "listen": str(bound.listen), "metrics": metrics}
        self._world.log.event("listening", **where, network=site.network, server=site.server, size=hub.head.size)
        return bound

    async def _open_mirrors(self, site: Site, hub: Hub) -> None:
        """Look at what the mirrors hold, before anything is taken in: one that knows more than this log proves an old copy."""
        log = MasterLog(self.store, lambda: hub.head.note, lambda: self.sequencer.root, self._forks, site.network)
        observer = ServiceObserver(self.metrics, self._world.log)
        mirrors = self._mirrors = Mirrors(log, BackendContext(self.home, self.settings, self._world.clock, observer))
        mirrors.show_in(self.metrics, lambda: hub.head.size)
        await mirrors.start()
        self._chores["mirrors"] = mirrors.take_up

    async def stop(self, drain_seconds: float | None = None) -> None:
        """Stop in order: streams, requests, reading, the signing process. Idempotent; takes the drain time at most, and a commit."""
        if self._condition is not None:
            self._condition.draining = True
        if self._upkeep is not None:
            self._upkeep.cancel()
        if self._mirrors is not None:
            await self._mirrors.close()
        if self._hub is not None:
            await self._hub.close()
        limit = self.settings.drain if drain_seconds is None else drain_seconds
        if self._listeners is not None:
            await self._listeners.stop(limit)
        await asyncio.to_thread(self.store.close)  # so that the signing process is the last one in the database, and tidies it up
        await self.sequencer.close()
        await asyncio.to_thread(withdraw, self.home.path)
        self._lock.release()
        self._world.log.event("stopped")

    def _hear(self, delta: Delta) -> None:
        """Deliver a new head. Rights come first: nothing that is delivered goes to one who lost them in it."""
        if self._hub is None or delta.head.checkpoint is None:
            return
        change = touched(delta.entries if delta.authority is None else delta.authority)
        whole = delta.start + len(delta.entries) == delta.head.size
        if change.rights or not whole:
            self.members.moved()
            self._hub.recheck(change.identities if whole else None)
        self._hub.publish(SignedHead(delta.head.size, delta.head.checkpoint), delta.start, delta.entries)
        if self._mirrors is not None:
            self._mirrors.wake()

    async def _parts(self, site: Site, hub: Hub) -> ServerParts:
        clock = self._world.clock
        token_files = TokenKeyFiles(key_store(self.home, self.settings), clock)
        token_keys = await asyncio.to_thread(token_files.load)
        issuer, verifier = TokenIssuer(site, token_keys.signer, clock), TokenVerifier(site, token_keys.public, self.members, clock)
        authorizer = BearerAuthorizer(verifier)
        sharing = Sharing(public=self.settings.public_read)
        authority = await asyncio.to_thread(authority_of, self.home)
        book = await asyncio.to_thread(IssueBook, self.home.tls / ISSUED_FILE)
        rule = HostRule(site.server, self.home.certificate_file, self.members)
        used = await asyncio.to_thread(UsedSlots, clock, self.home.used_file)
        assertions = AssertionVerifier(site, self.members, used, clock)
        certificates = CertificateRoutes(authority, book, rule, self.members, clock)
        self._chores["token-keys"] = TokenKeyChore(token_files, issuer, verifier, self._world)
        self._chores["authority"] = await asyncio.to_thread(AuthorityChore, self.home, certificates, self._world)
        service = Service(TITLE, self._version, self._unready, self._status)
        self._routes = (
            *LogRoutes(hub, self.store, sharing, authorizer, clock).routes(),
            *PublishRoutes(Admission(self.sequencer)).routes(),
            *self._forks.routes(),
            *QueryRoutes(hub, self.store, clock).routes(),
            *IndexRoutes(self.store, self.sequencer.change_index).routes(),
            *StateRoutes(hub, self.store, sharing).routes(),
            *TokenRoutes(assertions, issuer, verifier, clock).routes(),
            *certificates.routes(),
            *HealthRoutes(service, lambda: self._routes).routes(),
        )
        return ServerParts(RouteTable(self._routes), authorizer, self._world.log, self.metrics)

    async def _alarm(self, reason: str, found: Comparison) -> None:
        self._world.log.write("error", "fork-risk-presented", reason=reason)
        await self.sequencer.raise_fork_risk(reason, origin=found.origin, clock=found.clock)

    def _unready(self) -> str | None:
        return "starting" if self._condition is None else self._condition.unready()

    async def _status(self) -> dict[str, object]:
        if self._condition is None or self._hub is None:
            return {}
        mirrors = [] if self._mirrors is None else self._mirrors.facts(self._hub.head.size)
        return {**await self._condition.status(), "mirrors": mirrors}


async def open_master(home: Home, settings: Settings, world: World) -> Master:
    """Return a master over the log of `home`, not serving yet. Raises what is wrong there; BusyError when another process has it."""
    return Master(home, settings, world, await open_engine(home, settings, world))


async def open_engine(home: Home, settings: Settings, world: World) -> Engine:
    """Take the lock, start the signing process, and open what lies in the home for reading."""
    async with AsyncExitStack() as undo:
        lock, metrics, name = await asyncio.to_thread(_prepare, home, world)
        undo.enter_context(lock)
        sequencer = await RemoteSequencer.spawn(Place(home, settings.passphrase), lock, ServiceObserver(metrics, world.log))
        undo.push_async_callback(sequencer.close)
        await asyncio.to_thread(metrics.process, "signing", sequencer.pid)
        store = await asyncio.to_thread(Store.open, home.database, writable=False)
        undo.pop_all()
    return Engine(sequencer, store, lock, metrics, name)


def _prepare(home: Home, world: World) -> tuple[WriterLock, Metrics, str]:
    """Return the lock of a home, the metrics of its master, and the version of the program (blocking)."""
    home.require()
    self_test()
    return take_lock(home, world.log), Metrics(), version("metaledger")
