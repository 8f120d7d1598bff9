"""Following a log that a chain orders (FORMATS 11, "Direct"): no notes; what the chain calls final stays, what stands above may go again.

The copy holds everything that stands in a block, so that authors read what they wrote, and it knows how much of that is final. At each
step what is not final is compared, entry by entry; from the first difference on the copy goes back. What was final and is another now is
an alarm, and nothing is taken.

A network may come here from a master: its log up to the root that set the new order is followed by its notes first, as the chain mirrors
it, and the copy then goes on at the index that this root has. After a root with `continues` it goes back to there, once the chain calls
that root final.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from ledger.client.answers import SyncReport
from ledger.client.sync import LogSource, Move, Syncer
from ledger.core.errors import CorruptError, FormatError, NotReadyError, SplitViewError, UnavailableError
from ledger.core.limits import LIMITS
from ledger.core.merkle import leaf_hashes
from ledger.core.trust import codec
from ledger.core.trust.evidence import WentBack
from ledger.core.trust.providers import DECIDE, ChainState
from ledger.core.trust.roots import parse_continues

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.client.sync import Progress
    from ledger.core.backend import Head
    from ledger.core.trust import PlacedRoot, ReplicaView
    from ledger.engine.replica import Intake
    from ledger.engine.snapshot import Snapshot

STANDING = "chain"


@runtime_checkable
class OrderedSource(Protocol):
    """A log that a chain orders, as it can be followed."""

    @property
    def requests(self) -> int:
        """Return how many requests were made."""
        ...

    @property
    def received(self) -> int:
        """Return how many bytes came."""
        ...

    async def catch_up(self, progress: Progress | None = None) -> None:
        """Read the chain up to its end."""
        ...

    async def head(self) -> Head:
        """Return size and final size."""
        ...

    async def read(self, start: int, end: int) -> list[bytes]:
        """Return entries from `start`, at least one before the end."""
        ...

    async def base(self) -> int | None:
        """Return the index of the root that set this order, None while the chain holds no such root."""
        ...

    async def known(self) -> ChainState:
        """Return what the providers agree on."""
        ...

    async def roots(self, version: int) -> bytes | None:
        """Return the signed root of that version, None when there is none."""
        ...

    def before(self) -> LogSource:
        """Return the mirror of the log before, with its notes."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """How a copy stands to the chain that orders its log: what is final of it, and what the providers say."""

    base: int
    final_size: int
    known: ChainState

    @classmethod
    def read(cls, snapshot: Snapshot) -> Standing | None:
        """Return what a copy remembers; None for one of another order. CorruptError for what nobody wrote."""
        text = snapshot.meta(STANDING)
        if text is None:
            return None
        try:
            return codec.read(cls, str(text))
        except (KeyError, TypeError) as error:
            raise CorruptError("what the copy remembers of its chain is damaged") from error

    def remarks(self, size: int) -> tuple[str, ...]:
        """Return what people should know of answers at `size`."""
        found: list[str] = []
        if self.final_size < size:
            found.append(f"{size - self.final_size} of {size} entries are not final yet")
        if self.known.believed:
            found.append("one provider is believed, nobody compares it")
        if self.known.laggards:
            found.append(f"behind: {', '.join(self.known.laggards)}")
        return tuple(found)


class ChainSyncer(Syncer):
    """A `Syncer` that follows logs ordered by a chain too: which of both, the source says.

    `stands` is how the copy stands to its chain, None for a log with notes.
    """

    stands: Standing | None = None

    async def load(self) -> None:
        """See Syncer."""
        await super().load()
        self.stands = await self.standing()

    async def step(self, source: LogSource | OrderedSource, name: str, *, progress: Progress | None = None) -> SyncReport:
        """See Syncer. For an ordered source also NotReadyError while the chain holds nothing of the network."""
        if not isinstance(source, OrderedSource):
            return await super().step(source, name, progress=progress)
        requests, received, before = source.requests, source.received, (await self.head()).size
        await source.catch_up(progress)
        base = await source.base()
        if base is None:
            raise NotReadyError("the chain holds nothing of this network yet")
        if before < base:
            await self._take_before(source, name, progress)
        await self._take_ordered(source, base, progress)
        after = await self.head()
        standing = await self.standing()
        notes = () if standing is None else standing.remarks(after.size)
        spent = (source.requests - requests, source.received - received)
        return SyncReport(after.size, after.root.hex(), max(0, after.size - before), *spent, notes=notes)

    async def standing(self) -> Standing | None:
        """Return how the copy stands to its chain."""
        return await self.replica.store.read(Standing.read)

    async def distrust(self) -> None:
        """Hold nothing of the chain for final any more: the next step compares everything that it ordered, and takes what it shows."""
        standing = await self.standing()
        if standing is None:
            return
        size = (await self.head()).size
        async with self._turn, self.replica.intake() as intake:
            await intake.go_back(size)
            intake.take(self.state, {STANDING: codec.write(Standing(standing.base, standing.base, ChainState()))})

    async def _take_before(self, source: OrderedSource, name: str, progress: Progress | None) -> None:
        """Follow the log before by its notes; what lacks its newest note is taken as the root says that it continues."""
        with suppress(UnavailableError):
            await super().step(source.before(), name, progress=progress)

    async def _take_ordered(self, source: OrderedSource, base: int, progress: Progress | None) -> None:
        async with self._turn:
            head, known = await source.head(), await source.known()
            size, standing = (await self.head()).size, await self.standing()
            floor = await self.replica.look(lambda view: _floor(view, base, standing))
            if head.size < floor:
                return  # the source lags behind what is final here
            if standing is None and base > 0 and head.final_size <= base:
                raise NotReadyError(
                    f"the root that brings the log to this chain, at {base}, is not final yet", advice="Wait for more blocks."
                )
            start = await self._first_difference(source, floor, min(size, head.size))
            if standing is not None and start < min(size, standing.final_size):
                raise SplitViewError(f"the chain shows another entry {start}, which was final", advice=DECIDE)
            after = Standing(base, head.final_size, known)
            if (start, start) != (size, head.size) or after != standing:
                await self._commit(source, (start, head), after, progress)

    async def _first_difference(self, source: OrderedSource, start: int, end: int) -> int:
        """Return the first index in `start … end` at which the copy holds another entry than the source."""
        at = start
        while at < end:
            page = await source.read(at, min(end, at + LIMITS.page))
            if not page:
                break
            ours = await self.replica.leaves(at, at + len(page))
            for place, (mine, theirs) in enumerate(zip(ours, leaf_hashes(page), strict=False)):
                if mine != theirs:
                    return at + place
            at += len(page)
        return at

    async def _commit(self, source: OrderedSource, span: tuple[int, Head], after: Standing, progress: Progress | None) -> None:
        """Go back to where both are the same and take what follows."""
        start, head = span
        old = await self.head()
        fresh: list[bytes] = []
        async with self.replica.intake() as intake:
            await intake.go_back(start)
            at = start
            while at < head.size:
                page = await source.read(at, min(head.size, at + LIMITS.page))
                if not page:
                    break  # the chain went back meanwhile: the next step sees it
                await intake.apply(page)
                at += len(page)
                fresh = [*fresh, *page] if len(fresh) + len(page) <= LIMITS.page else []
                if progress is not None:
                    progress(at - start, head.size - start)
            roots = await self._check(intake, after.base)
            state = replace(self.state, note=None, pending=())
            if old.size > start == after.base and parse_continues(roots[-1].root.order) is not None:
                back = WentBack(old.size, start, roots[-1].root.version, int(self._clock.now()))
                state = replace(state, went_back=(*state.went_back, back))
            intake.take(state, {STANDING: codec.write(after)})
        self.state, self.stands = state, after
        new = await self.head()
        whole = len(fresh) == new.size - start
        self._tell(Move(start, new.size, new.root, None, tuple(fresh) if whole else ()))

    async def _check(self, intake: Intake, base: int) -> Sequence[PlacedRoot]:
        """Return the roots that the copy would hold. SplitViewError unless the log before is the one that is continued."""
        roots, fits = await intake.judge(lambda view: (view.roots(), _continues(view, base)))
        if not roots:
            raise FormatError("the chain's log does not begin with a root of this network")
        if not fits:
            raise SplitViewError(f"the log held here is not the one that the root at {base} continues")
        return roots


def _floor(view: ReplicaView, base: int, standing: Standing | None) -> int:
    """Return up to where the copy and the source need not be compared: what is final, and the log before."""
    if standing is not None and standing.base == base:
        return min(standing.final_size, view.size)
    own = next((one for one in view.roots() if one.index == base), None)
    # A root without `continues` is the last entry of the log before, as it stands there: the chain's copy only marks the place.
    is_last = own is not None and own.root.version > 1 and parse_continues(own.root.order) is None
    return min(view.size, base + int(is_last))


def _continues(view: ReplicaView, base: int) -> bool:
    stated = next((parse_continues(one.root.order) for one in view.roots() if one.index == base), None)
    return stated is None or view.root_at(stated.size) == stated.root
