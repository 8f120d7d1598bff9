"""Verifying the signatures of requests that wait for their turn, on one thread, while the writer is busy with those before them.

The libraries free the interpreter while they compute, so this uses a core that would be idle. What is not verified in time is
verified by the writer, as ever.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from ledger.core.envelope import Envelope
from ledger.engine.signatures import NONE

if TYPE_CHECKING:
    from collections.abc import Collection
    from concurrent.futures import Executor, Future

    from ledger.engine.admission import Request
    from ledger.engine.signatures import Checked


class Ahead:
    """Works through requests in `pool`, in order. For one event loop."""

    def __init__(self, checked: Checked, pool: Executor) -> None:
        self._checked = checked
        self._pool = pool
        self._waiting: deque[Request] = deque()
        self._work: Future[None] | None = None

    def put(self, request: Request) -> None:
        """Verify what is in `request` soon, unless it was verified already or is forgotten before."""
        if request.good is not NONE:
            return
        if not self._waiting:  # many come in one turn of the event loop, and waking a thread for each would cost a quarter of the check
            asyncio.get_running_loop().call_soon(self._start)
        self._waiting.append(request)

    def _start(self) -> None:
        if self._waiting and (self._work is None or self._work.done()):
            self._work = self._pool.submit(self._verify)

    def forget(self, taken: Collection[Request]) -> None:
        """Verify none of these any more: they are with the writer now."""
        numbers = set(map(id, taken))
        self._waiting = deque([one for one in self._waiting.copy() if id(one) not in numbers])
        self._start()

    def _verify(self) -> None:
        while self._waiting:
            try:
                request = self._waiting.popleft()
            except IndexError:  # forgotten this very moment
                return
            request.good = self._checked.ahead(one for one in request.envelopes if isinstance(one, Envelope))
