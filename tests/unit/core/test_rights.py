"""The rights of a member by thousands of assignments: what comes out, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.rights import rights_of
from ledger.core.state import Accepted, DictState, Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.core.canonical import JSON, JSONObject

MANY = 3_000


def record(kind: str, policy_id: str, body: JSONObject | None) -> Record:
    return Record(kind, policy_id, body is not None, "0" * 64, 1, 1, "root", "root", "2026-11-21T10:00:00Z", body)


def assignment(policy_id: str, members: list[JSON], permissions: list[JSON]) -> Record:
    return record("assignment", policy_id, {"members": members, "permissions": permissions})


class Counted(DictState):
    """Counts what is read, and hands out what is filed one by one."""

    def __init__(self, *records: Record) -> None:
        super().__init__()
        self.reads = 0
        for one in records:
            self.apply(Accepted((one,)))

    def record(self, policy_id: str) -> Record | None:
        self.reads += 1
        return super().record(policy_id)

    def filed(self, lookup: str) -> Iterable[str]:
        for policy_id in super().filed(lookup):
            self.reads += 1
            yield policy_id


MEMBER = record("member", "m", {"permissions": ["own", "gone", "thing"]})
PERMISSIONS = [record("permissions", name, {"name": name, "allow": [], "grant": []}) for name in ("own", "p1", "p2", "others")]


def rights(state: DictState) -> list[str]:
    return sorted(one.id for one in rights_of(state, MEMBER))


def test_rights_are_the_live_permissions_of_body_and_assignments() -> None:
    state = Counted(
        *PERMISSIONS,
        record("permissions", "gone", None),
        record("thing", "thing", {"name": "thing", "allow": [], "grant": []}),
        assignment("a1", ["x", "m"], ["p1", "nothing", "thing"]),
        assignment("a2", ["m"], ["p1"]),
        assignment("a3", ["x"], ["others"]),
        assignment("a4", ["m"], []),
        record("thing", "a5", {"members": ["m"], "permissions": ["others"]}),
    )
    assert rights(state) == ["own", "p1"]
    state.apply(Accepted((record("assignment", "a1", None),)))
    assert rights(state) == ["own", "p1"]
    state.apply(Accepted((assignment("a2", ["m"], ["p2"]),)))
    assert rights(state) == ["own", "p2"]


def test_look_up_that_finds_too_much_is_confirmed_by_the_body() -> None:
    class Loose(Counted):
        def filed(self, lookup: str) -> Iterable[str]:
            return [one.id for one in self.records()] + ["nowhere"] if lookup else []

    state = Loose(*PERMISSIONS, assignment("a1", ["x"], ["p1"]), assignment("a2", ["m"], ["p2"]), record("assignment", "a3", None))
    assert rights(state) == ["own", "p2"]


def test_cost_grows_with_permissions_not_with_assignments() -> None:
    few, many = (Counted(*PERMISSIONS, *(assignment(f"a{number}", ["m"], ["p1", "p2"]) for number in range(count))) for count in (1, MANY))
    costs = []
    for state in (few, many):
        state.reads = 0
        assert rights(state) == ["own", "p1", "p2"]
        costs.append(state.reads)
    assert costs[0] == costs[1] < 20
