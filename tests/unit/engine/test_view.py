"""What the writer's view remembers of look-ups: short lists, and never an old truth."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ledger.core.rights import rights_of
from ledger.core.state import Accepted, DictState, Record
from ledger.engine.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.core.canonical import JSON, JSONObject
    from ledger.core.state import StateView
    from ledger.engine.snapshot import Snapshot
    from ledger.engine.transaction import Transaction

MANY = 150


def record(kind: str, policy_id: str, index: int, body: JSONObject | None, first: int | None = None) -> Record:
    created = index if first is None else first
    return Record(kind, policy_id, body is not None, "0" * 64, index, created, "root", "root", "2026-11-21T10:00:00Z", body)


def log() -> list[Record]:
    """Return permissions, a member, many assignments of one permission to it, and then their drops, one by one."""
    some: list[JSON] = ["p1"]
    records = [record("permissions", name, index, {"name": name, "allow": [], "grant": []}) for index, name in enumerate(("own", "p1"))]
    records.append(record("member", "m", 2, {"name": "m", "key": "k", "permissions": ["own", "p2"]}))
    records += [record("assignment", f"a{number}", 3 + number, {"members": ["m"], "permissions": some}) for number in range(MANY)]
    records += [record("assignment", f"a{number}", 3 + MANY + number, None, 3 + number) for number in range(MANY)]
    return [*records, record("permissions", "p2", 3 + 2 * MANY, {"name": "p2", "allow": [], "grant": []})]


def rights(view: StateView) -> list[str]:
    member = view.record("m")
    return [] if member is None else sorted(one.id for one in rights_of(view, member))


def rights_at(size: int, snapshot: Snapshot) -> list[str]:
    return rights(snapshot.state(size))


def test_rights_at_every_size_are_those_of_the_dict_view(tmp_path: Path) -> None:
    reference, wanted, found = DictState(), list[list[str]](), list[list[str]]()

    def work(transaction: Transaction) -> None:
        for entry in log():
            index = transaction.add(str(entry.index).encode())
            transaction.accept(index, Accepted((entry,)))
            reference.apply(Accepted((entry,)))
            wanted.append(rights(reference))
            found.append(rights(transaction.view))

    store = Store.open(tmp_path / "ledger.db", create=True)
    try:
        store.write_now(work)
        assert found == wanted
        assert wanted[2:4] == [["own"], ["own", "p1"]]
        assert wanted[-3:] == [["own", "p1"], ["own"], ["own", "p2"]]
        past = [store.read_now(partial(rights_at, size)) for size in range(1, len(wanted) + 1)]
        assert past == wanted
    finally:
        store.close()
