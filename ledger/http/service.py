"""What a master and a node have in common as processes: listeners and where they are, certificate, signals, log lines on stderr."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
import uvloop

from ledger.home.clock import SystemClock
from ledger.home.files import write_file
from ledger.home.home import LISTEN_FILE
from ledger.http.logs import EventLog, StandardLogging
from ledger.http.routes import RouteTable
from ledger.http.server import Address, HttpServer, ServerParts, parse_address

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    from auth.tls import ServerIdentity
    from ledger.core.errors import LedgerError
    from ledger.core.ports import Clock
    from ledger.home.lock import WriterLock
    from ledger.home.settings import Settings
    from ledger.http.metrics import Metrics

YOUNG_OBJECTS = 20_000


@dataclass(frozen=True, slots=True)
class World:
    """What a service takes from outside: time, and where it says what it does."""

    clock: Clock
    log: EventLog


@dataclass(frozen=True, slots=True)
class Bound:
    """Where a service listens."""

    listen: Address
    metrics: Address | None

    @property
    def url(self) -> str:
        """Return the URL at which programs on this machine reach it."""
        return f"https://{self.listen.local}"

    def facts(self) -> dict[str, object]:
        """Return what `listen.json` says, so that programs on this machine find a service that was given port 0."""
        metrics = None if self.metrics is None else str(self.metrics)
        return {"url": self.url, "listen": str(self.listen), "metrics": metrics, "process": os.getpid()}


class Listeners:
    """The listener of a service, and that of its metrics when one is asked for."""

    def __init__(self, server: HttpServer, parts: ServerParts, identity: ServerIdentity) -> None:
        self._servers = [server]
        self._parts = parts
        self._identity = identity

    async def start(self, settings: Settings, default: str, metrics: Metrics) -> Bound:
        """Listen where the settings say. Raises `UnavailableError` when an address cannot be had."""
        context = self._identity.context
        listen = await self._servers[0].start(parse_address(settings.listen or default), context)
        if settings.metrics_listen is None:
            return Bound(listen, None)
        self._servers.append(HttpServer(ServerParts(RouteTable(metrics.routes()), self._parts.authorizer, self._parts.log)))
        return Bound(listen, await self._servers[1].start(parse_address(settings.metrics_listen), context))

    async def stop(self, drain_seconds: float) -> None:
        """Let the requests under way finish; idempotent."""
        await asyncio.gather(*(server.stop(drain_seconds) for server in self._servers))


def announce(home: Path, bound: Bound, lock: WriterLock | None) -> None:
    """Write where the service listens to `<home>/listen.json` (0600), and into the lock that it holds (blocking)."""
    write_file(home / LISTEN_FILE, orjson.dumps(bound.facts()) + b"\n")
    if lock is not None:
        lock.announce(bound.url)


def withdraw(home: Path) -> None:
    """Take `listen.json` away (blocking); idempotent."""
    with suppress(OSError):
        (home / LISTEN_FILE).unlink()


def run_service(settings: Settings, serve: Callable[[World], Coroutine[None, None, None]]) -> None:
    """Run `serve` to its end in an event loop of its own, with JSON log lines on stderr."""
    clock = SystemClock()
    log = EventLog(sys.stderr.buffer, clock, level=settings.log_level)
    logging.basicConfig(handlers=[StandardLogging(log)], level=logging.INFO, force=True)
    raise_file_limit()
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(World(clock, log)))


@asynccontextmanager
async def stop_signals() -> AsyncIterator[asyncio.Event]:
    """Give the event that SIGTERM or SIGINT sets."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, stopping.set)
    try:
        yield stopping
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def until_stopped(stopping: asyncio.Event, lost: Coroutine[None, None, LedgerError]) -> None:
    """Wait for the signal. Raises what `lost` returns, when that comes first: a part without which the process is no use any more."""
    losing, signalled = asyncio.create_task(lost), asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((losing, signalled), return_when=asyncio.FIRST_COMPLETED)
        if not signalled.done():
            raise losing.result()
    finally:
        losing.cancel()
        signalled.cancel()


def raise_file_limit() -> None:
    """Let the process have as many files as the system allows: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
