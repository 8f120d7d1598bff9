"""Running the coroutine of a command. Ctrl-C cancels it between two steps of the event loop; a second one ends it where it is.

`asyncio.Runner` cancels inside the signal's own call, which may come amid a step: then a future that is just being answered is
cancelled under it, and a traceback is written.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

import uvloop

if TYPE_CHECKING:
    from collections.abc import Coroutine

R = TypeVar("R")


def run_to_end(work: Coroutine[Any, Any, R]) -> R:
    """Run it in an event loop of its own. Raises KeyboardInterrupt when it was interrupted."""
    whole, before = _heeding(work), signal.getsignal(signal.SIGINT)
    try:
        with closing(whole), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(whole)
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


async def _heeding(work: Coroutine[Any, Any, R]) -> R:
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        return await work  # nobody is heard here
    loop, task, pressed, over = asyncio.get_running_loop(), asyncio.current_task(), False, False

    def press(_number: int, _frame: object) -> None:
        nonlocal pressed
        if pressed or task is None:
            raise KeyboardInterrupt
        pressed = True
        if not over:  # else the loop is closing, and waits for threads that end
            loop.call_soon_threadsafe(task.cancel)

    signal.signal(signal.SIGINT, press)
    try:
        return await work
    finally:
        over = True
