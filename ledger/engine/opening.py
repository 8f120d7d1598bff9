"""Opening in a thread what holds a lock or a file, so that a caller who goes away leaves nothing open."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


class Closable(Protocol):
    """What is to be closed."""

    def close(self) -> None:
        """Close it (blocking)."""
        ...


T = TypeVar("T", bound=Closable)


async def open_in_thread(make: Callable[[], T]) -> T:
    """Return what `make` opens (blocking). When the caller is cancelled meanwhile, it is closed as soon as it is open."""
    opening = _Opening(make)
    try:
        return await asyncio.to_thread(opening.run)
    except asyncio.CancelledError:
        await asyncio.to_thread(opening.leave)
        raise


class _Opening(Generic[T]):
    """One opening. A thread cannot be cancelled: who comes last of it and its caller closes what nobody will use."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._turn = threading.Lock()
        self._made: T | None = None
        self._left = False

    def run(self) -> T:
        made = self._make()
        with self._turn:
            self._made, left = made, self._left
        if left:
            made.close()
        return made

    def leave(self) -> None:
        with self._turn:
            self._left, made = True, self._made
        if made is not None:
            made.close()
