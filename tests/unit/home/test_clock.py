from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ledger.home.clock import SystemClock

if TYPE_CHECKING:
    from ledger.core.ports import Clock


def test_system_clock_reads_the_machine_and_is_a_clock() -> None:
    clock: Clock = SystemClock()
    before = time.time_ns() / 1e9
    assert before - 1 < clock.now() < before + 60
    assert clock.monotonic() <= clock.monotonic()
