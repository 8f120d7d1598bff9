"""A master's log as its mirror on a chain holds it, behind the Backend port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blockchain_adapters import mirror
from blockchain_adapters.chainbackend import POLL_SECONDS, ChainBackend
from blockchain_adapters.finding import find_spots
from ledger.core.backend import Entries, Head, NewHead, Placed, Refused, Traits
from ledger.core.errors import AlarmError, BadSourceError, LedgerError, NotReadyError, OrderMovedError, UnsupportedError
from ledger.core.limits import LIMITS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from blockchain_adapters.chainbackend import Source
    from blockchain_adapters.mirror import Whole
    from ledger.core.backend import Claimed, LogEvent
    from ledger.core.trust.roots import PlacedRoot


class MirrorBackend(ChainBackend):
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
        """As `ChainBackend`; `ended` when the log is known to go on in another order."""
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
