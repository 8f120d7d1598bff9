"""The URLs at which one log is followed, and what each was like when last asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ledger.client.https import log_event
from ledger.client.sse import Parser
from ledger.client.sync import LogSource
from ledger.core.backend import LogEvent
from ledger.core.errors import AccessError, NotFoundError, UnavailableError, UnsupportedError, UsageError
from ledger.core.limits import LIMITS
from ledger.home.backends import BackendContext
from ledger.home.url import parse_ledger_url
from ledger.node.chains import ChainLedger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.client.https import HttpsBackend
    from ledger.client.ordered import OrderedSource
    from ledger.client.place import Place
    from ledger.client.transport import Transport
    from ledger.core.backend import Entries
    from ledger.core.errors import LedgerError
    from ledger.core.ports import Clock, Observer
    from ledger.core.trust import Finding

SILENCE_SECONDS = 2.5 * LIMITS.heartbeat_seconds
REST_POLLS = 10
HTTPS = "https"

Feed = Callable[[int], AsyncGenerator[LogEvent, None]]
NO_FEED = (UnavailableError, NotFoundError, UnsupportedError, UsageError, AccessError)


class Followed(LogSource, Protocol):
    """A source that is kept open."""

    async def close(self) -> None:
        """Close the connections; idempotent."""
        ...


@dataclass(slots=True)
class Source:
    """One place of the log: `backend` answers requests, `feed` pushes. `rest` counts the polls until the feed is tried again."""

    name: str
    backend: Followed
    feed: Feed
    transport: Transport | None = None
    chain: ChainLedger | None = None
    rest: int = 0
    answered: int | None = None
    failed: int | None = None
    error: str | None = None
    code: str | None = None
    finding: Finding | None = None
    streaming: bool = False

    @property
    def url(self) -> str:
        """Return where it is: a master may move."""
        return self.name if self.transport is None else self.transport.base

    def facts(self) -> dict[str, object]:
        """Return what `/v1/status` shows: when it last answered and failed (Unix seconds), and how."""
        return {
            "url": self.url,
            "streaming": self.streaming,
            "answered": self.answered,
            "failed": self.failed,
            "error": self.error,
            "code": self.code,
            "finding": self.finding,
            "requests": self.backend.requests,
            "bytes": self.backend.received,
        }

    async def followed(self) -> LogSource | OrderedSource:
        """Return what is followed: on a chain it is opened now, if it was not."""
        return self.backend if self.chain is None else await self.chain.source()

    async def events(self, start: int) -> AsyncGenerator[LogEvent, None]:
        """Yield what the feed pushes from index `start` on, until it ends, breaks or falls silent.

        A feed that gave nothing is left alone for some polls: what stands between may not let it through.
        """
        heard = False
        self.streaming = True
        try:
            async with aclosing(self.feed(start)) as events:
                async for event in events:
                    heard = True
                    yield event
        except NO_FEED as error:
            if not heard and not _is_behind(error):
                self.rest = REST_POLLS
        finally:
            self.streaming = False


def _is_behind(error: LedgerError) -> bool:
    """Tell whether the source refused only because it has fewer entries than we: it names its size."""
    return isinstance(error, NotFoundError) and "size" in error.context


async def pushed(backend: HttpsBackend, start: int) -> AsyncGenerator[LogEvent, None]:
    """Yield the events of `GET /v1/watch`."""
    parser = Parser()
    path, headers = f"/v1/watch?start={start}", {"Accept": "text/event-stream"}
    async with aclosing(backend.transport.stream(path, headers=headers, idle_seconds=SILENCE_SECONDS)) as chunks:
        async for chunk in chunks:
            for event in map(log_event, parser.feed(chunk)):
                if event is not None:
                    yield event


@dataclass(slots=True)
class Arrived:
    """Entries that were pushed and wait for the note that covers them; dropped when too many, as they can be fetched."""

    start: int = 0
    entries: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, event: Entries) -> None:
        """Take what was pushed."""
        if event.start != self.start + len(self.entries) or self.size > LIMITS.batch_bytes:
            self.clear(event.start)
        self.entries += event.entries
        self.size += sum(map(len, event.entries))

    def clear(self, start: int) -> None:
        """Forget what came; the next is expected at index `start`."""
        self.start, self.entries, self.size = start, [], 0


def open_sources(place: Place, world: tuple[Clock, Observer]) -> Sequence[Source]:
    """Return the home's ledger and the further URLs of the same log. UsageError for one that can only be read where it lies.

    Further URLs of the contract that the ledger's own URL names are providers of that one: it compares them by itself.
    """
    urls = list(dict.fromkeys([place.url.text, *place.settings.sources]))
    contract = None if place.url.scheme == HTTPS else place.url.path
    return [_source(place, url, world) for url in urls if url == urls[0] or parse_ledger_url(url).path != contract]


def _source(place: Place, url: str, world: tuple[Clock, Observer]) -> Source:
    parsed = parse_ledger_url(url)
    if parsed.scheme != HTTPS and not parsed.on_chain:
        raise UsageError(f"a node follows https:// URLs and ledgers on chains, not {url}")
    if parsed.scheme == HTTPS:
        backend = place.https(url)
        return Source(url, backend, partial(pushed, backend), backend.transport)
    ledger = ChainLedger(url, BackendContext(place.home, place.settings, *world))
    return Source(url, ledger, ledger.events, chain=ledger)
