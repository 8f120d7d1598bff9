"""What the network's schemas say: of policies before anything is signed, of kinds to people, of live policies to who changes a schema.

They bind the author on his own machine by the newest copy that can be had, so that what a master would refuse is never sent.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ledger.client.authoring import parse_draft
from ledger.core.canonical import AUTHORITY_KINDS
from ledger.core.errors import NotFoundError, UnavailableError
from ledger.core.state import schema_of
from ledger.core.statement import merge_patch
from ledger.kinds import Explanation, Faulty, Rulebook, explain, fault_error
from ledger.kinds.breaking import Breach, breaches
from ledger.kinds.rulebook import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ledger.client.authoring import Draft
    from ledger.core.canonical import JSON, JSONObject
    from ledger.engine.snapshot import Snapshot
    from ledger.engine.store import Store

NAMED = 20  # live policies that a report names


@dataclass(frozen=True, slots=True)
class Ruled:
    """Drafts with their defaults filled in, and what is wrong with them."""

    drafts: list[Draft]
    faulty: list[Faulty]


@dataclass(frozen=True, slots=True)
class Breaks:
    """What a new schema would find wrong with live policies of its kind: how many of how many, and the first of them."""

    kind: str
    live: int
    count: int
    first: tuple[Breach, ...]

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        return {"kind": self.kind, "live": self.live, "count": self.count, "first": [one.facts() for one in self.first]}


class Kinds:
    """The schemas in one copy; `refresh` brings it up to date, and is called only when a fault may come from its age."""

    def __init__(self, store: Store, refresh: Callable[[], Awaitable[object]]) -> None:
        self._store = store
        self._refresh = refresh

    async def all(self) -> list[Explanation]:
        """Return what every live schema says, sorted by kind."""

        def work(snapshot: Snapshot) -> list[Explanation]:
            return sorted((explain(one.id, one.content) for one in snapshot.state().of_kind(SCHEMA)), key=lambda one: one.kind)

        return await self._store.read(work)

    async def explain(self, kind: str) -> Explanation:
        """Return what the live schema of a kind says. NotFoundError when it has none."""
        if kind in AUTHORITY_KINDS:
            raise NotFoundError(f"{kind} is a kind of the network itself, not one of a schema", advice="docs/formats.md has its form.")

        def work(snapshot: Snapshot) -> Explanation:
            record = schema_of(snapshot.state(), kind)
            if record is None:
                advice = "Policies of it may hold anything. `ledger-cli explain` lists the kinds that have one."
                raise NotFoundError(f"{kind} has no schema", advice=advice)
            return explain(record.id, record.content)

        return await self._store.read(work)

    async def filled(self, policy: JSON) -> JSON | None:
        """Return a policy with the defaults of its kind's schema filled in, None when there is nothing to fill in."""
        draft = parse_draft(policy)

        def work(snapshot: Snapshot) -> JSON | None:
            schema = Rulebook(snapshot.state()).schema(draft.kind)
            body = draft.body if schema is None else schema.filled(draft.body)
            return None if body is draft.body else {draft.kind: body if draft.id is None else {**body, "id": draft.id}}

        return await self._store.read(work)

    async def breaks(self, drafts: Sequence[Draft]) -> list[Breaks]:
        """Return what the schemas among the drafts would find wrong with live policies, for each that finds something.

        Nothing of it is void or lost: a schema binds what is published after it. But whoever changes such a policy must mend it.
        """
        wanted = [draft.body for draft in drafts if draft.kind == SCHEMA]
        found = [await self._store.read(partial(breaks_of, body)) for body in wanted]
        return [one for one in found if one.count]

    async def require(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Return the drafts with defaults filled in. Raises SchemaMismatchError or ConflictError that names every fault of all of them."""
        ruled = await self.rule(drafts)
        if ruled.faulty:
            raise fault_error(ruled.faulty)
        return ruled.drafts

    async def rule(self, drafts: Sequence[Draft]) -> Ruled:
        """Return the drafts with defaults filled in, and those that have faults, each judged as if those before it were in force."""
        ruled = await self._store.read(lambda snapshot: rule(snapshot, drafts))
        if not ruled.faulty:
            return ruled
        with suppress(UnavailableError):
            await self._refresh()
        return await self._store.read(lambda snapshot: rule(snapshot, drafts))

    async def require_patch(self, policy_id: str, change: JSONObject) -> None:
        """Raise as `require` does for what a merge patch would make of a live policy of a copy that is fresh."""

        def work(snapshot: Snapshot) -> list[Faulty]:
            state = snapshot.state()
            record = state.record(policy_id)
            body = None if record is None or not record.live else merge_patch(record.body, change)
            if record is None or not isinstance(body, dict):
                return []
            faults = Rulebook(state).faults(record.kind, policy_id, body)
            return [Faulty(record.kind, policy_id, tuple(faults))] if faults else []

        faulty = await self._store.read(work)
        if faulty:
            raise fault_error(faulty)


def rule(snapshot: Snapshot, drafts: Sequence[Draft]) -> Ruled:
    """Rule on drafts, each as if those before it were in force."""
    book = Rulebook(snapshot.state())
    ruled = Ruled([], [])
    for place, draft in enumerate(drafts, 1):
        schema = book.schema(draft.kind)
        filled = draft if schema is None else replace(draft, body=schema.filled(draft.body))
        faults = book.faults(filled.kind, filled.policy_id, filled.body)
        if faults:
            ruled.faulty.append(Faulty(filled.kind, filled.policy_id, tuple(faults), place if len(drafts) > 1 else None))
        else:
            book.take(filled.kind, filled.policy_id, filled.body)
        ruled.drafts.append(filled)
    return ruled


def breaks_of(body: JSONObject, snapshot: Snapshot) -> Breaks:
    """Hold a schema against every live policy of its kind."""
    kind, live, count, first = str(body.get("kind")), 0, 0, list[Breach]()
    state = snapshot.state()
    for live, found in enumerate(breaches(body, state, state.of_kind(kind)), 1):  # noqa: B007 - the last number is the count
        if found is not None:
            count += 1
            first += [found] if len(first) < NAMED else []
    return Breaks(kind, live, count, tuple(first))
