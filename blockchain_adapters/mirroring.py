"""A master's log brought onto a chain: the worker of one mirror, whatever the chain (FORMATS 11, DESIGN 7).

The log is the outbox, and the chain says how far it came: nothing is written down for an entry. One transaction is under way at a time,
with the entries that follow what the contract holds and the master's note for their end. It stands in a journal before it leaves, so a
kill forgets nothing. Whatever keeps a mirror from going on is its own trouble: no acknowledgement waits for it.
"""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from blockchain_adapters.mirrorbackend import MirrorBackend
from blockchain_adapters.transactions import Parcel
from ledger.core.errors import (
    ForkRiskError,
    InternalError,
    InvalidError,
    LedgerError,
    NotReadyError,
    OrderMovedError,
    OutcomeUnknown,
    SignatureError,
    TooLargeError,
)
from ledger.core.limits import LIMITS
from ledger.core.trust.good import parse_claim
from ledger.home.backends import BackendScheme

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from blockchain_adapters.chainbackend import Source
    from blockchain_adapters.mirror import Whole
    from blockchain_adapters.transactions import Landed
    from ledger.core.ports import Clock, Observer
    from ledger.home.backends import BackendContext
    from ledger.home.mirrors import Mirror
    from ledger.home.url import LedgerUrl

DAY_SECONDS = 86_400
QUIET_SECONDS = 2.0
SOON_SECONDS = 0.05
LONGEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Terms:
    """For which network a contract is opened, which key file of the home pays, and on which chain it is; None: where the URL leads."""

    network: str
    key: str
    chain: int | str | None = None


class Target(Protocol):
    """A contract that is open for the one who writes a mirror."""

    @property
    def source(self) -> Source:
        """Return what reads it."""
        ...

    @property
    def pending(self) -> bool:
        """Tell whether a transaction has left and stands in no block."""
        ...

    @property
    def newest_block(self) -> int:
        """Return the newest block in which a transaction of ours stands that is not final; -1 when there is none."""
        ...

    @property
    def condition(self) -> LedgerError | None:
        """Return what keeps a transaction that has left from a block."""
        ...

    @property
    def unsettled(self) -> bool:
        """Tell whether a transaction of ours is not final."""
        ...

    async def look(self) -> None:
        """Look after what is under way, and return when it is known as it is."""
        ...

    async def carry(self, parcel: Parcel) -> Landed:
        """See `submit.Submitter.carry`."""
        ...

    async def spent(self, since: float) -> int:
        """Return the gas of all transactions made since that time."""
        ...

    async def facts(self) -> Mapping[str, object]:
        """Return what people want to know of the account and the contract."""
        ...

    async def close(self) -> None:
        """Release everything. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Survey:
    """What a look at a contract gave, before it becomes a mirror: facts for people, and what stands in the way."""

    facts: Mapping[str, object]
    problem: LedgerError | None


@runtime_checkable
class MirroringScheme(BackendScheme, Protocol):
    """A plug-in for chains that can hold a mirror."""

    @property
    def key_file(self) -> str:
        """Return which key file of a home pays unless another is named."""
        ...

    @property
    def shares_key(self) -> bool:
        """Tell whether one key may write several mirrors at once."""
        ...

    async def survey(self, url: LedgerUrl, context: BackendContext, terms: Terms, parcel: Parcel) -> Survey:
        """Look whether `parcel` could be written there, and what it would cost. Nothing leaves but questions."""
        ...

    async def mirror(self, url: LedgerUrl, context: BackendContext, terms: Terms) -> Target:
        """Open a contract for writing a mirror; the caller closes it. Raises domain errors only."""
        ...


class Log(Protocol):
    """The master's log, as its mirrors need it."""

    @property
    def network(self) -> str:
        """Return the network's id."""
        ...

    @property
    def renewal(self) -> float:
        """Return after how many seconds an idle log's note is anchored again: half of what makes nodes call it stale."""
        ...

    def head(self) -> bytes:
        """Return the newest note that left, empty before the first."""
        ...

    async def entries(self, start: int, end: int) -> Sequence[bytes]:
        """Return entries `start … end-1`, as far as there are so many."""
        ...

    def time(self, note: bytes) -> int:
        """Return when the master put its time on a note, 0 when it did not."""
        ...

    async def note_within(self, start: int, end: int) -> bytes | None:
        """Return the newest good note of a tree larger than `start` and at most `end`, None when none is kept."""
        ...

    async def weigh(self, note: bytes) -> bool:
        """Tell whether a note that was found on a chain fits the log; one that does not, and is ours, stops the signing."""
        ...


class Worker:
    """Keeps one mirror up with the log. `run` it as a task; `wake` it when the log grew or its setting changed."""

    def __init__(self, log: Log, mirror: Mirror, opened: Callable[[], Awaitable[Target]], world: tuple[Clock, Observer]) -> None:
        """Keep `mirror` up with `log`; `opened` opens the contract."""
        self.mirror = mirror
        self.looked = asyncio.Event()
        self.size = 0
        self.spent = 0
        self.problem: LedgerError | None = None
        self.dead: str | None = None
        self._log = log
        self._open = opened
        self._clock, self._observer = world
        self._target: Target | None = None
        self._facts: Mapping[str, object] = {}
        self._woken = asyncio.Event()
        self._weighed = b""
        self._wrote_at = 0.0
        self._note_time = 0
        self._proven = 0
        self._gap_since = math.inf
        self._backend: MirrorBackend | None = None

    def wake(self) -> None:
        """Look now."""
        self._woken.set()

    def change(self, mirror: Mirror) -> None:
        """Take up another setting of the same mirror."""
        if mirror.tries != self.mirror.tries:
            self.dead = None
        self.mirror = mirror
        self.wake()

    async def run(self) -> None:
        """Work until cancelled."""
        failures = 0
        while True:
            self._woken.clear()
            try:
                pause = await self._step()
                failures = 0
            except LedgerError as error:
                self._note(error)
                failures += 1
                pause = min(LONGEST_SECONDS, QUIET_SECONDS * 2 ** min(failures - 1, 5))
            except Exception as error:  # noqa: BLE001 - a mistake of ours must be seen, and must not end the mirror
                self._note(InternalError(f"the mirror made a mistake: {type(error).__name__}: {error}"))
                pause = LONGEST_SECONDS
            self.looked.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()
                    await asyncio.sleep(SOON_SECONDS)

    async def close(self) -> None:
        """Close what is open. What is under way goes on when it is opened again."""
        target, self._target, self._backend = self._target, None, None
        if target is not None:
            await target.close()

    def facts(self, size: int) -> dict[str, object]:
        """Return how the mirror of a log of that size is."""
        lag = max(0, size - self.size)
        # A transaction may be under way for a minute before it is given up on: what it waits for is said at once.
        problem = self.problem or (None if self._target is None else self._target.condition)
        return {
            "url": self.mirror.url,
            "state": self._state(lag, problem),
            "size": self.size,
            "lag": lag,
            "gas_today": self.spent,
            "max_gas_per_day": self.mirror.max_gas_per_day,
            "note_time": self._note_time or None,
            "code": None if problem is None else problem.code,
            "reason": self.dead or (None if problem is None else problem.message),
            "advice": None if problem is None else problem.hint,
            **self._facts,
        }

    def _state(self, lag: int, problem: LedgerError | None) -> str:
        if self.mirror.paused:
            return "paused"
        if self.dead is not None:
            return "dead"
        if problem is not None:
            return "waits"
        return "behind" if lag else "current" if self.looked.is_set() else "opening"

    def _note(self, problem: LedgerError | None) -> None:
        if problem is not None and (self.problem is None or self.problem.message != problem.message):
            self._observer.event("mirror-waits", mirror=self.mirror.url, code=problem.code, reason=problem.message)
        self.problem = problem

    async def _step(self) -> float:
        """Take one step; return how long to rest."""
        target, backend = await self._opened()
        await backend.catch_up()
        await target.look()
        if await backend.order() is not None:
            raise OrderMovedError("the network is ordered by this chain now: there is nothing left to mirror", advice="Drop the mirror.")
        if not await self._fits(await backend.whole()):
            return LONGEST_SECONDS
        self.size = await backend.covered(self._log.entries)
        now = self._clock.now()
        self.spent = await target.spent(now - DAY_SECONDS)
        self._facts = await target.facts()
        if self.mirror.paused or self.dead is not None:
            self._note(None)
            return QUIET_SECONDS
        if target.pending or await self._reader_is_late(target) or self._comes_back(target, now):
            self._note(target.condition)
            return QUIET_SECONDS / 4
        return await self._write(target, now)

    async def _opened(self) -> tuple[Target, MirrorBackend]:
        if self._target is None or self._backend is None:
            self._target = await self._open()
            self._backend = MirrorBackend(self._target.source, self._log.network)
        return self._target, self._backend

    async def _fits(self, whole: Whole) -> bool:
        """Hold what the chain shows against the log: a note of ours that it does not know stops the signing, not the mirror."""
        self._proven = whole.tree.size
        self._note_time = 0 if whole.note is None else self._log.time(whole.note)
        fits = True
        for note in (whole.note, whole.odd):
            if note is None or note == self._weighed:
                continue
            with suppress(SignatureError):  # it is not by a key that counts
                fits &= await self._log.weigh(note)
            if fits:
                self._weighed = note
        if not fits:
            self._note(ForkRiskError("the mirror holds a checkpoint of this log that the master does not know"))
        return fits

    def _comes_back(self, target: Target, now: float) -> bool:
        """Tell whether what a fork took may come back by itself: its transactions are sent again, as long as they are not final."""
        gap = self.size < self._proven
        self._gap_since = min(self._gap_since, now) if gap else math.inf
        return gap and target.unsettled and now - self._gap_since < LONGEST_SECONDS

    async def _reader_is_late(self, target: Target) -> bool:
        cursor = await target.source.kept.cursor()
        return cursor is None or cursor.heads.tip.height < target.newest_block

    async def _write(self, target: Target, now: float) -> float:
        """Send what follows, if there is anything, if it is due and paid for."""
        parcel = await self._next()
        if parcel is None:
            self._note(None)
            return QUIET_SECONDS
        wait = self._wrote_at + self.mirror.every - now
        if wait > 0 and len(parcel.entries) < LIMITS.batch_entries:
            self._note(None)
            return min(wait, QUIET_SECONDS)
        most = self.mirror.max_gas_per_day
        if most is not None and self.spent >= most:
            raise NotReadyError(
                f"{self.spent} gas were used within a day, and {most} are allowed",
                advice="It goes on by itself; or allow more: ledger-cli add mirror URL --max-gas-per-day N.",
            )
        try:
            await self._carry(target, parcel)
        except OutcomeUnknown as error:
            self._note(target.condition or error)
            return QUIET_SECONDS
        self._wrote_at = now
        self._note(None)
        self._observer.event("mirror-wrote", mirror=self.mirror.url, start=parcel.start, entries=len(parcel.entries), size=parcel.size)
        return 0.0

    async def _carry(self, target: Target, parcel: Parcel) -> None:
        """Send a parcel, or as much of it as one transaction takes. What no transaction takes is given up."""
        try:
            await target.carry(parcel)
        except TooLargeError as error:
            taken = error.context.get("taken")
            if isinstance(taken, int) and 0 < taken < len(parcel.entries):
                await target.carry(shortened(parcel, taken))
                return
            self._give_up(error)
            raise
        except InvalidError as error:
            self._give_up(error)
            raise

    def _give_up(self, error: LedgerError) -> None:
        self.dead = error.message

    async def _next(self) -> Parcel | None:
        """Return what to write now: entries with the note for their end, the newest note alone when it is old, or nothing."""
        newest = self._log.head()
        if not newest:
            return None
        claim = parse_claim(newest)
        note = newest
        if claim.size - self.size > LIMITS.batch_entries:
            note = await self._log.note_within(self.size, self.size + LIMITS.batch_entries) or newest
        told = parse_claim(note)
        entries = tuple(await self._log.entries(self.size, min(told.size, self.size + LIMITS.batch_entries)))
        if not entries and self._proven >= told.size and self._log.time(note) - self._note_time < self._log.renewal:
            return None
        return Parcel(entries, start=self.size, size=told.size, root=told.root, note=note)


def shortened(parcel: Parcel, taken: int) -> Parcel:
    """Return a parcel of the first entries of another, with the same note: a reader keeps them until the others come."""
    return Parcel(parcel.entries[:taken], start=parcel.start, size=parcel.size, root=parcel.root, note=parcel.note)
