"""What the network's schemas say of policies, before anything is signed: defaults filled in, every fault of every policy found.

They bind the author on his own machine by the newest copy that can be had, so that what a master would refuse is never sent.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ledger.core.errors import UnavailableError
from ledger.core.statement import merge_patch
from ledger.kinds import Faulty, Rulebook, fault_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ledger.client.authoring import Draft
    from ledger.core.canonical import JSONObject
    from ledger.engine.snapshot import Snapshot
    from ledger.engine.store import Store


@dataclass(frozen=True, slots=True)
class Ruled:
    """Drafts with their defaults filled in, and what is wrong with them."""

    drafts: list[Draft]
    faulty: list[Faulty]


class Ruling:
    """Rules on one copy; `refresh` brings it up to date, and is called only when a fault may come from its age."""

    def __init__(self, store: Store, refresh: Callable[[], Awaitable[object]]) -> None:
        self._store = store
        self._refresh = refresh

    async def require(self, drafts: Sequence[Draft]) -> list[Draft]:
        """Return the drafts with defaults filled in. Raises SchemaMismatchError or ConflictError that names every fault of all of them."""
        ruled = await self._store.read(lambda snapshot: rule(snapshot, drafts))
        if ruled.faulty:
            with suppress(UnavailableError):
                await self._refresh()
            ruled = await self._store.read(lambda snapshot: rule(snapshot, drafts))
        if ruled.faulty:
            raise fault_error(ruled.faulty)
        return ruled.drafts

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
