"""Prometheus metrics of one service, on a registry of its own, served on a listener of its own.

Labels are names of ours (routes, codes), never text from a request, so their number is bounded.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from ledger.http.call import Call, bytes_response
from ledger.http.routes import Route

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
ENTRIES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)


class Metrics:
    """Counts what a service does. Is a `Watcher` of the HTTP server and an `Observer` of the engine."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._answers = Counter("metaledger_http_requests", "Answered requests.", ["route", "status"], registry=self.registry)
        self._seconds = Histogram(
            "metaledger_http_request_seconds", "Time to an answer.", ["route"], buckets=SECONDS, registry=self.registry
        )
        self._events = Counter("metaledger_events", "Events of the engine, by name.", ["event"], registry=self.registry)
        self._refused = Counter("metaledger_refused_entries", "Entries refused, by error code.", ["code"], registry=self.registry)
        self._batch = Histogram("metaledger_batch_entries", "Entries in one commit.", buckets=ENTRIES, registry=self.registry)
        self._commit = Histogram("metaledger_commit_seconds", "Time of one commit.", buckets=SECONDS, registry=self.registry)
        self._bound: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def answered(self, route: str, status: int, seconds: float | None) -> None:
        """Count an answer; a stream has no `seconds`."""
        pair = self._bound.get((route, status))
        if pair is None:
            pair = self._bound[route, status] = (self._answers.labels(route, str(status)), self._seconds.labels(route))
        pair[0].inc()
        if seconds is not None:
            pair[1].observe(seconds)

    def event(self, name: str, **facts: object) -> None:
        """Count an event of the engine; `entries` and `seconds` of a batch go into histograms."""
        self._events.labels(name).inc()
        if name != "sequencer.batch":
            return
        entries, seconds = facts.get("entries"), facts.get("seconds")
        if isinstance(entries, int):
            self._batch.observe(entries)
        if isinstance(seconds, int | float):
            self._commit.observe(seconds)

    def refused(self, code: str) -> None:
        """Count an entry that was not taken."""
        self._refused.labels(code).inc()

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show `read()` as the gauge `metaledger_<name>` whenever metrics are read."""
        Gauge(f"metaledger_{name}", text, registry=self.registry).set_function(read)

    def routes(self) -> tuple[Route, ...]:
        """Return the routes of the metrics listener."""
        return (Route("GET", "/metrics", self._show, "Prometheus metrics.", gives="text/plain"),)

    async def _show(self, call: Call) -> web.Response:
        call.only()
        text = await asyncio.to_thread(generate_latest, self.registry)
        return bytes_response(text, CONTENT_TYPE_LATEST, cache="no-store")
