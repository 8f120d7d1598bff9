"""The machine's clock, as `ledger.core.ports.Clock`.

Composition roots build it once and hand it down. It is the only place that reads the wall clock.
"""

from __future__ import annotations

import time


class SystemClock:
    """Wall and monotonic time of this machine."""

    def now(self) -> float:
        """Return wall time in seconds since 1970 (UTC). It may jump either way."""
        return time.time()  # noqa: TID251 - this class is the Clock that everyone else takes

    def monotonic(self) -> float:
        """Return seconds that never go back within one process."""
        return time.monotonic()
