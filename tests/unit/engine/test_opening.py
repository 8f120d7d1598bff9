"""What a thread opens is closed when its caller went away, whenever that was."""

from __future__ import annotations

import asyncio
import threading

import pytest

from ledger.engine.opening import open_in_thread


class Opened:
    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        assert not self.closed.is_set()
        self.closed.set()


async def test_what_was_asked_for_is_returned_open() -> None:
    made = Opened()
    assert await open_in_thread(lambda: made) is made
    assert not made.closed.is_set()


async def test_what_opens_after_the_caller_left_is_closed() -> None:
    made, asked, go = Opened(), threading.Event(), threading.Event()

    def make() -> Opened:
        asked.set()
        go.wait()
        return made

    task = asyncio.create_task(open_in_thread(make))
    await asyncio.to_thread(asked.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not made.closed.is_set()
    go.set()
    assert await asyncio.to_thread(made.closed.wait, 30)


async def test_what_opens_as_the_caller_leaves_is_closed() -> None:
    loop = asyncio.get_running_loop()
    for _ in range(50):
        made = Opened()
        task: asyncio.Task[Opened]

        def make(made: Opened = made) -> Opened:
            loop.call_soon_threadsafe(task.cancel)  # noqa: B023 - the task of this round
            return made

        task = asyncio.create_task(open_in_thread(make))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(made.closed.wait, 30)


async def test_what_cannot_be_opened_says_why() -> None:
    def make() -> Opened:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await open_in_thread(make)
