"""The reading half of a `LedgerClient`: the verified copy, what is asked of it, and what proves it.

Reads come from the home's verified copy and say which tree size they are of.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self

from ledger.client.changes import Watched, changes
from ledger.client.checking import verify_snapshot
from ledger.client.copy import open_copy
from ledger.client.indexing import change_index, explain_query, list_indexes
from ledger.client.kinds import Kinds
from ledger.client.past import Compared, Rights, compare, rights_at
from ledger.client.queue import Queue
from ledger.client.receipts import ReceiptJudge, stored_receipt
from ledger.client.report import describe, freshness
from ledger.core.errors import NotFoundError, ProofError, StaleError, UnsupportedError, UsageError
from ledger.core.trust.good import parse_claim
from ledger.engine.indexes import IndexChange
from ledger.engine.journal import Journal
from ledger.engine.opening import open_in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType

    from ledger.client.answers import Answer, Change, EntrySeen, SyncReport, Verified, VersionSeen
    from ledger.client.copy import Copy
    from ledger.client.place import Place
    from ledger.client.reader import Reader
    from ledger.client.sync import Progress
    from ledger.core.backend import Backend
    from ledger.core.canonical import JSON, JSONObject
    from ledger.core.statement import Statement


class ReadingClient:
    """A ledger, open for reading. For one event loop."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._stack = AsyncExitStack()
        self._copy: Copy | None = None
        self._queue: Queue | None = None
        self._receipts = ReceiptJudge(vkeys=place.settings.log_vkeys)

    async def __aenter__(self) -> Self:
        self._copy = await self._stack.enter_async_context(open_copy(self.place))
        await self._learn()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._stack.aclose()
        self._copy = self._queue = None

    # -- what it stands on ---------------------------------------------------------------------------------------

    @property
    def copy(self) -> Copy:
        """Return the verified copy this client reads."""
        if self._copy is None:
            raise UnsupportedError("the client is not open", advice="Enter it with `async with`.")
        return self._copy

    @property
    def reader(self) -> Reader:
        """Return what reads the copy."""
        return self.copy.reader

    @property
    def kinds(self) -> Kinds:
        """Return the schemas of the network: what they want, and what is wrong with policies by them."""
        return Kinds(self.copy.store, self._refresh)

    async def backend(self) -> Backend:
        """Return the backend that takes entries, opened when first needed."""
        return await self.copy.backend()

    async def _learn(self) -> None:
        roots = await self.copy.roots()
        if roots:
            self._receipts.learn(roots)

    async def _refresh(self) -> None:
        if not self.copy.is_log:
            await self.sync()

    # -- what waits before it ------------------------------------------------------------------------------------

    async def _opened_queue(self) -> Queue:
        if self.place.foreign:
            raise UsageError("the queue of a home is for its own ledger", advice="Leave --ledger out.")
        if self._queue is None:
            journal = await open_in_thread(partial(Journal.at, self.place.home.journal, self.place.clock))
            self._stack.push_async_callback(asyncio.to_thread, journal.close)
            self._queue = Queue(journal, self.reader)
        return self._queue

    async def _queued(self) -> list[Statement]:
        return await (await self._opened_queue()).statements() if await self._has_journal() else []

    async def _has_journal(self) -> bool:
        return await asyncio.to_thread(self.place.home.journal.exists)

    # -- reading -------------------------------------------------------------------------------------------------

    async def get(
        self,
        kind: str,
        clause: str = "",
        *,
        at: int | str | None = None,
        at_least: int | None = None,
        max_age: float | None = None,
    ) -> Answer:
        """Return live policies of `kind` (or `all`) that meet the clause, or what it brings (docs/query.md).

        A whole query may stand in `kind`. `at` is a tree size or a time; `at_least` a size that the copy must have reached (read
        your writes: the index of what was published, plus one). Raises StaleError when the copy is older than `max_age` seconds
        or does not reach `at_least`.
        """
        await self._fresh_copy(only_empty=True)
        if at_least is not None and await self.copy.size() < at_least:
            await self.sync()
            if await self.copy.size() < at_least:
                raise StaleError(f"the copy has {await self.copy.size()} entries, not yet {at_least}")
        limit = max_age if max_age is not None else self.place.settings.max_age
        stale = await self._stale(limit)
        answer = await self.reader.get(kind, clause, now=self._now(), at=at)
        return replace(answer, stale=stale)

    async def get_local(self, kind: str, clause: str = "", *, max_age: float | None = None) -> Answer:
        """Do as `get` does, as if what waits in this home's queue were in force: it says `ledger: local`."""
        await self._fresh_copy(only_empty=True)
        stale = await self._stale(max_age if max_age is not None else self.place.settings.max_age)
        return replace(await self.reader.get(kind, clause, now=self._now(), queued=await self._queued()), stale=stale)

    def _now(self) -> int:
        return int(self.place.clock.now())

    async def _stale(self, max_age: float | None) -> str | None:
        if self.copy.is_log:  # nothing is newer than the log itself
            return None
        now = self._now()
        fresh = await self.copy.store.read(lambda snapshot: freshness(snapshot, now))
        if max_age is not None and (fresh.age is None or fresh.age > max_age):
            age = "of unknown age" if fresh.age is None else f"{fresh.age} s old"
            raise StaleError(f"what is known here is {age}", age=fresh.age)
        return fresh.reason or None if fresh.stale else None

    async def policy(self, policy_id: str, *, at: int | str | None = None, local: bool = False) -> JSONObject:
        """Return one live policy as shown; with `local`, what waits in this home's queue too. NotFoundError when there is none."""
        await self._fresh_copy(only_empty=True)
        return await self.reader.policy(policy_id, at=at, queued=await self._queued() if local else ())

    async def history(self, policy_id: str) -> list[VersionSeen]:
        """Return every version of a policy, oldest first. NotFoundError for an id that was never accepted."""
        await self._fresh_copy(only_empty=True)
        return await self.reader.history(policy_id)

    async def diff(self, policy_id: str, *, before: str | None = None, after: str | None = None) -> Compared:
        """Return what differs between two versions of a policy; each is named by a size, a time or a digest.

        Without them, what the last version changed. NotFoundError for an id or a version that is not there.
        """
        await self._fresh_copy(only_empty=True)
        return await self.copy.store.read(lambda snapshot: compare(snapshot, policy_id, before, after))

    async def rights(self, member: str, *, at: str | None = None) -> Rights:
        """Return the permissions of the member of that name or id, and why it has them, as of `at` (a size or a time)."""
        await self._fresh_copy(only_empty=True)
        return await self.copy.store.read(lambda snapshot: rights_at(snapshot, member, at))

    async def entries(self, start: int = 0, end: int | None = None) -> list[EntrySeen]:
        """Return entries of the log with their verdicts."""
        await self._fresh_copy(only_empty=True)
        return await self.reader.entries(start, end)

    async def void(self) -> list[EntrySeen]:
        """Return the entries that are in the log without effect."""
        await self._fresh_copy(only_empty=True)
        return await self.reader.void()

    async def watch(self, kind: str = "all", clause: str = "") -> AsyncIterator[Change]:
        """Yield statements as they come into force, from now on, that change which policies meet a query, or one of those.

        Kind and clause as for `get`, without `order by`, `limit`, `bring` and second queries. Ends by `aclose` only.
        """
        watched = Watched.parse(kind, clause, self.place.clock)
        await self._fresh_copy()
        async for change in changes(self.copy, watched):
            yield change

    async def explain(self, kind: str, clause: str = "", *, at: int | str | None = None) -> dict[str, object]:
        """Return how `get` would find its answer: which indexes it would use, or that it looks at every policy (`scan`)."""
        await self._fresh_copy(only_empty=True)
        return await explain_query(self.copy, kind, clause, now=self._now(), at=at)

    async def indexes(self) -> list[dict[str, object]]:
        """Return the indexes of the copy: `kind`, `attribute`, and `by` whom, a `schema` or `local`."""
        return await list_indexes(self.copy)

    async def create_index(self, kind: str, attribute: str) -> None:
        """Index an attribute in this home's copy. Raises ConflictError when it is, UsageError for what is no attribute."""
        await change_index(self.copy, IndexChange.of(kind, attribute))

    async def drop_index(self, kind: str, attribute: str) -> None:
        """Drop an index that was made here. Raises NotFoundError, or ConflictError when a schema asks for it."""
        await change_index(self.copy, IndexChange.of(kind, attribute, drop=True))

    # -- proof ---------------------------------------------------------------------------------------------------

    async def receipt(self, wanted: str) -> bytes:
        """Return the verified receipt of a policy's last version, or of a digest. NotFoundError when it is not logged."""
        await self._fresh_copy(only_empty=True)
        try:
            digest = await self.reader.digest_of(wanted)
        except NotFoundError:
            await self._fresh_copy()  # it may be newer than the copy
            digest = await self.reader.digest_of(wanted)
        raw = await self.copy.store.read(lambda snapshot: stored_receipt(snapshot, digest))
        if raw is None:
            placed = await (await self.backend()).find(digest)
            raw = None if placed is None else placed.receipt
            if placed is not None and placed.position is not None:
                where = f"block {placed.position.block}, transaction {placed.position.transaction}"
                raise UnsupportedError(
                    f"a chain orders this ledger: {digest} stands in {where}, which is no offline proof",
                    advice="Look the transaction up at a node of the chain.",
                )
        if raw is None:
            raise NotFoundError(f"the ledger holds no receipt of {digest}")
        if self._receipts.verify(raw).digest != digest:
            raise ProofError("the receipt is of another statement")
        return raw

    def verify_receipt(self, raw: bytes, *, policy: JSON | None = None) -> Verified:
        """Check a receipt offline, by the roots of the copy or the pinned keys. Raises what is wrong with it."""
        return self._receipts.verify(raw, policy=policy)

    async def verify_ledger(self, *, deep: bool = False, progress: Callable[[int], None] | None = None) -> dict[str, object]:
        """Compute everything that the copy holds again, from its entries. `verified` says whether all agrees.

        `progress` hears, in another thread, of each number of entries that was checked.
        """
        network = await self.copy.network()
        checked = await self.copy.store.read(lambda snapshot: verify_snapshot(snapshot, network, deep=deep, progress=progress))
        return {"network": network, **checked.facts()}

    async def checkpoint(self) -> bytes:
        """Return the newest signed checkpoint of the copy. NotFoundError when it has none."""
        await self._fresh_copy(only_empty=True)
        note = await self.copy.store.read(lambda snapshot: snapshot.checkpoint())
        if note is None:
            raise NotFoundError("there is no checkpoint here yet")
        return note

    async def checkpoint_facts(self) -> dict[str, object]:
        """Return the newest checkpoint taken apart, with the state root at its size."""
        claim = parse_claim(await self.checkpoint())
        state = await self.copy.store.read(lambda snapshot: snapshot.state(claim.size).state_root())
        return {"origin": claim.origin, "size": claim.size, "root": claim.root.hex(), "state_root": state}

    async def status(self) -> dict[str, object]:
        """Return how this home and its ledger are; `state` is ok, stale, unreachable or alarm."""
        return await describe(self.copy)

    async def sync(self, progress: Progress | None = None) -> SyncReport:
        """Fetch what is new and verify it. Raises SplitViewError, RollbackError, BadSourceError or UnreachableError."""
        report = await self.copy.sync(progress)
        await self._learn()
        return report

    async def _fresh_copy(self, *, only_empty: bool = False) -> None:
        """Bring a replica up to date before a version is followed; one that never synced, in any case."""
        if not self.copy.is_log and (not only_empty or await self.copy.size() == 0):
            await self.sync()
