"""Several providers of one chain, of which the first good one answers: one that fails rests for a while, and the next one is asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from ledger.core.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ledger.core.errors import LedgerError

REST_SECONDS = 2.0
MOST_REST_SECONDS = 60.0

Answer = TypeVar("Answer")


class Provider:
    """One of them, as it fared so far. `name` is what people call it, `error` why it is of no use now."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.error: str | None = None
        self._failures = 0
        self._rests_until = 0.0

    @property
    def resting(self) -> float:
        """Return the time until which it is asked last, in seconds of the monotonic clock."""
        return self._rests_until

    def succeeded(self) -> None:
        """Note that it answers."""
        self._failures, self._rests_until, self.error = 0, 0.0, None

    def failed(self, error: LedgerError) -> None:
        """Let it rest, longer each time."""
        self.error = error.message
        rest = min(MOST_REST_SECONDS, REST_SECONDS * 2 ** min(self._failures, 10))
        self._failures += 1
        self._rests_until = time.monotonic() + rest


One = TypeVar("One", bound=Provider)


async def ask_first(
    providers: Sequence[One], question: Callable[[One], Awaitable[Answer]], failures: tuple[type[LedgerError], ...]
) -> Answer:
    """Return what `question` gets from the first provider that answers it; an error of `failures` leaves it to rest.

    Raises the last such error when nobody answers.
    """
    last: LedgerError | None = None
    for provider in sorted(providers, key=lambda one: one.resting):
        try:
            answer = await question(provider)
        except failures as error:
            provider.failed(error)
            last = error
            continue
        provider.succeeded()
        return answer
    raise last or UnreachableError("this chain has no provider")
