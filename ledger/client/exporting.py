"""Writing a file that AnyLog and EdgeLake read: the live policies, one a line, in the order in which the ledger has them.

A policy whose id follows from its first content and that was changed since goes as that content and an `anmp` policy, the way
their networks change policies: so an import can give it the same id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.client.authoring import show
from ledger.core.canonical import same
from ledger.core.limits import LIMITS
from ledger.core.statement import derive_id, is_derived
from ledger.edgelake import CHANGES, policy_line, their_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ledger.core.canonical import JSONObject
    from ledger.core.state import Record
    from ledger.engine.snapshot import Snapshot
    from ledger.engine.store import Store


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: the policies in force at `size`, but for those that are authority of this network alone."""

    size: int
    policies: int
    authority: int


async def write_edgelake(store: Store, sink: Callable[[bytes], object], advance: Callable[[int], None] | None = None) -> Exported:
    """Write what is live to `sink`, line by line. `advance` hears how many entries each page had."""

    def work(snapshot: Snapshot) -> Exported:
        policies = authority = 0
        for record in _live(snapshot, advance):
            kind = their_kind(record.kind)
            if kind is None:
                authority += 1
                continue
            policies += 1
            for line in _lines(snapshot, kind, record):
                sink(line)
        return Exported(snapshot.head().size, policies, authority)

    return await store.read(work)


def _live(snapshot: Snapshot, advance: Callable[[int], None] | None) -> Iterator[Record]:
    state, start = snapshot.state(), 0
    while page := snapshot.changes(start, most=LIMITS.page):
        for version in page:
            if version.live:
                last = state.record(version.id)
                if last is not None and last.digest == version.digest:
                    yield version
        if advance is not None:
            advance(page[-1].index + 1 - start)
        start = page[-1].index + 1


def _lines(snapshot: Snapshot, kind: str, record: Record) -> Iterator[bytes]:
    content = _shown(record)
    first = snapshot.history(record.id, most=1)[0].record if is_derived(record.id) and record.first != record.index else record
    beginning = _shown(first)
    changed = _changes(first, beginning, content)
    if changed is None:
        yield policy_line(kind, content)
        return
    yield policy_line(kind, beginning)
    note: JSONObject = {record.id: changed, "date": record.iat, "ledger": "global"}
    yield policy_line(CHANGES, {**note, "id": derive_id(CHANGES, note)})


def _shown(record: Record) -> JSONObject:
    (content,) = show(record).values()
    return content if isinstance(content, dict) else {}


def _changes(first: Record, before: JSONObject, after: JSONObject) -> JSONObject | None:
    """Return the attributes that make the present of a first content; None when they need not, or cannot: none goes away by them."""
    bodies = (first.content, {name: value for name, value in first.content.items() if name != "date"})
    if same(before, after) or before.keys() - after.keys() or first.id not in {derive_id(first.kind, body) for body in bodies}:
        return None
    return {name: value for name, value in after.items() if name not in before or not same(before[name], value)}
