"""What can be asked of a verified copy of the ledger, in one snapshot each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from ledger.client.answers import Answer, EntrySeen, VersionSeen
from ledger.client.authoring import show
from ledger.client.local import LocalSource, LocalState
from ledger.client.past import changes_of
from ledger.core.canonical import is_hex64
from ledger.core.envelope import parse_envelope
from ledger.core.errors import FormatError, NotFoundError, UsageError
from ledger.core.limits import LIMITS
from ledger.engine.queries import Search, search
from ledger.engine.sizes import size_at
from ledger.query import parse_get
from ledger.query.answer import answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ledger.core.canonical import JSONObject
    from ledger.core.state import Record, StateView
    from ledger.core.statement import Statement
    from ledger.engine.snapshot import Snapshot, StoredVoid, Version
    from ledger.engine.store import Store


class Reader:
    """Reads one store. Answers name the tree size they are of."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def get(
        self, kind: str, clause: str = "", *, now: int = 0, at: int | str | None = None, queued: Sequence[Statement] = ()
    ) -> Answer:
        """Return live policies of `kind` (or `all`) that meet the clause at the time `now` (Unix seconds), as of `at` (a size or a time).

        A whole query may stand in `kind`. With `queued` statements, as if those were in force; what they made says `ledger: local`.
        """
        query = parse_get(kind, clause)

        def work(asked: Search) -> Answer:
            size = size_at(asked.snapshot, at)
            asked.as_of(size)
            local = LocalSource(asked, LocalState(asked.snapshot.state(), queued, size=size)) if queued else asked
            result = answer(query, local, now=now)
            return Answer(size, cast("list[JSONObject]", list(result.rows)), brought=result.brought, cycles=result.cycles)

        return await search(self.store, work, now=now)

    async def policy(self, policy_id: str, *, at: int | str | None = None, queued: Sequence[Statement] = ()) -> JSONObject:
        """Return one live policy. NotFoundError when there is none of that id, or when it was dropped. `queued` as in `get`."""

        def work(snapshot: Snapshot) -> JSONObject:
            size = size_at(snapshot, at)
            record, ledger = LocalState(snapshot.state(None if at is None else size), queued, size=size).record(policy_id)
            if record is None:
                raise NotFoundError(f"no policy {policy_id} at size {size}")
            if not record.live:
                raise NotFoundError(
                    f"{record.kind} {policy_id} was dropped at index {record.index}",
                    advice=f"See what it was with `ledger-cli history {policy_id}`; publishing the id again brings it back.",
                    index=record.index,
                )
            return show(record, ledger=ledger)

        return await self.store.read(work)

    async def records(self, ids: Iterable[str]) -> dict[str, Record]:
        """Return the last record of each id that was ever accepted, live or dropped."""
        wanted = list(ids)

        def work(snapshot: Snapshot) -> dict[str, Record]:
            state = snapshot.state()
            found = ((policy_id, state.record(policy_id)) for policy_id in wanted)
            return {policy_id: record for policy_id, record in found if record is not None}

        return await self.store.read(work)

    async def history(self, policy_id: str) -> list[VersionSeen]:
        """Return every version of a policy, oldest first. NotFoundError for an id that was never accepted."""

        def work(snapshot: Snapshot) -> list[VersionSeen]:
            versions = snapshot.history(policy_id)
            if not versions:
                raise NotFoundError(f"no policy {policy_id} was ever accepted")
            state = snapshot.state()
            seen = [_seen(snapshot, version, author_name(state, version.record.by)) for version in versions]
            return [replace(one, changes=tuple(changes)) for one, changes in zip(seen, changes_of(versions), strict=True)]

        return await self.store.read(work)

    async def entries(self, start: int, end: int | None) -> list[EntrySeen]:
        """Return entries `start … end-1` with their verdicts. UsageError for an end before its start; NotFoundError beyond the end."""
        if end is not None and start > end:
            raise UsageError(f"a range ends after its start; {end} is before {start}")

        def work(snapshot: Snapshot) -> list[EntrySeen]:
            size = snapshot.head().size
            stop = size if end is None else end
            if start > size or stop > size:
                raise NotFoundError(
                    f"the log has {size} entries, the last of index {size - 1}", advice="Ask within that, or sync first.", size=size
                )
            voids = {void.index: void for void in snapshot.voids(start, most=max(1, stop - start))}
            found: list[EntrySeen] = []
            while start + len(found) < stop:
                for entry in snapshot.entries(start + len(found), stop):
                    index = start + len(found)
                    void = voids.get(index)
                    found.append(EntrySeen(index, entry, *(() if void is None else (void.code, void.reason))))
            return found

        return await self.store.read(work)

    async def void(self) -> list[EntrySeen]:
        """Return the entries without effect, and why."""

        def work(snapshot: Snapshot) -> list[EntrySeen]:
            return [EntrySeen(void.index, snapshot.entry(void.index), void.code, void.reason) for void in all_voids(snapshot)]

        return await self.store.read(work)

    async def digest_of(self, wanted: str) -> str:
        """Return the digest that `wanted` means: itself, or that of the last version of the policy of that id."""

        def work(snapshot: Snapshot) -> str:
            record = snapshot.state().record(wanted)
            if record is not None:
                return record.digest
            if is_hex64(wanted):
                return wanted
            raise NotFoundError(f"{wanted} is neither the id of a policy nor a digest")

        return await self.store.read(work)


def all_voids(snapshot: Snapshot) -> Iterator[StoredVoid]:
    """Yield every void entry's verdict, oldest first."""
    start = 0
    while page := snapshot.voids(start, most=LIMITS.page):
        yield from page
        start = page[-1].index + 1


def author_name(state: StateView, by: str) -> str | None:
    """Return the name of the member whose key `by` is, None if it is no member's."""
    key = state.key(by) if is_hex64(by) else None
    record = None if key is None else state.record(key.id)
    if record is None or record.kind != "member":
        return None
    name = record.content.get("name")
    return name if isinstance(name, str) else record.id


def _seen(snapshot: Snapshot, version: Version, author: str | None) -> VersionSeen:
    record = version.record
    try:
        op = parse_envelope(snapshot.entry(record.index)).statement.op
    except FormatError:
        op = "?"
    # The invite that a member joined by is dropped by the member's put (FORMATS 6).
    op = op if record.live else "drop"
    return VersionSeen(record, op, version.until, author)
