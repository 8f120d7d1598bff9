"""What slipped through: live policies that break rules which only authors and admission check.

A chain takes what anybody writes, and two authors at one moment may both be right. Such policies are in force; `status` names them. A
policy that is older than the schema is none of them: it was right when it was published.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.core.errors import FormatError
from ledger.kinds import Breach, KindSchema, Rulebook
from ledger.kinds.rulebook import SCHEMA

if TYPE_CHECKING:
    from ledger.core.ports import Clock
    from ledger.core.state import Record
    from ledger.engine.snapshot import Snapshot
    from ledger.engine.store import Store

MOST = 20_000  # policies that are looked at, the newest; a quarter of a second
NAMED = 20
PAUSE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Slips:
    """How many of the policies looked at break a rule, and the first of them; schemas that cannot be checked, with the reason."""

    count: int
    looked_at: int
    first: tuple[Breach, ...]
    unusable: tuple[tuple[str, str], ...]

    def facts(self) -> dict[str, object]:
        """Return what `-o json` shows."""
        return {
            "count": self.count,
            "looked_at": self.looked_at,
            "first": [one.facts() for one in self.first],
            "unusable_schemas": [{"id": schema, "reason": reason} for schema, reason in self.unusable],
        }


def find_slips(snapshot: Snapshot) -> Slips:
    """Look at the newest live policies that are younger than the schema of their kind."""
    state = snapshot.state()
    schemas = list(state.of_kind(SCHEMA))
    since = {str(schema.content["kind"]): schema.index for schema in schemas}
    book, count, first = Rulebook(state), 0, list[Breach]()
    found = [record for record in state.newest(MOST) if record.index > since.get(record.kind, record.index)]
    for record in found:
        faults = book.faults(record.kind, record.id, record.content)
        if faults:
            count += 1
            first += [Breach(record.kind, record.id, tuple(faults))] if len(first) < NAMED else []
    return Slips(count, len(found), tuple(first), tuple((schema.id, reason) for schema in schemas if (reason := _unusable(schema))))


class Lookout:
    """What slipped through, for a server that may be asked at any moment. For one event loop.

    A size that was looked at is not looked at again, and a log that grows all the time is looked at once in a while: the answer
    names the size that it is of. Whoever asks meanwhile waits for the one look.
    """

    def __init__(self, store: Store, clock: Clock, pause: float = PAUSE_SECONDS) -> None:
        self._store = store
        self._clock = clock
        self._pause = pause
        self._turn = asyncio.Lock()
        self._seen: dict[str, object] = {}
        self._when = 0.0

    async def facts(self) -> dict[str, object]:
        """Return what `GET /v1/status` shows: the facts of `Slips`, and the `size` they are of."""
        async with self._turn:
            size = (await self._store.read(lambda snapshot: snapshot.head())).size
            rested = self._clock.monotonic() - self._when >= self._pause
            if not self._seen or (size != self._seen["size"] and rested):
                self._seen = await self._store.read(lambda snapshot: {"size": snapshot.head().size, **find_slips(snapshot).facts()})
                self._when = self._clock.monotonic()
            return self._seen


def _unusable(schema: Record) -> str | None:
    try:
        KindSchema(schema.content).require_usable()
    except FormatError as error:
        return error.message
    return None
