"""What would be so if everything that waits in this home's queue were in force: `get --local`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.client.authoring import show
from ledger.core.state import Record
from ledger.core.statement import merge_patch
from ledger.query import judge_of
from ledger.query.sorting import sort_policies

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ledger.core.canonical import JSONObject
    from ledger.core.statement import Statement
    from ledger.engine.queries import Search
    from ledger.engine.view import SqlState
    from ledger.query import Query

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

    def queued(self) -> Mapping[str, Record]:
        """Return what the queue makes, by id: live records and dropped ones."""
        return self._queued

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


class LocalSource:
    """The policies of a ledger with those of the queue over them; a `query.answer.Source`."""

    def __init__(self, ledger: Search, local: LocalState) -> None:
        self._ledger = ledger
        self._local = local

    def select(self, query: Query) -> list[JSONObject]:
        """See Source. What waits comes last, as if it had just changed."""
        judge = judge_of(query.where, now=self._ledger.now)
        queued = self._local.queued()
        found = [one.policy() for one in self._ledger.find(query.kinds, query.where) if one.id not in queued]
        for record in queued.values():
            if record.live and (not query.kinds or record.kind in query.kinds):
                policy = show(record, ledger=LOCAL)
                found += [policy] if judge(record.kind, policy[record.kind]) else []
        return sort_policies(found, query.order, lambda policy: policy)[: query.limit]


def _body_after(before: Record | None, statement: Statement) -> JSONObject | None:
    """Return the body that the statement makes; None after a drop, and when a patch has nothing to change."""
    if statement.op != "patch":
        return statement.body
    if before is None or not before.live:
        return None
    merged = merge_patch(before.content, statement.body)
    return merged if isinstance(merged, dict) else None
