"""Which live policies a new schema would refuse: one by one, and each beside the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.core.state import DictState, Record
from ledger.kinds.breaking import breaches

if TYPE_CHECKING:
    from ledger.core.canonical import JSON, JSONObject


def record(policy_id: str, body: JSONObject, kind: str = "pump", *, live: bool = True) -> Record:
    return Record(kind, policy_id, live, "", 0, 0, "root", "root", "", body if live else None)


def broken(*records: Record, unique: list[JSON] | None = None, refs: list[JSON] | None = None) -> list[tuple[str, list[str]]]:
    """Return id and pointers of what a schema of pumps would refuse among these records."""
    view = DictState()
    for one in records:
        view._records[one.id] = one
    pumps = [one for one in records if one.kind == "pump" and one.live]
    found = breaches({"kind": "pump", "unique": unique or [], "refs": refs or []}, view, pumps)
    return [(one.id, [fault.pointer for fault in one.faults]) for one in found if one is not None]


SITE: JSON = {"attr": "site", "kind": "site", "drop": "keep"}


def test_a_reference_leads_to_itself_or_to_a_live_policy_of_the_kind() -> None:
    sites = record("oslo", {}, "site"), record("gone", {}, "site", live=False), record("bern", {}, "town")
    pumps = (
        record("itself", {"site": "itself"}),
        record("good", {"site": "oslo"}),
        record("set", {"site": ["oslo", "set"]}),
        record("none", {}),
        record("stray", {"site": "nowhere"}),
        record("late", {"site": "gone"}),
        record("other", {"site": "bern"}),
        record("mixed", {"site": ["oslo", "gone", "bern"]}),
        record("number", {"site": 5}),
    )
    assert broken(*sites, *pumps, refs=[SITE]) == [
        ("stray", ["/site"]),
        ("late", ["/site"]),
        ("other", ["/site"]),
        ("mixed", ["/site", "/site"]),
        ("number", ["/site"]),
    ]


def test_the_second_of_two_alike_breaks_uniqueness() -> None:
    bodies: list[JSONObject] = [{"a": 1, "b": None}, {"a": 1, "b": None}, {"a": 1}, {"a": True, "b": None}, {"a": 1.0, "b": None}]
    assert broken(*(record(f"p{place}", body) for place, body in enumerate(bodies)), unique=[["a", "b"]]) == [
        ("p1", ["/a"]),
        ("p4", ["/a"]),
    ]
