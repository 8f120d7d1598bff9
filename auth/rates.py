"""How often one key may buy tokens: a bucket a key that fills again steadily. Only proven keys have one, so nobody empties another's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.errors import BusyError

if TYPE_CHECKING:
    from ledger.core.ports import Clock

MEMBER_A_MINUTE = 300
INVITE_A_MINUTE = 20
CAPACITY = 65_536
MINUTE = 60.0


class Rates:
    """Tokens a minute, for each key. Memory is bounded: a full bucket is no different from none."""

    def __init__(self, clock: Clock, *, capacity: int = CAPACITY) -> None:
        self._clock = clock
        self._capacity = capacity
        self._spent: dict[str, tuple[float, float]] = {}

    def take(self, keyid: str, a_minute: int) -> None:
        """Take one of `a_minute`. Raises BusyError, with when to come again, when there is none left."""
        now, step = self._clock.monotonic(), MINUTE / a_minute
        spent, seen = self._spent.pop(keyid, (0.0, now))
        spent = max(0.0, spent - (now - seen) / step)
        if spent + 1 > a_minute:
            self._spent[keyid] = spent, now
            raise BusyError("This key asks for too many tokens.", retry_after=round((spent + 1 - a_minute) * step, 3))
        while len(self._spent) >= self._capacity:
            del self._spent[next(iter(self._spent))]  # the one that asked longest ago, so the fullest
        self._spent[keyid] = spent + 1, now
