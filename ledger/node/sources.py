"""The URLs at which one log is followed, and what each was like when last asked."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ledger.client.https import HttpsBackend, log_event
from ledger.client.sse import Parser
from ledger.core.errors import NotFoundError, UnsupportedError, UsageError
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from ledger.client.place import Place
    from ledger.core.backend import Entries, LogEvent

SILENCE_SECONDS = 2.5 * LIMITS.heartbeat_seconds


@dataclass(slots=True)
class Source:
    """One URL of the log. `pushes` turns False when it has no feed; then it is polled."""

    url: str
    backend: HttpsBackend
    pushes: bool = True
    answered: int | None = None
    failed: int | None = None
    error: str | None = None
    streaming: bool = False

    def facts(self) -> dict[str, object]:
        """Return what `/v1/status` shows: when it last answered and failed (Unix seconds), and how."""
        return {
            "url": self.url,
            "streaming": self.streaming,
            "answered": self.answered,
            "failed": self.failed,
            "error": self.error,
            "requests": self.backend.requests,
            "bytes": self.backend.received,
        }

    async def events(self, start: int) -> AsyncGenerator[LogEvent, None]:
        """Yield what the feed pushes from index `start` on, until it ends. UnavailableError when it breaks or falls silent."""
        parser = Parser()
        path, headers = f"/v1/watch?start={start}", {"Accept": "text/event-stream"}
        stream = self.backend.transport.stream(path, headers=headers, idle_seconds=SILENCE_SECONDS)
        self.streaming = True
        try:
            async with aclosing(stream) as chunks:
                async for chunk in chunks:
                    for event in map(log_event, parser.feed(chunk)):
                        if event is not None:
                            yield event
        except (NotFoundError, UnsupportedError):
            self.pushes = False
        finally:
            self.streaming = False


@dataclass(slots=True)
class Arrived:
    """Entries that were pushed and wait for the note that covers them; dropped when too many, as they can be fetched."""

    start: int = 0
    entries: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, event: Entries) -> None:
        """Take what was pushed."""
        self.size += sum(map(len, event.entries))
        if event.start != self.start + len(self.entries) or self.size > LIMITS.batch_bytes:
            self.clear(event.start)
            self.size = sum(map(len, event.entries))
        self.entries += event.entries

    def clear(self, start: int) -> None:
        """Forget what came; the next is expected at index `start`."""
        self.start, self.entries, self.size = start, [], 0


def open_sources(place: Place) -> Sequence[Source]:
    """Return the home's ledger and the further URLs of the same log. UsageError for one that is not `https`."""
    urls = dict.fromkeys([place.url.text, *place.settings.sources])
    for url in urls:
        if not url.startswith("https://"):
            raise UsageError(f"a node follows https:// URLs, not {url}")
    return [Source(url, place.https(url)) for url in urls]
