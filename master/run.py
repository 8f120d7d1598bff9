"""Running a master as a process: event loop, limits of the process, signals, log lines on stderr."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
import sys
from typing import TYPE_CHECKING

import uvloop

from ledger.home.clock import SystemClock
from ledger.http.logs import EventLog, StandardLogging
from master.app import Bound, World, open_master

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.home.home import Home
    from ledger.home.settings import Settings

YOUNG_OBJECTS = 20_000


def run_master(home: Home, settings: Settings, *, started: Callable[[Bound], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return. `started` hears where it listens.

    Raises the domain error that keeps it from serving.
    """
    clock = SystemClock()
    log = EventLog(sys.stderr.buffer, clock, level=settings.log_level)
    logging.basicConfig(handlers=[StandardLogging(log)], level=logging.INFO, force=True)
    raise_file_limit()
    gc.set_threshold(YOUNG_OBJECTS, 20, 50)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(home, settings, World(clock, log), started=started))


async def serve(home: Home, settings: Settings, world: World, *, started: Callable[[Bound], None] | None = None) -> None:
    """Do as `run_master` does, in an event loop that stands."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    master = await open_master(home, settings, world)
    try:
        bound = await master.start()
        gc.freeze()
        if started is not None:
            started(bound)
        await stopping.wait()
        world.log.event("stopping", drain=settings.drain)
    finally:
        await master.stop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def raise_file_limit() -> None:
    """Let the process have as many files as the system allows: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
