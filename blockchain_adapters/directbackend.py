"""A log that a chain orders, behind the Backend port."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from blockchain_adapters import direct, mirror
from blockchain_adapters.chainbackend import POLL_SECONDS, ChainBackend
from blockchain_adapters.finding import digest_of, find_spots
from blockchain_adapters.follow import alarm_text
from blockchain_adapters.mirrorbackend import MirrorBackend
from blockchain_adapters.transactions import Parcel
from ledger.core.backend import ChainPosition, Entries, Head, NewHead, Placed, Refused, RolledBack, Traits
from ledger.core.errors import (
    AlarmError,
    FormatError,
    LedgerError,
    OutcomeUnknown,
    SizeMismatchError,
    SplitViewError,
    UnsupportedError,
)
from ledger.core.limits import LIMITS
from ledger.core.trust.providers import DECIDE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    import apsw

    from blockchain_adapters.chainbackend import Source
    from blockchain_adapters.direct import Order
    from blockchain_adapters.follow import Progress
    from blockchain_adapters.transactions import Landed
    from ledger.core.backend import LogEvent
    from ledger.core.trust.providers import ChainState
    from ledger.core.trust.roots import PlacedRoot

T = TypeVar("T")


class Writing(Protocol):
    """What brings entries onto the chain: a `submit.Submitter` with what it needs."""

    async def submit(self, envelopes: Sequence[bytes]) -> list[str | LedgerError]:
        """See Submitter."""
        ...

    async def carry(self, parcel: Parcel) -> Landed:
        """See Submitter."""
        ...

    def wake(self) -> None:
        """See Submitter."""
        ...

    async def look(self) -> None:
        """See Submitter."""
        ...

    async def close(self) -> None:
        """See Submitter."""
        ...


class DirectBackend(ChainBackend):
    """A log that the chain orders. Entries of blocks that are not final may go again; `watch` tells."""

    def __init__(
        self,
        source: Source,
        network: str,
        writer: Callable[[], Awaitable[Writing]],
        *,
        roots: Sequence[PlacedRoot] = (),
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        """As `ChainBackend`; `writer` opens the submitter at the first append."""
        self.traits = Traits(compare_and_set=source.compares, checkpoints=False, instant_finality=source.settles)
        super().__init__(source, network, roots=roots, poll_seconds=poll_seconds)
        self._open_writer = writer
        self._submitter: Writing | None = None
        self._opening = asyncio.Lock()
        self.outstanding: Callable[[], Awaitable[int]] | None = None
        self.describe_payer: Callable[[], Awaitable[Mapping[str, object] | None]] | None = None

    async def tend(self) -> None:
        """Look once after what this home sent and is not final: what a reorganisation took is sent again.

        Asks for the account only when there is something. BusyError while another process of this machine writes with it, and looks itself.
        """
        if self.outstanding is not None and await self.outstanding():
            await (await self._writer()).look()

    async def payer(self) -> Mapping[str, object] | None:
        """Return the account that pays for what this home writes, as `status` shows it; None where there is none."""
        return None if self.describe_payer is None else await self.describe_payer()

    async def head(self) -> Head:
        """See Backend. Raises SplitViewError while the providers contradict each other about what is final."""
        await self.catch_up()
        final = await self._final()
        return await self._with_order(lambda connection, order: self._head(connection, order, final))

    async def known(self) -> ChainState:
        """Return what the providers agree on."""
        return await self.source.known()

    async def base(self) -> int | None:
        """Return the index of the root that set this order, None while the chain holds no such root."""
        order = await self.order()
        return None if order is None else order.base

    def before(self) -> MirrorBackend:
        """Return the mirror of the log before, with its notes; it reads through this backend, and needs no closing."""
        return MirrorBackend(self.source, self.network, ended=True)

    async def roots(self, version: int) -> bytes | None:
        """Return the signed root of that version, None when there is none."""
        return await self.before().roots(version)

    async def _final(self) -> int:
        state = await self.source.known()
        if state.alarm is not None:
            raise SplitViewError(alarm_text(state.alarm), advice=DECIDE)
        return -1 if state.agreed is None else state.agreed.height

    def _head(self, connection: apsw.Connection, order: Order | None, final: int) -> Head:
        if order is None:
            return Head(0, 0)
        size = direct.log_size(connection, order)
        final_size = min(size, direct.final_size(connection, order, final))
        return Head(size, final_size, position=self._position(connection, order, size - 1, final))

    def _position(self, connection: apsw.Connection, order: Order, index: int, final: int) -> ChainPosition | None:
        found = direct.at_place(connection, order.place + index - order.base) if index >= order.base else None
        if found is None:
            return None
        batch, number = found[0].batch, found[1]
        return ChainPosition(batch.block, batch.block_hash, batch.transaction, (batch.event, number), batch.block <= final)

    async def _with_order(self, work: Callable[[apsw.Connection, Order | None], T]) -> T:
        def look(connection: apsw.Connection) -> T:
            return work(connection, self._find_order(connection))

        return await self._kept.read(look)

    async def read(self, start: int, end: int) -> list[bytes]:
        """See Backend. Entries before the chain's own come from the mirror that it took over, if the contract holds it."""
        self._check_open()
        last, unpacked = min(end, start + LIMITS.page), self._kept.unpacked

        def look(connection: apsw.Connection, order: Order | None) -> list[bytes]:
            if order is None or start >= last:
                return []
            if start < order.base:
                return mirror.read_entries(connection, unpacked, start, min(last, order.base))
            stop = min(last, direct.log_size(connection, order))
            shift = order.place - order.base
            return direct.read_places(connection, unpacked, start + shift, stop + shift) if start < stop else []

        found = await self._with_order(look)
        if found or start >= last:
            return found
        await self.catch_up()
        return await self._with_order(look)

    async def find(self, digest: str) -> Placed | None:
        """See Backend."""
        await self.catch_up()
        return await self._find(digest, await self._final())

    async def _find(self, digest: str, final: int) -> Placed | None:
        spots = [one for one in await find_spots(self._kept, digest) if not one.gone]

        def look(connection: apsw.Connection, order: Order | None) -> Placed | None:
            for spot in spots:
                index = None if order is None else order.index(spot.place)
                if order is not None and index is not None:
                    return Placed(index, digest, position=self._position(connection, order, index, final))
            return None

        return await self._with_order(look)

    async def append(self, envelopes: Sequence[bytes], *, expected_size: int | None = None) -> list[Placed | Refused]:
        """See Backend. Answers when the entries stand in a block, which may not be final yet."""
        self._check_open()
        if expected_size is not None and not self.traits.compare_and_set:
            raise UnsupportedError("this chain orders appends without a common counter: no size can be expected", advice="Append without.")
        refused = [None if digest_of(one) else Refused(_malformed(one)) for one in envelopes]
        good = [one for one, no in zip(envelopes, refused, strict=True) if no is None]
        answers: list[Placed | Refused] = []
        if good:
            submitter = await self._writer()
            if expected_size is None:
                answers = await self._placed(good, await submitter.submit(good))
            else:
                await self._carry(submitter, good, expected_size)
                answers = await self._placed(good, [""] * len(good))
        waiting = iter(answers)
        return [next(waiting) if no is None else no for no in refused]

    async def _carry(self, submitter: Writing, entries: Sequence[bytes], expected_size: int) -> None:
        """Append only if the log has that size: the contract compares how many batches there are."""
        await self.catch_up()
        cursor = await self._kept.cursor()
        size = await self._with_order(lambda connection, order: 0 if order is None else direct.log_size(connection, order))
        if size != expected_size or cursor is None:
            raise SizeMismatchError(f"the log has {size} entries, not {expected_size}", size=size)
        await submitter.carry(Parcel(tuple(entries), expected=cursor.number))

    async def _placed(self, entries: Sequence[bytes], outcomes: Sequence[str | LedgerError]) -> list[Placed | Refused]:
        """Return where entries stand that were included just now."""
        await self.catch_up()
        final = await self._final()
        found: list[Placed | Refused] = []
        for entry, outcome in zip(entries, outcomes, strict=True):
            if isinstance(outcome, LedgerError):
                found.append(Refused(outcome))
                continue
            digest = digest_of(entry) or ""
            placed = await self._find(digest, final)
            if placed is None:
                raise OutcomeUnknown("a block had it, and the chain does not show it now", operation=digest)
            found.append(placed)
        return found

    async def _writer(self) -> Writing:
        async with self._opening:
            if self._submitter is None:
                self._submitter = await self._open_writer()
            return self._submitter

    async def catch_up(self, progress: Progress | None = None) -> None:
        """See ChainBackend; the submitter looks after its own when something was undone."""
        await super().catch_up(progress)
        if self._submitter is not None:
            self._submitter.wake()

    async def close(self) -> None:
        """See Backend."""
        submitter, self._submitter = self._submitter, None
        if submitter is not None:
            await submitter.close()
        await super().close()

    async def watch(self, start: int) -> AsyncIterator[LogEvent]:
        """See Backend."""
        at, told, failures = start, None, 0
        trail = _Trail(start)
        while True:
            try:
                head = await self.head()
                back = await self._with_order(trail.check)
            except AlarmError:
                raise
            except LedgerError:
                self._check_open()
                failures += 1
                await self._pause(failures)
                continue
            failures = 0
            if back is not None and back < at:
                at = back
                yield RolledBack(at)
            while at < head.size and (entries := tuple(await self.read(at, head.size))):
                yield Entries(at, entries)
                at += len(entries)
                await self._with_order(partial(trail.note, at))
            trail.forget(head.final_size)
            if head != told:
                told = head
                yield NewHead(head)
            await self._pause(0)


class _Trail:
    """What a watcher was shown: up to which index, and the mark of the batch that held the last of it."""

    def __init__(self, start: int) -> None:
        self._least = start
        self._steps: list[tuple[int, int, bytes]] = []

    def note(self, at: int, connection: apsw.Connection, order: Order | None) -> None:
        """Remember that everything below `at` was shown."""
        found = None if order is None else direct.at_place(connection, order.place + at - 1 - order.base)
        if found is not None:
            self._steps.append((at, found[0].batch.number, found[0].batch.mark))

    def check(self, connection: apsw.Connection, _order: Order | None) -> int | None:
        """Return the index from which on what was shown is gone, None when it all stands."""
        fallen = False
        while self._steps and not _stands(connection, *self._steps[-1][1:]):
            self._steps.pop()
            fallen = True
        if not fallen:
            return None
        return self._steps[-1][0] if self._steps else self._least

    def forget(self, final: int) -> None:
        """Forget what is final, all but the last of it."""
        while len(self._steps) > 1 and self._steps[1][0] <= final:
            self._steps.pop(0)
        if self._steps and self._steps[0][0] <= final:
            self._least = self._steps[0][0]


def _stands(connection: apsw.Connection, number: int, mark: bytes) -> bool:
    row = connection.execute("SELECT mark FROM batch WHERE NOT gone AND number=?", (number,)).fetchone()
    return row is not None and row[0] == mark


def _malformed(entry: bytes) -> LedgerError:
    return FormatError(f"{len(entry)} bytes that are no entry of a log")
