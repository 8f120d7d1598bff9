"""Who waits for operations to stand in a block: each hears of it once, or why it never will, or that it is not known."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ledger.core.errors import AccessError, LedgerError, OutcomeUnknown
from ledger.engine.journal import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.engine.journal import Operation


class Waiters:
    """The futures of operations, by their number. For one event loop."""

    def __init__(self) -> None:
        self._futures: dict[int, asyncio.Future[str]] = {}

    @property
    def numbers(self) -> tuple[int, ...]:
        """Return which operations somebody waits for."""
        return tuple(self._futures)

    def wait_for(self, operation: Operation) -> asyncio.Future[str]:
        """Return what becomes the transaction of an operation, at once when that stands already."""
        future = self._futures.get(operation.number)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            if operation.state in (State.INCLUDED, State.FINAL):
                future.set_result(operation.place or "")
            else:
                self._futures[operation.number] = future
        return future

    def forget(self, numbers: Iterable[int]) -> None:
        """Answer nobody for these any more."""
        for number in numbers:
            self._futures.pop(number, None)

    def answer(self, number: int, place: str) -> None:
        """Say in which transaction an operation stands."""
        future = self._futures.pop(number, None)
        if future is not None and not future.done():
            future.set_result(place)

    def refuse(self, number: int, error: LedgerError) -> None:
        """Say why an operation does not stand anywhere."""
        refuse(self._futures.pop(number, None), error)

    def leave(self) -> None:
        """Tell all who are left that the outcome is not known."""
        for number in self.numbers:
            self.refuse(number, unknown(number))


def refuse(future: asyncio.Future[Any] | None, error: LedgerError) -> None:
    """Fail a future, if anybody can still hear it."""
    if future is not None and not future.done():
        future.set_exception(error)
        future.exception()  # whoever waited may have left: that is no error of its own


def outcome(future: asyncio.Future[str]) -> str | LedgerError:
    """Return the result of a future that is done, or why there is none; raise what says nothing of this operation alone."""
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, LedgerError) and not isinstance(error, (OutcomeUnknown, AccessError)):
        return error
    raise error


def unknown(number: int) -> OutcomeUnknown:
    """Return the error for what may have left and stands in no block yet."""
    return OutcomeUnknown("the chain has not included it yet; it goes on in the journal", operation=str(number))
