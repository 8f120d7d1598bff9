"""A log on a chain behind the Backend port: ordered by the chain (direct), or a master's log kept there (mirror).

Both read one file, which a `Source` keeps up with the chain. Whatever the chain: the adapter gives the source, and for direct logs the
submitter.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from blockchain_adapters import direct, mirror
from blockchain_adapters.chainfile import tip_hash
from blockchain_adapters.finding import digest_of, find_spots
from blockchain_adapters.follow import alarm_text
from blockchain_adapters.transactions import Parcel
from ledger.core.backend import ChainPosition, Entries, Head, NewHead, Placed, Refused, RolledBack, Traits
from ledger.core.errors import (
    AlarmError,
    BadSourceError,
    FormatError,
    LedgerError,
    NotReadyError,
    OrderMovedError,
    OutcomeUnknown,
    SizeMismatchError,
    SplitViewError,
    UnsupportedError,
)
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    import apsw

    from blockchain_adapters.chainfile import ChainFile
    from blockchain_adapters.direct import Order
    from blockchain_adapters.follow import Progress
    from blockchain_adapters.mirror import Whole
    from blockchain_adapters.transactions import Landed
    from ledger.core.backend import Claimed, LogEvent
    from ledger.core.canonical import JSON
    from ledger.core.trust.providers import ChainState
    from ledger.core.trust.roots import PlacedRoot

T = TypeVar("T")

POLL_SECONDS = 2.0
MOST_WAIT_SECONDS = 60.0


class Source(Protocol):
    """What keeps the file of one contract up with its chain."""

    @property
    def kept(self) -> ChainFile:
        """Return the file."""
        ...

    @property
    def here(self) -> Mapping[str, JSON]:
        """Return the order that names this chain and contract."""
        ...

    @property
    def requests(self) -> int:
        """Return how many requests were made."""
        ...

    @property
    def received(self) -> int:
        """Return how many bytes came."""
        ...

    async def poll(self, progress: Progress | None = None) -> None:
        """Read what is new. Raises domain errors; what was read stays."""
        ...

    async def known(self) -> ChainState:
        """Return what the providers agree on."""
        ...

    def providers(self) -> Sequence[Mapping[str, object]]:
        """Return how each provider is, for people."""
        ...

    async def close(self) -> None:
        """Release everything; idempotent."""
        ...


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

    async def close(self) -> None:
        """See Submitter."""
        ...


class _ChainBackend:
    """What both kinds share."""

    def __init__(self, source: Source, network: str, *, roots: Sequence[PlacedRoot] = (), poll_seconds: float = POLL_SECONDS) -> None:
        """Read the log of `network` from `source`. `roots` are those that the caller verified elsewhere."""
        self.source = source
        self.network = network
        self._kept = source.kept
        self._known = tuple(roots)
        self._poll_seconds = poll_seconds
        self._stirred = asyncio.Event()
        self._ordered: tuple[tuple[str | None, int], Order | None] | None = None
        self._turn = asyncio.Lock()
        self._closed = False

    @property
    def requests(self) -> int:
        """Return how many requests were made."""
        return self.source.requests

    @property
    def received(self) -> int:
        """Return how many bytes of answers came."""
        return self.source.received

    async def catch_up(self, progress: Progress | None = None) -> None:
        """Read the chain up to its end; `progress` hears of blocks."""
        self._check_open()
        async with self._turn:
            await self.source.poll(progress)
        self._stirred.set()

    async def close(self) -> None:
        """See Backend."""
        if not self._closed:
            self._closed = True
            await self.source.close()

    async def order(self) -> Order | None:
        """Return the log that the contract orders, None when it orders none of this network."""
        return await self._kept.read(self._find_order)

    def _find_order(self, connection: apsw.Connection) -> Order | None:
        """Find the order, again only when something came: looking at roots costs signatures."""
        state = (tip_hash(connection), mirror.read_whole(connection).tree.size)
        if self._ordered is None or self._ordered[0] != state:
            self._ordered = (state, direct.find_order(connection, self.network, self.source.here, self._known))
        return self._ordered[1]

    def providers(self) -> Sequence[Mapping[str, object]]:
        """Return how each provider is, for `status`."""
        return self.source.providers()

    def _check_open(self) -> None:
        if self._closed:
            raise NotReadyError("the ledger is closed", advice="Open it again.")

    async def _pause(self, failures: int) -> None:
        """Wait until something stirs or the next poll is due; longer after failures."""
        wait = min(MOST_WAIT_SECONDS, self._poll_seconds * 2 ** min(failures, 10))
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):  # `wait_for` of Python 3.11 may lose a cancellation
                await self._stirred.wait()
        self._stirred.clear()


class MirrorBackend(_ChainBackend):
    """A master's log as its mirror holds it, with the master's notes: it is followed like the master itself. Only the master writes it."""

    traits = Traits(compare_and_set=False, checkpoints=True, instant_finality=True, writable=False)

    def __init__(
        self,
        source: Source,
        network: str,
        *,
        roots: Sequence[PlacedRoot] = (),
        poll_seconds: float = POLL_SECONDS,
        ended: bool = False,
    ) -> None:
        """As `_ChainBackend`; `ended` when the log is known to go on in another order."""
        super().__init__(source, network, roots=roots, poll_seconds=poll_seconds)
        self._ended = ended

    async def head(self) -> Head:
        """See Backend. A note that contradicts what is held is shown in place of the newest one: the reader judges it.

        Raises BadSourceError when the entries of a good note are there and do not make its tree, NotReadyError before the first note.
        """
        await self.catch_up()
        if not self._ended and await self.order() is not None:
            raise OrderMovedError("the network is ordered by this chain now", advice="Open the ledger again.")
        whole = await self.whole()
        if whole.odd is not None:
            return Head(whole.tree.size, whole.tree.size, checkpoint=whole.odd)
        if whole.problem is not None:
            raise BadSourceError(f"the mirror does not hold the log: {whole.problem}")
        if whole.note is None:
            raise NotReadyError("the mirror holds no checkpoint of this network yet", advice="See `get mirrors` at the master.")
        return Head(whole.tree.size, whole.tree.size, checkpoint=whole.note)

    async def read(self, start: int, end: int) -> list[bytes]:
        """See Backend."""
        self._check_open()
        last, unpacked = min(end, start + LIMITS.page), self._kept.unpacked
        found = await self._kept.read(lambda connection: mirror.read_entries(connection, unpacked, start, last))
        if found or start >= last:
            return found
        await self.catch_up()
        await self.whole()
        return await self._kept.read(lambda connection: mirror.read_entries(connection, unpacked, start, last))

    async def roots(self, version: int) -> bytes | None:
        """Return the signed root of that version, None when there is none."""
        placed = await self._kept.read(lambda connection: mirror.placed_roots(connection, self.network))
        found = next((one.index for one in placed if one.root.version == version), None)
        return None if found is None else (await self.read(found, found + 1))[0]

    async def append(
        self,
        envelopes: Sequence[bytes],  # noqa: ARG002 - the port's
        *,
        expected_size: int | None = None,  # noqa: ARG002 - the port's
    ) -> list[Placed | Refused]:
        """See Backend: a mirror is written by its master."""
        self._check_open()
        raise UnsupportedError("a mirror is written by its master alone", advice="Publish to the master.")

    async def watch(self, start: int) -> AsyncIterator[LogEvent]:
        """See Backend."""
        at, told, failures = start, None, 0
        while True:
            try:
                head = await self.head()
            except AlarmError:
                raise
            except LedgerError:
                self._check_open()
                failures += 1
            else:
                failures = 0
                while at < head.size and (entries := tuple(await self.read(at, head.size))):
                    yield Entries(at, entries)
                    at += len(entries)
                if head != told:
                    told = head
                    yield NewHead(head)
            await self._pause(failures)

    async def find(self, digest: str) -> Placed | None:
        """See Backend."""
        await self.head()
        for spot in await find_spots(self._kept, digest):
            index = await self._kept.read(lambda connection, spot=spot: mirror.find_index(connection, spot.batch, spot.number))  # type: ignore[misc] # mypy cannot infer a default argument
            if index is not None:
                return Placed(index, digest, receipt=await self._receipt(index))
        return None

    async def claims(self) -> AsyncIterator[Claimed]:
        """Yield every batch that stands in the contract with a note, in its order, whoever appended it and whatever it proves."""
        await self.catch_up()
        last, unpacked = 0, self._kept.unpacked
        while found := await self._kept.read(lambda connection, last=last: mirror.claims(connection, unpacked, last)):  # type: ignore[misc] # mypy cannot infer a default argument
            for last, claim in found:  # noqa: B007 - the last one read is where the next page begins
                yield claim

    async def covered(self, log: Callable[[int, int], Awaitable[Sequence[bytes]]]) -> int:
        """Return up to which index the contract holds the entries that `log` reads, in batches that stand (the first gap).

        What was taken from batches that a fork took away counts only where others hold it too: the chain must be told again.
        """
        for start, stop in await self._kept.read(mirror.uncertain):
            end = await self._reach(start, stop, log)
            if end < stop:
                return end
        return await self._reach((await self.whole()).tree.size, None, log)

    async def _reach(self, start: int, stop: int | None, log: Callable[[int, int], Awaitable[Sequence[bytes]]]) -> int:
        at, unpacked = start, self._kept.unpacked
        while stop is None or at < stop:
            found = await self._kept.read(lambda connection, at=at: mirror.standing(connection, unpacked, at))  # type: ignore[misc] # mypy cannot infer a default argument
            longest = max((len(one) for one in found), default=0)
            wanted = list(await log(at, at + longest)) if longest else []
            steps = [len(one) for one in found if one == wanted[: len(one)]]
            if not steps:
                return at
            at += max(steps)
        return at

    async def _receipt(self, index: int) -> bytes:
        return await self._kept.read(
            lambda connection: mirror.make_receipt(connection, self._kept.unpacked, index, mirror.read_whole(connection))
        )

    async def whole(self) -> Whole:
        """Return what good notes make of what was read so far."""
        unpacked, network = self._kept.unpacked, self.network
        known, last = await self._kept.read(lambda connection: (mirror.read_whole(connection), mirror.last_row(connection)))
        if known.seen == last:
            return known
        return await self._kept.write(lambda connection: mirror.Assembly(connection, unpacked, network).run())


class DirectBackend(_ChainBackend):
    """A log that the chain orders. Entries of blocks that are not final may go again; `watch` tells."""

    traits = Traits(compare_and_set=True, checkpoints=False, instant_finality=False)

    def __init__(
        self,
        source: Source,
        network: str,
        writer: Callable[[], Awaitable[Writing]],
        *,
        roots: Sequence[PlacedRoot] = (),
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        """As `_ChainBackend`; `writer` opens the submitter at the first append."""
        super().__init__(source, network, roots=roots, poll_seconds=poll_seconds)
        self._open_writer = writer
        self._submitter: Writing | None = None
        self._opening = asyncio.Lock()

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
            raise SplitViewError(alarm_text(state.alarm))
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
        """See _ChainBackend; the submitter looks after its own when something was undone."""
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
