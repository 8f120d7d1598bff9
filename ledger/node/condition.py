"""What a node says of itself: how fresh its replica is, whether it is ready, its status, its gauges."""

from __future__ import annotations

import asyncio
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped] # it has no types

from ledger.client.marks import STATE_ROOT
from ledger.core.fold import present_root
from ledger.core.keys import library_name
from ledger.core.trust import Finding, Freshness, judge_freshness, newest_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auth.tls import ServerIdentity
    from auth.tokens import Site
    from ledger.client.moving import Moving
    from ledger.client.slips import Lookout
    from ledger.core.ports import Clock
    from ledger.core.root import Root
    from ledger.http.feed import Hub
    from ledger.http.metrics import Metrics
    from ledger.http.server import HttpServer
    from ledger.node.audit import Audit
    from ledger.node.following import Following


@dataclass(frozen=True, slots=True)
class Running:
    """The parts of a running node that have something to say."""

    site: Site
    version: str
    following: Following
    hub: Hub
    server: HttpServer
    identity: ServerIdentity
    audit: Audit
    moving: Moving
    lookout: Lookout


class Condition:
    """The condition of one running node. `learn` after every entry that may have changed the root."""

    def __init__(self, running: Running, clock: Clock) -> None:
        self._running = running
        self._clock = clock
        self._began = clock.now()
        self._root: Root | None = None
        self._halted: str | None = None
        self.draining = False

    async def learn(self) -> None:
        """Read the root in force, and whether it asks for rules that this program does not know."""
        replica = self._running.following.syncer.replica
        self._root = await replica.store.read(lambda snapshot: present_root(snapshot.state()))
        self._halted = await replica.halted()

    def freshness(self) -> Freshness:
        """Return how old the newest proof is that this replica holds the largest tree."""
        now, syncer = int(self._clock.now()), self._running.following.syncer
        if syncer.stands is not None:
            block = syncer.stands.known.agreed
            return judge_freshness(None if block is None else block.time, self._root, now)
        time = None if self._root is None else newest_line(syncer.state, self._root)
        return judge_freshness(time, self._root, now)

    def marks(self) -> Mapping[str, object]:
        """Return what every JSON answer says beside the tree size: whether it may be old, and why."""
        freshness, remark = self.freshness(), self.remark()
        marks: dict[str, object] = {"stale": freshness.stale or self._halted is not None, "age": freshness.age}
        return marks if remark is None else {**marks, "remark": remark}

    def remark(self) -> str | None:
        """Return what people should know of every answer: that it may be old, or that nothing new is taken. None when all is well."""
        freshness = self.freshness()
        parts = (f"stale: {freshness.reason}" if freshness.stale else None, self._stopped(), self._alarmed())
        return "; ".join(part for part in parts if part) or None

    def unready(self) -> str | None:
        """Return why this node does not do its work, None while it does. Nothing in it is news to an outsider."""
        if self.draining:
            return "stopping"
        if self._running.hub.head.size == 0:
            return "nothing is verified yet"
        freshness = self.freshness()
        return self._stopped() or (f"stale: {freshness.reason}" if freshness.stale else None)

    def _stopped(self) -> str | None:
        """Return why no more entries are taken, None while they are."""
        if self._halted is not None:
            return f"the sync stopped: {self._halted}"
        alarms = self._running.following.syncer.state.alarms
        return f"the sync stopped: {alarms[0].kind}, see evidence/{alarms[0].name}.json" if alarms else None

    def _alarmed(self) -> str | None:
        """Return the alarm that stops nothing: a mark whose state root is not the state's."""
        marks = self._running.audit.marks
        return f"{marks[0].reason}, see evidence/{marks[0].name}.json" if marks else None

    def _alarms(self) -> list[Mapping[str, object]]:
        stopping = [
            (alarm.kind.value, alarm.name, alarm.evidence.finding, alarm.evidence.reason)
            for alarm in self._running.following.syncer.state.alarms
        ]
        others = [(STATE_ROOT, mark.name, Finding.WRONG_STATE_ROOT.value, mark.reason) for mark in self._running.audit.marks]
        members = ("kind", "name", "finding", "reason")
        return [dict(zip(members, one, strict=True)) for one in (*stopping, *others)]

    def _voids(self) -> Mapping[str, object]:
        audit = self._running.audit
        return {"count": audit.void, "last": None if audit.last_void is None else asdict(audit.last_void)}

    async def status(self) -> Mapping[str, object]:
        """Return everything that an operator wants to know at a glance."""
        running, freshness = self._running, self.freshness()
        head = await running.following.syncer.head()
        reason = self.unready()
        state = running.following.syncer.state
        return {
            "role": "node",
            "network": running.site.network,
            "server": running.site.server,
            "version": running.version,
            "ready": reason is None,
            "reason": reason,
            "time": freshness.now,
            "started": int(self._began),
            "size": head.size,
            "root": head.root.hex(),
            "origin": None if self._root is None else self._root.origin,
            "root_version": None if self._root is None else self._root.version,
            "freshness": freshness.level,
            "checkpoint_time": freshness.time,
            "checkpoint_age": freshness.age,
            "halted": self._halted,
            "finding": Finding.UNKNOWN_FOLD if self._halted is not None else Finding.FROZEN if freshness.frozen else None,
            "alarms": self._alarms(),
            "void": self._voids(),
            "breaches": await running.lookout.facts(),
            "went_back": [asdict(one) for one in state.went_back],
            "waiting_notes": len(state.pending),
            "sources": [source.facts() for source in running.following.sources],
            "connections": running.server.open_connections,
            "followers": running.hub.followers,
            **await asyncio.to_thread(self._facts),
        }

    def _facts(self) -> Mapping[str, object]:
        """Return what files and the system know (blocking)."""
        return {
            "moved": self._running.moving.facts(),
            "certificate_expires": self._running.identity.expires,
            "signature_library": library_name(),
            "process": os.getpid(),
            "memory": psutil.Process().memory_info().rss,
        }

    def show_in(self, metrics: Metrics) -> None:
        """Show what moves as gauges."""
        running = self._running
        sources = running.following.sources
        gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "log_size": ("Entries of the newest verified tree.", lambda: running.hub.head.size),
            "checkpoint_age_seconds": ("Age of the newest clock line; -1 if it cannot be told.", self._age),
            "alarms": ("Alarms: those that stop the sync, and wrong state roots in marks.", lambda: len(self._alarms())),
            "void_entries": ("Entries without effect that the log holds all the same.", lambda: running.audit.void),
            "source_requests": ("Requests sent to sources.", lambda: sum(one.backend.requests for one in sources)),
            "source_bytes": ("Bytes of bodies that sources sent.", lambda: sum(one.backend.received for one in sources)),
            "feed_followers": ("Open watch streams.", lambda: running.hub.followers),
            "http_connections": ("Open connections.", lambda: running.server.open_connections),
            "ready": ("1 while the node does its work.", lambda: float(self.unready() is None)),
            "certificate_expires_seconds": ("When the node's certificate ends.", lambda: running.identity.expires),
        }
        for name, (text, read) in gauges.items():
            metrics.gauge(name, text, read)

    def _age(self) -> float:
        age = self.freshness().age
        return -1.0 if age is None else float(age)
