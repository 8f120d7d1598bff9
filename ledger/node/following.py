"""Following a log for ever: pushed by its feed, polled where there is none, and now and then compared with another source.

    keep up     one verified step, then the feed, until it ends; a failing source gives way to the next, and waits grow
    compare     every tenth poll one of the other sources is asked: two views are found only by comparing

Nothing that a source sends ends this. An alarm stops the replica (`core.trust`), not the asking: the note that ends it may come.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.client.sync import Showing
from ledger.core.backend import Entries, NewHead
from ledger.core.errors import AlarmError, InternalError, LedgerError, OrderMovedError
from ledger.core.limits import LIMITS
from ledger.core.trust import named_finding
from ledger.node.sources import Arrived

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.client.answers import SyncReport
    from ledger.client.ordered import ChainSyncer
    from ledger.core.ports import Clock
    from ledger.http.logs import EventLog
    from ledger.node.sources import Source

COMPARE_EVERY = 10
FIRST_BACKOFF_SECONDS = 1.0
LEAST_SECONDS = 0.1
MOST_DOUBLINGS = 16
KEPT = 64


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to wait. Jitter keeps thousands of nodes from asking together."""

    poll: float = LIMITS.poll_seconds
    most: float = LIMITS.backoff_seconds

    def between_polls(self) -> float:
        """Return the wait between two polls."""
        return jittered(max(LEAST_SECONDS, self.poll))

    def between_comparisons(self) -> float:
        """Return the wait until another source is asked."""
        return jittered(COMPARE_EVERY * max(LEAST_SECONDS, self.poll))

    def before_reopening(self) -> float:
        """Return the wait after a feed that ended."""
        return random.uniform(LEAST_SECONDS, min(1.0, max(LEAST_SECONDS, self.poll)))  # noqa: S311 - spreads load, guards nothing

    def after_failures(self, number: int) -> float:
        """Return the wait after as many failures in a row; it doubles up to a cap."""
        first = min(FIRST_BACKOFF_SECONDS, max(LEAST_SECONDS, self.poll))
        return jittered(min(self.most, first * 2 ** min(number, MOST_DOUBLINGS)))


def jittered(seconds: float) -> float:
    """Return `seconds` give or take a fifth."""
    return seconds * random.uniform(1 - LIMITS.poll_jitter, 1 + LIMITS.poll_jitter)  # noqa: S311 - spreads load, guards nothing


class Following:
    """Keeps one replica up with its sources."""

    def __init__(self, syncer: ChainSyncer, sources: Sequence[Source], *, pace: Pace, clock: Clock, log: EventLog) -> None:
        """Follow `sources`, the first of which is preferred."""
        self.syncer = syncer
        self.sources = sources
        self._pace = pace
        self._clock = clock
        self._log = log
        self._followed = 0
        self._said: deque[str] = deque(maxlen=KEPT)

    async def run(self) -> None:
        """Follow until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_up(), name="keep-up")
            if len(self.sources) > 1:
                group.create_task(self._compare(), name="compare")

    async def sync_now(self) -> SyncReport:
        """Do one verified step with the first source that is good. Raises what the last one raised when none is, and every alarm."""
        last = self.sources[-1]
        for source in self.sources:
            try:
                return await self._step(source)
            except LedgerError as error:
                self._failed(source, error)
                if source is last or isinstance(error, AlarmError):
                    raise
        raise InternalError("a node has a source")

    async def close(self) -> None:
        """Close the connections. Idempotent."""
        for source in self.sources:
            await source.backend.close()

    async def _keep_up(self) -> None:
        failures = 0
        while True:
            source = self.sources[self._followed]
            try:
                wait = await self._follow(source)
                self._followed = failures = 0
            except AlarmError as error:
                self._failed(source, error)
                wait = self._pace.between_polls()
            except Exception as error:  # noqa: BLE001 - whatever a source makes us stumble over, the agent goes on
                self._failed(source, error)
                wait = self._pace.after_failures(failures // len(self.sources))
                self._followed = (self._followed + 1) % len(self.sources)
                failures += 1
            await asyncio.sleep(wait)

    async def _compare(self) -> None:
        step = 0
        while True:
            await asyncio.sleep(self._pace.between_comparisons())
            step = step % (len(self.sources) - 1) + 1
            source = self.sources[(self._followed + step) % len(self.sources)]
            try:
                await self._step(source)
            except Exception as error:  # noqa: BLE001 - as above
                self._failed(source, error)

    async def _follow(self, source: Source) -> float:
        """Take what the source has, then what it pushes until it ends. Returns how long to wait before it is asked again."""
        await self._step(source)
        if source.rest or self.syncer.state.stopped:
            source.rest = max(0, source.rest - 1)
            return self._pace.between_polls()
        heard = await self._listen(source)
        return self._pace.before_reopening() if heard else self._pace.between_polls()

    async def _step(self, source: Source) -> SyncReport:
        try:
            report = await self.syncer.step(await source.followed(), source.url)
        except OrderMovedError:
            if source.chain is None:
                raise
            await source.chain.reopen()
            report = await self.syncer.step(await source.followed(), source.url)
        self._answered(source)
        level = "info" if report.entries else "debug"
        self._log.write(level, "synced", source=source.url, **report.facts())
        return report

    async def _listen(self, source: Source) -> int:
        """Take what the feed pushes; return how many heads came."""
        arrived = Arrived((await self.syncer.head()).size)
        heard = 0
        async with aclosing(source.events(arrived.start)) as events:
            async for event in events:
                if isinstance(event, Entries):
                    arrived.add(event)
                elif isinstance(event, NewHead) and event.head.checkpoint is None:
                    await self._step(source)
                    heard += 1
                elif isinstance(event, NewHead):
                    showing = Showing(source.backend, source.url, pushed=(arrived.start, arrived.entries))
                    await self.syncer.consider(event.head.checkpoint or b"", showing)
                    arrived.clear(event.head.size)
                    heard += 1
                    self._answered(source)
        return heard

    def _answered(self, source: Source) -> None:
        source.answered = int(self._clock.now())
        if source.error is not None and not self.syncer.state.stopped:
            source.error = source.code = source.finding = None
            self._log.event("source-answers-again", source=source.url)

    def _failed(self, source: Source, error: Exception) -> None:
        """Note the failure; say each thing once as long as it lasts."""
        text = error.message if isinstance(error, LedgerError) else type(error).__name__
        known = source.error == text
        source.failed, source.error = int(self._clock.now()), text
        source.code = error.code if isinstance(error, LedgerError) else None
        source.finding = named_finding(error) if isinstance(error, LedgerError) else None
        if isinstance(error, AlarmError):
            known = text in self._said
            self._said.append(text)
        if not known:
            facts = error.context if isinstance(error, LedgerError) else {}
            self._log.failure("source-failed", error, **{**facts, "source": source.url, "finding": source.finding})
