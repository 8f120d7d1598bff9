"""What is done while the disk fails, what was told meanwhile, and what must hold when everything starts again.

A scene prepares a home, acts in it, and checks it afterwards. `Told` is what its callers were told: that is what must hold.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

from ledger.client.checking import verify_snapshot
from ledger.core.backend import Placed
from ledger.core.errors import ConflictError, LedgerError, NotReadyError, OutcomeUnknown
from ledger.core.merkle import tree_root
from ledger.core.receipt import parse_receipt, verify_proof
from ledger.core.trust.state import TrustState
from ledger.engine.genesis import create_log
from ledger.engine.journal import Journal, State
from ledger.engine.replica import Replica
from ledger.engine.sequencer import Sequencer
from ledger.engine.store import LOCK, Store
from ledger.home.lock import WriterLock
from master.signing.process import THREADS as SIGNING_THREADS
from tests.support.small_network import SmallNetwork, TurnedClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from ledger.core.envelope import Envelope
    from ledger.engine.snapshot import Snapshot

LEDGER = "ledger.db"


@dataclass
class Told:
    """What was answered: how many steps of the scene are done for sure, and whether the next one may be."""

    placed: dict[str, Placed] = field(default_factory=dict)
    refused: dict[str, LedgerError] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    done: int = 0
    perhaps: bool = False

    def copy(self) -> Told:
        return Told(dict(self.placed), dict(self.refused), set(self.unknown), self.done, self.perhaps)


class Scene(Protocol):
    """One thing that writes. `act` raises domain errors only; what it tells must hold in `check`."""

    def prepare(self, home: Path) -> None: ...

    async def act(self, home: Path, told: Told) -> None: ...

    async def check(self, home: Path, told: Told) -> None: ...


def whole(snapshot: Snapshot, network: str) -> int:
    """Verify everything that is stored, anew; return the size."""
    checked = verify_snapshot(snapshot, network, deep=True)
    assert checked.verified, checked.detail
    return checked.size


class Lane(StrEnum):
    """Where a log is written."""

    THREAD = "in a thread of its own, as an embedded ledger and a node do"
    LOOP = "in the event loop, as the signing process of a master does"


def open_in(lane: Lane, home: Path) -> Store:
    """Open the ledger of a home for writing in a lane."""
    if lane is Lane.THREAD:
        return Store.open(home / LEDGER)
    return Store.open_held(home / LEDGER, WriterLock.take(home / LOCK), SIGNING_THREADS)


@asynccontextmanager
async def sequencing(home: Path, network: SmallNetwork, lane: Lane = Lane.THREAD) -> AsyncIterator[Sequencer]:
    """Run a sequencer over the ledger of a home."""
    store = await asyncio.to_thread(open_in, lane, home)
    try:
        sequencer = Sequencer(store, network.keys, clock=TurnedClock())
        if lane is Lane.LOOP:
            sequencer.serve_elsewhere()
        try:
            await sequencer.start()
            yield sequencer
        finally:
            await sequencer.close()
    finally:
        await asyncio.to_thread(store.close)


class Commit:
    """The sequencer: one entry, many in one request, a change and a drop, then a stop."""

    def __init__(self, folder: Path, lane: Lane = Lane.THREAD, many: int = 12) -> None:
        self.network = SmallNetwork()
        self.lane = lane
        self._template = folder / "commit"
        self._template.mkdir()
        asyncio.run(create_log(self._template / LEDGER, self.network.first, self.network.keys, TurnedClock()))
        one = self.network.put("a", n=1)
        rest = [*self.network.things(many), self.network.put("a", n=2)]
        self.requests: list[list[Envelope]] = [[one], rest, [self.network.signed("drop", "thing", "a", None)]]

    def prepare(self, home: Path) -> None:
        shutil.copytree(self._template, home)

    async def act(self, home: Path, told: Told) -> None:
        async with sequencing(home, self.network, self.lane) as sequencer:
            for request in self.requests:
                await self._append(sequencer, request, told)

    async def _append(self, sequencer: Sequencer, request: Sequence[Envelope], told: Told) -> None:
        digests = [one.statement.digest for one in request]
        stopped = sequencer.stopped
        (results,) = await asyncio.gather(sequencer.append(request), return_exceptions=True)
        if isinstance(results, OutcomeUnknown):
            assert sequencer.stopped is not None or "stored, but" in results.message
            assert results.operation in digests
            told.unknown |= set(digests)
        elif isinstance(results, LedgerError):
            assert stopped is None or isinstance(results, NotReadyError)
            told.refused |= dict.fromkeys(digests, results)
        elif isinstance(results, BaseException):
            raise results
        else:
            for digest, result in zip(digests, results, strict=True):
                if isinstance(result, Placed):
                    told.placed[digest] = result
                else:
                    told.refused[digest] = result.error

    async def check(self, home: Path, told: Told) -> None:
        async with sequencing(home, self.network, self.lane) as sequencer:
            assert sequencer.fork_risk is None
            size = sequencer.store.read_now(lambda snapshot: whole(snapshot, self.network.id))
            for envelope in chain(*self.requests):
                sequencer.store.read_now(partial(stands, envelope, told))
            for request in self.requests:
                again = await sequencer.append(request)
                assert all(isinstance(one, Placed) for one in again), again
                for envelope, result in zip(request, again, strict=True):
                    before = told.placed.get(envelope.statement.digest)
                    assert isinstance(result, Placed)
                    assert before is None or before.index == result.index < size
            sequencer.store.read_now(lambda snapshot: whole(snapshot, self.network.id))


def stands(envelope: Envelope, told: Told, snapshot: Snapshot) -> None:
    """Check that the log has what was acknowledged, with a receipt that verifies, and has not what was refused."""
    digest = envelope.statement.digest
    index = snapshot.find(digest)
    placed = told.placed.get(digest)
    if placed is not None:
        assert index == placed.index
        assert snapshot.entries(placed.index, placed.index + 1) == [envelope.entry]
        assert placed.receipt is not None
        said = verify_proof(parse_receipt(placed.receipt))
        assert tree_root(said.size, snapshot) == said.root
    elif digest in told.refused:
        assert index is None, f"refused with {told.refused[digest]!r}, and yet entry {index}"


class Intake:
    """The replica: two pages and a note, then more, then a way back, each with the trust state that goes with it."""

    def __init__(self, folder: Path) -> None:
        self.network = SmallNetwork()
        self._template = folder / "replica"
        self._template.mkdir()
        asyncio.run(self._make(folder / "source"))

    async def _make(self, source: Path) -> None:
        await asyncio.to_thread(source.mkdir)
        await create_log(source / LEDGER, self.network.first, self.network.keys, TurnedClock())
        notes = {0: b""}
        async with sequencing(source, self.network) as sequencer:
            for _ in range(2):
                await sequencer.append(self.network.things(8, start=sequencer.feed.head.size))
                head = sequencer.feed.head
                assert head.checkpoint is not None
                notes[head.size] = head.checkpoint
            self.entries = await sequencer.store.read(lambda snapshot: snapshot.entries(0, 1000))
        self.notes = notes
        first, second = sorted(notes)[1:]
        self.stages = [(0, first), (first, second), (first, first)]  # from where, up to where
        self.sizes = [0, *(end for _, end in self.stages)]
        store = await asyncio.to_thread(lambda: Store.open(self._template / LEDGER, create=True))
        await Replica(store, self.network.id).pin()
        await asyncio.to_thread(store.close)

    def prepare(self, home: Path) -> None:
        shutil.copytree(self._template, home)

    async def act(self, home: Path, told: Told) -> None:
        store = await asyncio.to_thread(Store.open, home / LEDGER)
        replica = Replica(store, self.network.id)
        try:
            while told.done < len(self.stages):
                await self._take(replica, *self.stages[told.done])
                told.done += 1
        except OutcomeUnknown:
            told.perhaps = True
        finally:
            await asyncio.to_thread(replica.close)
            await asyncio.to_thread(store.close)

    async def _take(self, replica: Replica, start: int, end: int) -> None:
        async with replica.intake() as intake:
            await intake.go_back(start)
            for at in range(start, end, 6):
                await intake.apply(self.entries[at : min(end, at + 6)])
            intake.take(TrustState(self.network.id, note=self.notes[end]))

    async def check(self, home: Path, told: Told) -> None:
        store = await asyncio.to_thread(Store.open, home / LEDGER)
        replica = Replica(store, self.network.id)
        size = await store.read(lambda snapshot: snapshot.head().size)
        note = (await replica.trust()).note
        may = self.sizes[told.done : told.done + (2 if told.perhaps else 1)]
        assert size in may, f"{size} entries, not {may}"
        assert (note or b"") == self.notes[size]
        if size:
            await store.read(lambda snapshot: whole(snapshot, self.network.id))
        await asyncio.to_thread(replica.close)
        await asyncio.to_thread(store.close)
        again = Told()
        await self.act(home, again)
        assert (again.done, again.perhaps) == (len(self.stages), False)


class Intents:
    """The journal: two intents on their way, one of them dropped."""

    def prepare(self, home: Path) -> None:
        home.mkdir()
        Journal.open(home / "journal.db", TurnedClock(), create=True).close()

    async def act(self, home: Path, told: Told) -> None:
        journal = await asyncio.to_thread(lambda: Journal.open(home / "journal.db", TurnedClock()))
        steps: list[Any] = [
            lambda: journal.add("there", "d1", b"one"),
            lambda: journal.add("there", "d2", b"two"),
            lambda: journal.move(1, State.SENT, place="p"),
            lambda: journal.move(1, State.INCLUDED),
            lambda: journal.drop(2),
            lambda: journal.move(1, State.FINAL),
        ]
        try:
            while told.done < len(steps):
                await steps[told.done]()
                told.done += 1
        except OutcomeUnknown:
            told.perhaps = True
        finally:
            await asyncio.to_thread(journal.close)

    STANDS: tuple[dict[str, State], ...] = (
        {},
        {"d1": State.QUEUED},
        {"d1": State.QUEUED, "d2": State.QUEUED},
        {"d1": State.SENT, "d2": State.QUEUED},
        {"d1": State.INCLUDED, "d2": State.QUEUED},
        {"d1": State.INCLUDED},
        {"d1": State.FINAL},
    )

    async def check(self, home: Path, told: Told) -> None:
        journal = await asyncio.to_thread(lambda: Journal.open(home / "journal.db", TurnedClock()))
        found = {one.digest: one.state for one in await journal.select()}
        assert found in self.STANDS[told.done : told.done + (2 if told.perhaps else 1)]
        assert (await journal.add("there", "d3", b"three")).state is State.QUEUED
        await asyncio.to_thread(journal.close)


class Genesis:
    """The first entries of a log. What fails leaves nothing, and can be done again."""

    def __init__(self) -> None:
        self.network = SmallNetwork()

    def prepare(self, home: Path) -> None:
        home.mkdir()

    async def act(self, home: Path, told: Told) -> None:
        await create_log(home / LEDGER, self.network.first, self.network.keys, TurnedClock())
        told.done = 1

    async def check(self, home: Path, told: Told) -> None:
        if not told.done:
            assert set(await asyncio.to_thread(os.listdir, home)) <= {"lock"}
            await self.act(home, told)
        store = await asyncio.to_thread(Store.open, home / LEDGER)
        assert store.read_now(lambda snapshot: whole(snapshot, self.network.id)) == len(self.network.first)
        await asyncio.to_thread(store.close)


class KilledGenesis(Genesis):
    """A genesis that was killed: it left nothing, or all of it, or a file that is refused by name."""

    async def check(self, home: Path, told: Told) -> None:
        try:
            store = await asyncio.to_thread(Store.open, home / LEDGER)
        except LedgerError:
            assert not told.done
            return
        size = store.read_now(lambda snapshot: snapshot.head().size)
        assert size or not told.done
        if size:
            store.read_now(lambda snapshot: whole(snapshot, self.network.id))
        await asyncio.to_thread(store.close)
        try:
            await self.act(home, told)
        except ConflictError:
            return
        raise AssertionError("a file that stands was overwritten")
