"""A log that runs in the process of a test, with everything that a test turns."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger.core.checkpoint import parse_checkpoint
from ledger.core.errors import OutcomeUnknown, UnreachableError
from ledger.core.note import CLOCK_KIND, VerifierKey, clock_line
from ledger.engine.genesis import create_log
from ledger.engine.sequencer import Sequencer
from ledger.engine.store import Store
from tests.support.small_network import Heard, SmallNetwork, TurnedClock, key

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.core.backend import Head
    from ledger.core.note import Line, Note
    from ledger.engine.feed import Delta
    from ledger.engine.signing import SequencerKeys, Witnesses


class RunningLog:
    """The log of a `SmallNetwork`; `open` and `close` as often as a test likes."""

    def __init__(self, home: Path, network: SmallNetwork) -> None:
        self.path = home / "ledger.db"
        self.network = network
        self.clock = TurnedClock()
        self.heard = Heard()
        self.deltas: list[Delta] = []

    async def open(self, keys: SequencerKeys | None = None, witnesses: Witnesses | None = None) -> Sequencer:
        self.store = await asyncio.to_thread(Store.open, self.path)
        chosen = keys or self.network.keys
        self.sequencer = Sequencer(self.store, chosen, clock=self.clock, observer=self.heard, witnesses=witnesses)
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


async def unwitnessed_log(home: Path, **changes: object) -> RunningLog:
    """Create a log whose root wants witnesses, with none at hand: its entries are stored, and its first note waits. `open` it."""
    log = RunningLog(home, SmallNetwork(**changes))
    log.store = await asyncio.to_thread(lambda: Store.open(log.path, create=True))
    log.sequencer = Sequencer(log.store, log.network.keys, clock=log.clock)
    await log.sequencer.start()
    with pytest.raises(OutcomeUnknown):
        await log.sequencer.append(log.network.first)
    assert log.head.checkpoint is None
    await log.close()
    return log


class TwoWitnesses:
    """Cosigns, unless it is told to be away."""

    VKEYS = tuple(VerifierKey(f"witness.{name}", CLOCK_KIND, key(name).public).text for name in ("w1", "w2"))

    def __init__(self) -> None:
        self.away = False
        self.sizes: list[int] = []

    async def cosign(self, note: Note) -> tuple[Line, ...]:
        if self.away:
            raise UnreachableError("nobody answers")
        self.sizes.append(parse_checkpoint(note.text).size)
        return tuple(clock_line(note.text, f"witness.{name}", key(name), 1) for name in ("w1", "w2"))
