"""The log of a small network in a file, and what a client makes of it: for tests of the client's parts without a server."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ledger.client.ordered import STANDING, Standing
from ledger.core.trust import codec
from ledger.core.trust.providers import ChainState
from ledger.core.trust.state import TrustState
from ledger.engine.genesis import create_log
from ledger.engine.replica import Replica
from ledger.engine.store import Store
from tests.support.small_network import SmallNetwork, TurnedClock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ledger.core.envelope import Envelope
    from ledger.engine.snapshot import Snapshot

T = TypeVar("T")


@dataclass(frozen=True)
class SmallLog:
    """A log at `path`."""

    network: SmallNetwork
    path: Path

    def look(self, work: Callable[[Snapshot], T]) -> T:
        """Return what `work` makes of a snapshot."""

        async def read() -> T:
            store = await asyncio.to_thread(lambda: Store.open(self.path, writable=False))
            try:
                return await store.read(work)
            finally:
                await asyncio.to_thread(store.close)

        return asyncio.run(read())

    def change(self, statement: str, *values: object) -> None:
        """Change the file behind the program's back."""
        connection = sqlite3.connect(self.path)
        with connection:
            connection.execute(statement, values)
        connection.close()


def small_log(path: Path, envelopes: Sequence[Envelope] | None = None, *, network: SmallNetwork | None = None) -> SmallLog:
    """Make a log of the network's first statements and of `envelopes`, some things without them."""
    network = network or SmallNetwork()
    more = network.things(5) if envelopes is None else envelopes
    asyncio.run(create_log(path, [*network.first, *more], network.keys, TurnedClock()))
    return SmallLog(network, path)


def copied_log(path: Path, envelopes: Sequence[Envelope], network: SmallNetwork, *, final: int | None = None) -> SmallLog:
    """Make a replica that took these entries, whatever they are: a log that does not keep its own rules. It has no checkpoint.

    With `final` a chain orders it, and so many of its entries are final.
    """
    facts = {} if final is None else {STANDING: codec.write(Standing(0, final, ChainState()))}

    async def copy() -> None:
        store = await asyncio.to_thread(lambda: Store.open(path, create=True))
        replica = Replica(store, network.id)
        await replica.pin()
        async with replica.intake() as intake:
            await intake.apply([envelope.entry for envelope in envelopes])
            intake.take(TrustState(network.id), facts)
        await asyncio.to_thread(replica.close)
        await asyncio.to_thread(store.close)

    asyncio.run(copy())
    return SmallLog(network, path)
