"""What a master says of itself: whether it is ready, its condition for `GET /v1/status`, and the gauges of its metrics."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped] # it has no types

from ledger.core.checkpoint import parse_checkpoint
from ledger.core.errors import FormatError
from ledger.core.keys import library_name
from ledger.core.note import CLOCK_KIND, line_time, parse_note, parse_vkey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth.tls import ServerIdentity
    from auth.tokens import Site
    from ledger.client.slips import Lookout
    from ledger.core.ports import Clock
    from ledger.core.root import Root
    from ledger.http.feed import Hub
    from ledger.http.metrics import Metrics
    from ledger.http.server import HttpServer
    from master.signing.remote import RemoteSequencer


@dataclass(frozen=True, slots=True)
class Running:
    """The parts of a running master that have something to say."""

    site: Site
    version: str
    sequencer: RemoteSequencer
    hub: Hub
    server: HttpServer
    identity: ServerIdentity
    lookout: Lookout


class Condition:
    """The condition of one running master."""

    def __init__(self, running: Running, clock: Clock) -> None:
        self._running = running
        self._clock = clock
        self._began = clock.now()
        self.draining = False

    def unready(self) -> str | None:
        """Return why this master does not do its work, None while it does. Nothing in it is news to an outsider."""
        sequencer = self._running.sequencer
        if self.draining:
            return "stopping"
        if sequencer.fork_risk is not None:
            return "fork risk: nothing is signed until an operator decides"
        if sequencer.stopped is not None:
            return "the sequencer stopped"
        return None

    async def status(self) -> Mapping[str, object]:
        """Return everything that an operator wants to know at a glance."""
        running, now = self._running, self._clock.now()
        head = running.hub.head
        root = running.sequencer.root
        note_time = clock_time(head.note, root)
        stopped = running.sequencer.stopped
        return {
            "role": "master",
            "network": running.site.network,
            "server": running.site.server,
            "version": running.version,
            "ready": self.unready() is None,
            "reason": self.unready(),
            "time": int(now),
            "started": int(self._began),
            "size": head.size,
            "root": parse_checkpoint(parse_note(head.note).text).root.hex() if head.size else None,
            "origin": None if root is None else root.origin,
            "root_version": None if root is None else root.version,
            "checkpoint_time": note_time,
            "checkpoint_age": None if note_time is None else max(0, int(now) - note_time),
            "clock_suspect": running.sequencer.clock_suspect,
            "fork_risk": running.sequencer.fork_risk,
            "stopped": None if stopped is None else stopped.message,
            "connections": running.server.open_connections,
            "followers": running.hub.followers,
            "waiting": running.sequencer.waiting,
            "breaches": await running.lookout.facts(),
            **await asyncio.to_thread(self._facts),
        }

    def _facts(self) -> Mapping[str, object]:
        """Return what files and the system know (blocking)."""
        return {
            "certificate_expires": self._running.identity.expires,
            "signature_library": library_name(),
            "process": os.getpid(),
            "memory": psutil.Process().memory_info().rss,
            "signing_process": self._running.sequencer.pid,
            "signing_memory": resident(self._running.sequencer.pid),
        }

    def show_in(self, metrics: Metrics) -> None:
        """Show what moves as gauges."""
        running = self._running
        gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "log_size": ("Entries of the newest signed tree.", lambda: running.hub.head.size),
            "queue_entries": ("Entries that wait for the sequencer.", lambda: running.sequencer.waiting),
            "feed_followers": ("Open watch streams.", lambda: running.hub.followers),
            "http_connections": ("Open connections.", lambda: running.server.open_connections),
            "ready": ("1 while the master does its work.", lambda: float(self.unready() is None)),
            "fork_risk": (
                "1 while signing is stopped because it could fork the log.",
                lambda: float(running.sequencer.fork_risk is not None),
            ),
            "certificate_expires_seconds": ("When the server's certificate ends.", lambda: running.identity.expires),
        }
        for name, (text, read) in gauges.items():
            metrics.gauge(name, text, read)


def resident(process: int) -> int | None:
    """Return the bytes of a process that are in memory, None when it is gone."""
    try:
        memory: int = psutil.Process(process).memory_info().rss
    except psutil.Error:
        return None
    return memory


def clock_time(note: bytes, root: Root | None) -> int | None:
    """Return the newest time that a clock key of the root put on a note, None without one."""
    if root is None or not note:
        return None
    parsed = parse_note(note)
    times = []
    for vkey in root.clock_keys:
        try:
            key = parse_vkey(vkey)
            times += [line_time(line) for line in parsed.lines_of(key)[:1] if key.kind == CLOCK_KIND]
        except FormatError:
            continue
    return max(times, default=None)
