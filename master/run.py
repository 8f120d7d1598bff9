"""Running a master as a process."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

from ledger.http.service import run_service, stop_signals
from master.app import open_master

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.home.home import Home
    from ledger.home.settings import Settings
    from ledger.http.service import Bound, World
    from master.app import Master


def run_master(home: Home, settings: Settings, *, started: Callable[[Bound], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then drain and return. `started` hears where it listens.

    Raises the domain error that keeps it from serving.
    """
    run_service(settings, lambda world: serve(home, settings, world, started=started))


async def serve(home: Home, settings: Settings, world: World, *, started: Callable[[Bound], None] | None = None) -> None:
    """Do as `run_master` does, in an event loop that stands."""
    async with stop_signals() as stopping:
        master = await open_master(home, settings, world)
        try:
            bound = await master.start()
            gc.freeze()
            if started is not None:
                started(bound)
            await until_stopped(stopping, master)
            world.log.event("stopping", drain=settings.drain)
        finally:
            await master.stop()


async def until_stopped(stopping: asyncio.Event, master: Master) -> None:
    """Wait for a signal. Raises when the signing process ends or stops by itself: what cannot acknowledge does not stay half alive."""
    lost = asyncio.create_task(master.sequencer.lost())
    signalled = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((lost, signalled), return_when=asyncio.FIRST_COMPLETED)
        if not signalled.done():
            raise lost.result()
    finally:
        lost.cancel()
        signalled.cancel()
