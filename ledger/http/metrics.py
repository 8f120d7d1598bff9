"""Prometheus metrics of one service, on a registry of its own, served on a listener of its own.

Labels are names of ours (routes, codes), never text from a request, so their number is bounded. Answers are counted in plain
integers, for each request pays for it, and are made into metrics when somebody reads them.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from ledger.http.call import Call, bytes_response
from ledger.http.routes import Route

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from aiohttp import web
    from prometheus_client.core import Metric

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
ENTRIES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)
BATCH = "sequencer.batch"


@dataclass(slots=True)
class Times:
    """How long the answers of one route took."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    total: float = 0.0


class Answers(Collector):
    """Counts answers by route and status, and their times by route. Counted in one thread, read in any."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], int] = {}
        self._times: dict[str, Times] = {}

    def add(self, route: str, status: int, seconds: float | None) -> None:
        """Count an answer; a stream has no `seconds`."""
        key = (route, status)
        self._counts[key] = self._counts.get(key, 0) + 1
        if seconds is None:
            return
        times = self._times.get(route)
        if times is None:
            times = self._times[route] = Times()
        times.counts[bisect_left(SECONDS, seconds)] += 1
        times.total += seconds

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        answers = CounterMetricFamily("metaledger_http_requests", "Answered requests.", labels=["route", "status"])
        for (route, status), count in sorted(self._counts.items()):
            answers.add_metric([route, str(status)], count)
        yield answers
        seconds = HistogramMetricFamily("metaledger_http_request_seconds", "Time to an answer.", labels=["route"])
        for route, times in sorted(self._times.items()):
            bounds = [*map(str, SECONDS), "+Inf"]
            seconds.add_metric([route], list(zip(bounds, accumulate(times.counts), strict=True)), times.total)
        yield seconds


class Metrics:
    """Counts what a service does. Is a `Watcher` of the HTTP server and an `Observer` of the engine."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._answers = Answers()
        self.registry.register(self._answers)
        self._events = Counter("metaledger_events", "Events of the engine, by name.", ["event"], registry=self.registry)
        self._batch = Histogram("metaledger_batch_entries", "Entries in one batch.", buckets=ENTRIES, registry=self.registry)
        self._commit = Histogram("metaledger_batch_seconds", "Time of one batch.", buckets=SECONDS, registry=self.registry)

    def answered(self, route: str, status: int, seconds: float | None) -> None:
        """Count an answer; a stream has no `seconds`."""
        self._answers.add(route, status, seconds)

    def event(self, name: str, /, **facts: object) -> None:
        """Count an event of the engine; `entries` and `seconds` of a batch go into histograms."""
        self._events.labels(name).inc()
        if name != BATCH:
            return
        entries, seconds = facts.get("entries"), facts.get("seconds")
        if isinstance(entries, int):
            self._batch.observe(entries)
        if isinstance(seconds, int | float):
            self._commit.observe(seconds)

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show `read()` as the gauge `metaledger_<name>` whenever metrics are read."""
        Gauge(f"metaledger_{name}", text, registry=self.registry).set_function(read)

    def process(self, name: str, number: int) -> None:
        """Show memory, CPU time and start of another process as `metaledger_<name>_process_…`, for as long as there is one (blocking)."""
        ProcessCollector(f"metaledger_{name}", lambda: number, registry=self.registry)

    def routes(self) -> tuple[Route, ...]:
        """Return the routes of the metrics listener."""
        return (Route("GET", "/metrics", self._show, "Prometheus metrics.", gives="text/plain"),)

    async def _show(self, call: Call) -> web.Response:
        call.only()
        text = await asyncio.to_thread(generate_latest, self.registry)
        return bytes_response(text, CONTENT_TYPE_LATEST, cache="no-store")
