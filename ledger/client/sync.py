"""One verified step of following a log: ask for its checkpoint, let the trust rules decide, fetch what they want.

The order of things is that of `core.trust`; this is the shell that fetches. What a source cannot make good
is kept as evidence in files, one a case, and raised; the replica and its answers stay as they were.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn, Protocol, runtime_checkable

from ledger.client.answers import SyncReport
from ledger.client.evidence import bad_note, case_name, keep_evidence
from ledger.core.errors import (
    BadSourceError,
    FormatError,
    InternalError,
    LedgerError,
    NotFoundError,
    ProofError,
    RollbackError,
    SplitViewError,
    TooLargeError,
)
from ledger.core.limits import LIMITS
from ledger.core.trust import (
    FINDING,
    BadNote,
    BadSource,
    Behind,
    Current,
    Evidence,
    Fetch,
    FetchAll,
    Finding,
    Judged,
    NeedRoot,
    Pending,
    Rollback,
    SplitView,
    Taken,
    TreeCheck,
    TrustState,
    finding_of,
    judge_entries,
    judge_note,
    judge_root,
    judge_tree,
)
from ledger.core.trust.good import parse_claim
from ledger.engine.headfile import HeadFile, LeftHead
from ledger.engine.signing import placed_roots

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from ledger.core.backend import Head
    from ledger.core.ports import Clock
    from ledger.core.trust import Verdict
    from ledger.engine.replica import Replica
    from ledger.engine.snapshot import Snapshot, StoredHead

MOST_ROOTS = 1_000
SHOWN_ROOTS = 16
UNUSABLE = (FormatError, NotFoundError, TooLargeError)  # what a source gives in place of entries
HEAD_FILE = "head.json"
Progress = Callable[[int, int], None]


@runtime_checkable
class LogSource(Protocol):
    """Where a log can be followed: a master, a relay, a mirror."""

    @property
    def received(self) -> int:
        """Return how many bytes of bodies came."""
        ...

    @property
    def requests(self) -> int:
        """Return how many requests were made."""
        ...

    async def head(self) -> Head:
        """Return the newest head with its note."""
        ...

    async def read(self, start: int, end: int) -> list[bytes]:
        """Return entries from `start`, at least one, at most to `end`."""
        ...

    async def roots(self, version: int) -> bytes | None:
        """Return the signed root of that version, None when there is none."""
        ...


@runtime_checkable
class Guarded(Protocol):
    """A source with a fork guard: it can be shown a checkpoint of its own log that it may not know."""

    async def present(self, note: bytes, roots: Sequence[bytes] = ()) -> bool:
        """Show a checkpoint, with the root entries that prove its keys; tell whether it was known."""
        ...


@dataclass(frozen=True, slots=True)
class Move:
    """What the replica took: entries from `start` to `size`, the root hash, and the entries themselves when they are few."""

    start: int
    size: int
    root: bytes
    note: bytes | None
    entries: tuple[bytes, ...] = ()


class Syncer:
    """Brings one replica up to what a source shows. One note is judged to its end before the next. `load` first."""

    def __init__(self, replica: Replica, *, clock: Clock, evidence: Path, moved: Callable[[Move], None] | None = None) -> None:
        """Follow with `replica`. `moved` hears, in the event loop, of every commit and of every renewed note."""
        self.replica = replica
        self.state = TrustState(replica.network)
        self._clock = clock
        self._evidence = evidence
        self._moved = moved
        self._head_file = HeadFile(replica.store.path.with_name(HEAD_FILE))
        self._turn = asyncio.Lock()
        self._presented: dict[str, tuple[int, bytes]] = {}

    async def load(self) -> None:
        """Pin the replica to its network and read what it remembers."""
        await self.replica.pin()
        self.state = await self.replica.trust()

    async def head(self) -> StoredHead:
        """Return the end of the replica."""
        return await self.replica.store.read(lambda snapshot: snapshot.head())

    async def step(self, source: LogSource, name: str, *, progress: Progress | None = None) -> SyncReport:
        """Ask `source` once and take what it has. Returns what it cost.

        Raises SplitViewError, RollbackError or BadSourceError, UnsupportedError for a fold that this program does not know,
        and what the source raises.
        """
        requests, received, before = source.requests, source.received, (await self.head()).size
        head = await _newest(source)
        verdict = await self.consider(head.checkpoint or b"", Showing(source, name, progress=progress))
        after = await self.head()
        return SyncReport(
            size=after.size,
            root=after.root.hex(),
            entries=max(0, after.size - before),
            requests=source.requests - requests,
            received=source.received - received,
            notes=_remarks(verdict),
        )

    async def consider(self, note: bytes, showing: Showing) -> Verdict:
        """Judge one note of a source to its end."""
        async with self._turn:
            now = int(self._clock.now())
            state = self.state
            judged = await self.replica.look(lambda view: judge_note(state, view, note, showing.name, now))
            judged = await self._follow(judged, showing, now)
            if isinstance(judged.verdict, Behind | SplitView | Rollback):
                await self._present(showing)
        if isinstance(judged.verdict, BadNote):
            reason = f"this is not a checkpoint of the log that is followed: {judged.verdict.reason}"
            await self._refuse(replace(bad_note(showing.name, reason, now, note), finding=judged.verdict.finding))
        return await self._raise_or_return(judged.verdict)

    async def _follow(self, judged: Judged, showing: Showing, now: int) -> Judged:
        """Do what the verdict asks for until it asks for nothing more; store the state that each leaves."""
        roots = 0
        while isinstance(judged.verdict, NeedRoot | Fetch | FetchAll):
            step = judged.verdict
            if isinstance(step, NeedRoot):
                roots += 1
                raw = await showing.source.roots(step.version) if roots <= MOST_ROOTS else None
                judged = await self._with_root(judged.state, step, raw, now)
            elif isinstance(step, Fetch):
                await self._remember(judged.state)
                judged = await self._take(step, showing, now)
            else:
                judged = await self._whole_tree(judged.state, step, showing, now)
        await self._remember(judged.state)
        return judged

    async def _with_root(self, state: TrustState, step: NeedRoot, raw: bytes | None, now: int) -> Judged:
        return await self.replica.look(lambda view: judge_root(state, view, step, raw, now))

    async def _take(self, step: Fetch, showing: Showing, now: int) -> Judged:
        """Bring the entries in; only those of a `Taken` verdict are committed."""
        fresh: list[bytes] = []
        state = self.state
        async with self.replica.intake(step.end - step.start) as intake:
            await intake.go_back(step.start)
            try:
                async with aclosing(showing.between(step.start, step.end)) as pages:
                    async for page in pages:
                        await intake.apply(page)
                        fresh = [*fresh, *page] if len(fresh) + len(page) <= LIMITS.page else []
            except UNUSABLE as error:
                return Judged(state, BadSource(unusable(step, error, now)))
            judged = await intake.judge(lambda view: judge_entries(state, view, step, now))
            if isinstance(judged.verdict, Taken):
                intake.take(judged.state)
        if isinstance(judged.verdict, Taken):
            self.state = judged.state
            head = await self.head()
            # Too many for one delta: followers read them from the store.
            whole = len(fresh) == step.end - step.start and head.size == step.end
            self._tell(Move(step.start, head.size, head.root, judged.state.note, tuple(fresh) if whole else ()))
            # After the telling: whoever lost a right in these entries loses it now. The file may lag.
            await asyncio.to_thread(self._head_file.write, LeftHead(head.size, head.root))
        return judged

    async def _whole_tree(self, state: TrustState, step: FetchAll, showing: Showing, now: int) -> Judged:
        check = TreeCheck(step, state)
        at = 0
        with suppress(*UNUSABLE):  # it cannot show its tree: `check` is not whole, and the verdict says so
            async with aclosing(showing.between(0, step.end)) as pages:
                async for page in pages:
                    check.add(page, await self.replica.leaves(at, at + len(page)))
                    at += len(page)
        if check.fork is not None and state.note is not None:
            with suppress(ProofError):  # a note that this replica cannot reach
                check.own_receipt = await self.replica.receipt(check.fork, state.note)
        return await self.replica.look(lambda view: judge_tree(state, view, check, now))

    async def _present(self, showing: Showing) -> None:
        """Show a source that knows less, or another tree, the note that this replica holds, once: a master on an old backup stops signing.

        A cache or a relay that lags takes none, and nothing that a source answers to it is an error here.
        """
        note = self.state.note
        if note is None or not isinstance(showing.source, Guarded):
            return
        claim = parse_claim(note)
        if self._presented.get(showing.name) != (claim.size, claim.root):
            with suppress(LedgerError):
                await showing.source.present(note, await self.replica.store.read(_newest_roots))
                self._presented[showing.name] = (claim.size, claim.root)

    async def _remember(self, state: TrustState) -> None:
        """Store the state that a verdict leaves, when it changed; a renewed note is told."""
        before, self.state = self.state, state
        if state == before:
            return
        await self.replica.save_trust(state)
        if state.note != before.note:
            head = await self.head()
            self._tell(Move(head.size, head.size, head.root, state.note))

    def _tell(self, move: Move) -> None:
        if self._moved is not None:
            self._moved(move)

    async def _raise_or_return(self, verdict: Verdict) -> Verdict:
        if isinstance(verdict, SplitView | Rollback):
            path = await asyncio.to_thread(keep_evidence, self._evidence, verdict.alarm.name, verdict.alarm.evidence)
            cls = SplitViewError if isinstance(verdict, SplitView) else RollbackError
            case = verdict.alarm.evidence
            raise cls(case.reason, finding=case.finding, evidence=str(path), alarm=verdict.alarm.name)
        if isinstance(verdict, BadSource):
            await self._refuse(verdict.evidence)
        return verdict

    async def _refuse(self, evidence: Evidence) -> NoReturn:
        path = await asyncio.to_thread(keep_evidence, self._evidence, case_name(evidence), evidence)
        raise BadSourceError(f"{evidence.source}: {evidence.reason}", finding=evidence.finding, evidence=str(path))


class Showing:
    """What a source shows, under a name: entries that it pushed already, the rest fetched page by page."""

    def __init__(
        self, source: LogSource, name: str, *, pushed: tuple[int, Sequence[bytes]] = (0, ()), progress: Progress | None = None
    ) -> None:
        self.source = source
        self.name = name
        self._start, self._entries = pushed
        self._progress = progress

    async def between(self, start: int, end: int) -> AsyncGenerator[Sequence[bytes], None]:
        """Yield entries `start … end-1`; each page is asked for while the one before is worked on.

        FormatError when the source gives others than were asked for. Close the generator.
        """
        at, coming = start, self._ask(start, end)
        try:
            while coming is not None:
                page = await coming
                if not 0 < len(page) <= end - at:
                    raise FormatError(f"the source gives {len(page)} entries for {end - at}")
                at += len(page)
                coming = self._ask(at, end)
                yield page
                if self._progress is not None:
                    self._progress(at - start, end - start)
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    def _ask(self, at: int, end: int) -> asyncio.Task[Sequence[bytes]] | None:
        return asyncio.create_task(self._page(at, end)) if at < end else None

    async def _page(self, at: int, end: int) -> Sequence[bytes]:
        place = at - self._start
        page = self._entries[place : place + end - at] if 0 <= place < len(self._entries) else ()
        return page or await self.source.read(at, min(end, at + LIMITS.page))


def _newest_roots(snapshot: Snapshot) -> list[bytes]:
    return [snapshot.entry(one.index) for one in placed_roots(snapshot.connection)[1:][-SHOWN_ROOTS:]]


async def _newest(source: LogSource) -> Head:
    """Return what the source shows as its head; a failure of its form says what was found."""
    try:
        return await source.head()
    except (FormatError, TooLargeError) as error:
        error.context = {**error.context, FINDING: finding_of(error, Finding.NO_CHECKPOINT)}
        raise


def unusable(step: Fetch, error: LedgerError, now: int) -> Evidence:
    """Return the evidence for entries that a note promises and its source does not give."""
    ticket = step.ticket
    roots = tuple(one.entry for one in ticket.fetched)
    reason = f"its entries {step.start} to {step.end - 1} cannot be had: {error.message}"
    finding = finding_of(error, Finding.TRUNCATED_ENTRIES)
    return Evidence(reason, ticket.source, now, (ticket.note,), roots, finding=finding)


def _remarks(verdict: Verdict) -> tuple[str, ...]:
    match verdict:
        case Taken(went_back_from=int(old), size=size):
            return (f"went back from {old} to {size} by a root that continues the log there",)
        case Behind(size=size):
            return (f"the source is behind: it shows size {size}",)
        case Pending(size=size):
            return (f"the sync is stopped by an alarm; size {size} waits",)
        case Taken() | Current():
            return ()
        case _:
            raise InternalError("a verdict that ends nothing")
