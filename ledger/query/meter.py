"""A limit of what a part of a query may look at, so that a hostile query, or hostile policies, cost a bounded time."""

from __future__ import annotations

from ledger.core.errors import TooCostlyError


class Meter:
    """Counts down from `most`. `what` is counted, for people: "values"."""

    def __init__(self, most: int, what: str, advice: str) -> None:
        self._left = most
        self._most = most
        self._what = what
        self._advice = advice

    def charge(self, count: int) -> None:
        """Count so many more. Raises TooCostlyError beyond the limit."""
        self._left -= count
        if self._left < 0:
            raise TooCostlyError(f"this query leads to more than {self._most:,} {self._what}", advice=self._advice)
