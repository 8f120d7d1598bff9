"""What a service does with events of its engine: count all of them, write down those that people look for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.http.logs import EventLog
    from ledger.http.metrics import Metrics

FREQUENT = frozenset({"sequencer.batch", "sequencer.renewed"})
GRAVE = frozenset({"sequencer.fork-risk", "sequencer.stopped"})


class ServiceObserver:
    """A `ledger.core.ports.Observer` for metrics and log."""

    def __init__(self, metrics: Metrics, log: EventLog) -> None:
        self._metrics = metrics
        self._log = log

    def event(self, name: str, /, **facts: object) -> None:
        """Record that `name` happened."""
        self._metrics.event(name, **facts)
        level = "debug" if name in FREQUENT else "error" if name in GRAVE else "info"
        self._log.write(level, name, **facts)
