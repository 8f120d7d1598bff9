"""A log that runs in the process of a test, with everything that a test turns."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ledger.engine.genesis import create_log
from ledger.engine.sequencer import Sequencer
from ledger.engine.store import Store
from tests.support.small_network import Heard, SmallNetwork, TurnedClock

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.core.backend import Head
    from ledger.engine.feed import Delta
    from ledger.engine.signing import SequencerKeys


class RunningLog:
    """The log of a `SmallNetwork`; `open` and `close` as often as a test likes."""

    def __init__(self, home: Path, network: SmallNetwork) -> None:
        self.path = home / "ledger.db"
        self.network = network
        self.clock = TurnedClock()
        self.heard = Heard()
        self.deltas: list[Delta] = []

    async def open(self, keys: SequencerKeys | None = None) -> Sequencer:
        self.store = await asyncio.to_thread(Store.open, self.path)
        self.sequencer = Sequencer(self.store, keys or self.network.keys, clock=self.clock, observer=self.heard)
        await self.sequencer.start()
        self.sequencer.feed.subscribe(self.deltas.append)
        return self.sequencer

    async def close(self) -> None:
        await self.sequencer.close()
        await asyncio.to_thread(self.store.close)

    @property
    def head(self) -> Head:
        return self.sequencer.feed.head

    def mark(self) -> dict[str, object] | None:
        record = self.store.read_now(lambda snapshot: snapshot.state().record("mark"))
        return None if record is None else dict(record.content)


async def running_log(home: Path, **changes: object) -> RunningLog:
    """Create a log in `home`, whose first root has `changes`, and open it."""
    log = RunningLog(home, SmallNetwork(**changes))
    await create_log(log.path, log.network.first, log.network.keys, log.clock)
    await log.open()
    return log
