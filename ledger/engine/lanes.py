"""Where a database is written: in a thread of its own, or in the one that asks. One piece of work after the other, either way."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Threads:
    """In which threads a file is used: how many read it, and whether one of its own writes it or the one that asks."""

    readers: int = 3
    own_writer: bool = True

    def lane(self, name: str) -> Lane:
        """Return a new lane; a thread of its own is called `name`."""
        return OwnThread(name) if self.own_writer else CallersThread()


class Lane(Protocol):
    """Runs what writes."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` for a task, which sees to it that no other task's runs meanwhile."""
        ...

    def run_now(self, work: Callable[[], T]) -> T:
        """Run `work`, blocking the calling thread."""
        ...

    def close(self) -> None:
        """Finish what runs. Idempotent."""
        ...


class OwnThread:
    """The lane of a process that answers others meanwhile: its event loop goes on."""

    def __init__(self, name: str) -> None:
        """Prepare a thread called `name`."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def run_now(self, work: Callable[[], T]) -> T:
        """Run `work` in the thread, and wait for it here."""
        return self._pool.submit(work).result()

    def close(self) -> None:
        """Finish what runs. Idempotent."""
        self._pool.shutdown(wait=True)


class CallersThread:
    """The lane of a process that has nothing to do but write. Its event loop stands still meanwhile; no thread has to be woken."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` here and now."""
        return work()

    def run_now(self, work: Callable[[], T]) -> T:
        """Run `work` here and now."""
        return work()

    def close(self) -> None:
        """Nothing runs."""
