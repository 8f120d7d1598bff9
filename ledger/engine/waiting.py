"""What waits for the sequencer: bounded, and in two lanes, so that nobody who publishes a little waits behind all who publish a lot.

Requests keep their order within a lane. When both lanes hold something they take turns in going first into a batch.
"""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING

from ledger.core.errors import BusyError
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from ledger.engine.admission import Request

SMALL = 8  # entries; what is larger is bulk
FOR_SMALL = 1_024  # entries of the queue that bulk never takes
RETRY_SECONDS = (0.5, 2.0)


class Room:
    """How much room the admission queue has left. For one event loop."""

    def __init__(self) -> None:
        self.entries = 0
        self.bounded = True  # False where another process has made room for all that comes

    def reserve(self, count: int) -> None:
        """Make room for a request of so many entries. BusyError, with a time that differs from one to the next, when there is none."""
        self.require_room(count)
        self.entries += count

    def require_room(self, count: int) -> None:
        """Raise BusyError when there is no room for a request of so many entries: worth asking before it is even read."""
        limit = LIMITS.queue if count <= SMALL else LIMITS.queue - FOR_SMALL
        if self.bounded and self.entries + count > limit:
            raise BusyError("too many entries are waiting", retry_after=round(random.uniform(*RETRY_SECONDS), 3))  # noqa: S311 - jitter

    def release(self, count: int) -> None:
        """Give room back: the request was taken, or came to nothing."""
        self.entries -= count


class WaitingRequests(Room):
    """The admission queue. `entries` counts those that are still being read, too."""

    def __init__(self) -> None:
        super().__init__()
        self._small: deque[Request] = deque()
        self._bulk: deque[Request] = deque()
        self._bulk_first = False

    def __len__(self) -> int:
        """Return how many requests wait."""
        return len(self._small) + len(self._bulk)

    def put(self, request: Request) -> None:
        """Add a request for which room was made."""
        (self._small if len(request.envelopes) <= SMALL else self._bulk).append(request)

    def take(self, most: int = LIMITS.batch_entries) -> list[Request]:
        """Take a batch of `most` requests, 1,000 entries or 4 MiB at most, but always one request."""
        batch: list[Request] = []
        count = octets = 0
        lanes = (self._bulk, self._small) if self._bulk_first else (self._small, self._bulk)
        self._bulk_first = not self._bulk_first and bool(self._small)
        for lane in lanes:
            while lane and len(batch) < most:
                request = lane[0]
                count, octets = count + len(request.envelopes), octets + request.octets
                if batch and (count > LIMITS.batch_entries or octets > LIMITS.batch_bytes):
                    break
                batch.append(lane.popleft())
                self.release(len(request.envelopes))
        return batch
