"""Running a master as a process."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from ledger.http.service import run_service, stop_signals, until_stopped
from master.app import open_master

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.home.home import Home
    from ledger.home.settings import Settings
    from ledger.http.service import Bound, World


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
            await until_stopped(stopping, master.sequencer.lost())  # what cannot acknowledge does not stay half alive
            world.log.event("stopping", drain=settings.drain)
        finally:
            await master.stop()
