"""What would be so if everything that waits in this home's queue were in force: `get --local`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.state import Record
from ledger.core.statement import merge_patch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ledger.core.canonical import JSONObject
    from ledger.core.statement import Statement
    from ledger.engine.view import SqlState

LOCAL = "local"
GLOBAL = "global"


class LocalState:
    """A state with queued statements laid over it, as far as they make sense there; the ledger may judge them otherwise."""

    def __init__(self, state: SqlState, queued: Iterable[Statement] = (), *, size: int = 0) -> None:
        self._state = state
        self._size = size
        self._queued: dict[str, Record] = {}
        for statement in queued:
            self._lay(statement)

    def record(self, policy_id: str) -> tuple[Record | None, str]:
        """Return the record of an id and where it stands: `global` or `local`."""
        found = self._queued.get(policy_id)
        return (self._state.record(policy_id), GLOBAL) if found is None else (found, LOCAL)

    def kinds(self) -> Sequence[str]:
        """Return every kind that may have live policies."""
        return sorted({*self._state.kinds(), *(record.kind for record in self._queued.values())})

    def of_kind(self, kind: str) -> Iterator[tuple[Record, str]]:
        """Yield the live records of a kind, each with where it stands."""
        for record in self._state.of_kind(kind):
            if record.id not in self._queued:
                yield record, GLOBAL
        for record in self._queued.values():
            if record.kind == kind and record.live:
                yield record, LOCAL

    def _lay(self, statement: Statement) -> None:
        before, _ = self.record(statement.id)
        if before is not None and before.kind != statement.kind:
            return
        body = _body_after(before, statement)
        if body is None and statement.op != "drop":
            return
        first, owner = (self._size, statement.by) if before is None else (before.first, before.owner)
        self._queued[statement.id] = Record(
            kind=statement.kind,
            id=statement.id,
            live=body is not None,
            digest=statement.digest,
            index=self._size,
            first=first,
            owner=owner,
            by=statement.by,
            iat=statement.iat,
            body=body,
        )


def _body_after(before: Record | None, statement: Statement) -> JSONObject | None:
    """Return the body that the statement makes; None after a drop, and when a patch has nothing to change."""
    if statement.op != "patch":
        return statement.body
    if before is None or not before.live:
        return None
    merged = merge_patch(before.content, statement.body)
    return merged if isinstance(merged, dict) else None
