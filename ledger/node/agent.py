"""Running a node as a process; it joins first if need be."""

from __future__ import annotations

import asyncio
import gc
import sys
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from auth.join import read_join_token
from ledger.client.joining import join_home
from ledger.home.home import Home
from ledger.home.settings import Settings, load_settings
from ledger.http.service import run_service, stop_signals, until_stopped
from ledger.node.node import open_node

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ledger.http.service import Bound, World


@dataclass(frozen=True, slots=True)
class FirstJoin:
    """How an empty home joins: the token (text, `@FILE` or `-`; None: the settings'), and more names for its first certificate."""

    token: str | None = None
    hosts: tuple[str, ...] = ()


def run_node(home: Path, settings: Settings, *, first: FirstJoin | None = None, started: Callable[[Bound], None] | None = None) -> None:
    """Follow and serve until SIGTERM or SIGINT, then drain and return. `started` hears where it listens.

    An empty home joins first, as `first` says. Raises the domain error that keeps it from serving.
    """
    run_service(settings, lambda world: serve(Home(home), settings, world, first=first, started=started))


async def serve(
    home: Home, settings: Settings, world: World, *, first: FirstJoin | None = None, started: Callable[[Bound], None] | None = None
) -> None:
    """Do as `run_node` does, in an event loop that stands."""
    wanted = first or FirstJoin()
    async with stop_signals() as stopping:
        settings = await join_first(home, settings, world, wanted.token or settings.join, wanted.hosts)
        node = await open_node(home, settings, world, wanted.hosts)
        try:
            bound = await node.start()
            gc.freeze()
            if started is not None:
                started(bound)
            await until_stopped(stopping, node.lost())  # what follows nothing does not stay half alive
            world.log.event("stopping", drain=settings.drain)
        finally:
            await node.stop()


async def join_first(home: Home, settings: Settings, world: World, token: str | None, hosts: tuple[str, ...] = ()) -> Settings:
    """Join with `token` if nobody lives in the home yet, `hosts` in the certificate; return the settings that hold then."""
    if token is None or await asyncio.to_thread(home.config.exists):
        return settings
    invited = await asyncio.to_thread(
        read_join_token, token, sys.stdin.buffer, lambda text: world.log.write("warning", "join-token", remark=text)
    )
    joined = await join_home(home.path, invited.encode(), clock=world.clock, hosts=hosts)
    world.log.event("joined", network=joined.network, member=joined.name, size=joined.size)
    written = await asyncio.to_thread(load_settings, home.path, {})
    unset = Settings()
    given = {one.name: getattr(settings, one.name) for one in fields(Settings)}
    return replace(written, **{name: value for name, value in given.items() if value != getattr(unset, name)})
