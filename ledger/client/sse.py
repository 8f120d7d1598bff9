"""Server-sent events, as the WHATWG HTML standard frames them; only what our feed uses.

Pure: bytes in, events out, bounded memory, linear time.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledger.core.errors import FormatError, TooLargeError
from ledger.core.limits import LIMITS

END = b"\n\n"


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `name` is `message` when the stream names none."""

    name: str
    data: str
    id: str


class Parser:
    """Feed it chunks as they come; it answers with the events that are whole."""

    def __init__(self, *, limit: int = 2 * LIMITS.request) -> None:
        self._limit = limit
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that `chunk` completes. Raise `TooLargeError` or `FormatError` on a hostile stream."""
        start = max(0, len(self._rest) - 1)  # what came before holds no end, but may hold its first half
        self._rest += chunk
        last = self._rest.rfind(END, start)
        blocks: list[bytes] = []
        if last >= 0:
            blocks = bytes(self._rest[:last]).split(END)
            del self._rest[: last + len(END)]
        if len(self._rest) > self._limit:
            raise TooLargeError("the server sends an endless event", limit=self._limit)
        return [event for event in map(_parse_block, blocks) if event is not None]


def _parse_block(block: bytes) -> Event | None:
    """Return the event of one block; None for a comment (the heartbeat)."""
    try:
        lines = block.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError("the event stream is not UTF-8") from error
    fields: dict[str, list[str]] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name:
            fields.setdefault(name, []).append(value.removeprefix(" "))
    if "data" not in fields:
        return None
    return Event(fields.get("event", ["message"])[-1], "\n".join(fields["data"]), fields.get("id", [""])[-1])
