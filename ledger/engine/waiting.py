"""What waits for the sequencer: bounded, and in two lanes, so that nobody who publishes a little waits behind all who publish a lot.

Requests keep their order within a lane. When both lanes hold something they take turns in going first into a batch.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from ledger.core.errors import BusyError
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from ledger.engine.admission import Request

SMALL = 8  # entries; what is larger is bulk
FOR_SMALL = 1_024  # entries of the queue that bulk never takes
RETRY_SECONDS = (0.5, 2.0)
GROUPS = 4  # in how many groups those who come back are judged, about: each wakes the writer once
WINDOW_SECONDS, PATIENCE_SECONDS = 0.001, 0.006  # how long nobody comes, and how long a batch stays open, before it is committed


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
    """The admission queue. `entries` counts those that are still being read, too.

    `put` and `announce` are for the event loop. It takes, too, unless a batch is open: then only its `Latecomers` do, in their thread.
    """

    def __init__(self) -> None:
        super().__init__()
        self._small: deque[Request] = deque()
        self._bulk: deque[Request] = deque()
        self._bulk_first = False
        self._news = threading.Event()

    def __len__(self) -> int:
        """Return how many requests wait."""
        return len(self._small) + len(self._bulk)

    def put(self, request: Request) -> None:
        """Add a request for which room was made."""
        (self._small if len(request.envelopes) <= SMALL else self._bulk).append(request)

    def announce(self) -> None:
        """Wake the thread that waits in `await_small`: somebody came."""
        self._news.set()

    def await_small(self, count: int, deadline: float) -> None:
        """Wait until so many small requests are here, or nobody came for a window, or the deadline of the monotonic clock is over."""
        while len(self._small) < count:
            self._news.clear()
            left = min(WINDOW_SECONDS, deadline - time.monotonic())
            if len(self._small) < count and (left <= 0 or not self._news.wait(left)):
                return

    def take_small(self, entries: int, octets: int) -> list[Request]:
        """Take the small requests that are here, so many entries and bytes at most. Who answers them gives their room back."""
        found: list[Request] = []
        while self._small:
            entries, octets = entries - len(self._small[0].envelopes), octets - self._small[0].octets
            if entries < 0 or octets < 0:
                break
            found.append(self._small.popleft())
        return found

    def take(self) -> list[Request]:
        """Take a batch of 1,000 entries or 4 MiB at most, but always one request."""
        batch: list[Request] = []
        count = octets = 0
        lanes = (self._bulk, self._small) if self._bulk_first else (self._small, self._bulk)
        self._bulk_first = not self._bulk_first and bool(self._small)
        for lane in lanes:
            while lane:
                request = lane[0]
                count, octets = count + len(request.envelopes), octets + request.octets
                if batch and (count > LIMITS.batch_entries or octets > LIMITS.batch_bytes):
                    break
                batch.append(lane.popleft())
                self.release(len(request.envelopes))
        return batch


class Latecomers:
    """Lets requests into a batch that is being judged: who was answered just now comes back, one after the other.

    So some are judged while others are on their way, and all of them share one commit. To be called in the thread that judges.
    """

    def __init__(self, queue: WaitingRequests, batch: list[Request], expected: int) -> None:
        """Nobody is waited for when as many are here as `expected`: as the batch before had."""
        self._queue = queue
        self._batch = batch
        self._expected = expected
        self._entries = LIMITS.batch_entries - sum(len(one.envelopes) for one in batch)
        self._octets = LIMITS.batch_bytes - sum(one.octets for one in batch)
        self._deadline: float | None = None

    def __call__(self) -> list[Request]:
        """Return requests that were added to the batch; none when it is to be committed."""
        missing = self._expected - len(self._batch)
        if missing > 0:
            if self._deadline is None:
                self._deadline = time.monotonic() + PATIENCE_SECONDS
            self._queue.await_small(min(missing, max(1, self._expected // GROUPS)), self._deadline)
        found = self._queue.take_small(self._entries, self._octets)
        self._entries -= sum(len(one.envelopes) for one in found)
        self._octets -= sum(one.octets for one in found)
        self._batch += found
        return found
