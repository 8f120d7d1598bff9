"""AnyLog's rules on more than one policy, or on a list in one, that uniqueness and references cannot say: `RULES`.

They bind authors and admission, never the fold, so two authors at the same moment may break one; `status` names what they broke.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ledger.core.canonical import JSONObject, encode, same
from ledger.core.difference import pointer
from ledger.core.state import texts_of
from ledger.kinds.faults import NOTHING, Fault
from ledger.kinds.words import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ledger.core.state import Record

CLUSTER = "cluster"
MAPPING = "mapping"
RELATED_KINDS = frozenset({CLUSTER, MAPPING})
TAKEN = "a name that no other cluster has"
RULES: Mapping[str, tuple[str, ...]] = {
    CLUSTER: (
        "A name is of one cluster, its children aside.",
        "A child has the name and the company of its parent.",
        "No table stands twice in a cluster.",
    ),
    MAPPING: ("The policies that it imports are there.",),
}
SHARED = ("name", "company")  # of a cluster and its parent


class Neighbours(Protocol):
    """What the rules ask about other policies."""

    def live(self, policy_id: str) -> Record | None:
        """Return the live policy of an id."""
        ...

    def clusters_named(self, name: str) -> Iterable[Record]:
        """Return the live clusters of that name."""
        ...


def relation_faults(around: Neighbours, kind: str, policy_id: str, body: JSONObject) -> list[Fault]:
    """Return what is wrong with a body among the other policies."""
    if kind == CLUSTER:
        return [*_doubled_tables(body), *_family(around, policy_id, body)]
    return _imports(around, body) if kind == MAPPING else []


def _doubled_tables(body: JSONObject) -> list[Fault]:
    seen: set[bytes] = set()
    faults: list[Fault] = []
    tables = body.get("table")
    for place, table in enumerate(tables if isinstance(tables, list) else ()):
        if not isinstance(table, dict):
            continue
        key = encode([table.get("dbms"), table.get("name")])
        if key in seen:
            faults.append(Fault(pointer(("table", place)), "each table once", shown(table)))
        seen.add(key)
    return faults


def _family(around: Neighbours, policy_id: str, body: JSONObject) -> list[Fault]:
    parent = body.get("parent")
    if isinstance(parent, str):
        above = around.live(parent)
        return [] if above is None or parent == policy_id else _alike(body, above, "its parent")
    name = body.get("name")
    faults: list[Fault] = []
    if isinstance(name, str):
        others = (one for one in around.clusters_named(name) if one.id != policy_id and "parent" not in one.content)
        faults += [Fault("/name", TAKEN, f"{shown(name)}, which cluster {one.id} has", one.id) for one in others]
    return faults + _children(around, policy_id, body)


def _children(around: Neighbours, policy_id: str, body: JSONObject) -> list[Fault]:
    """Return where a cluster would part from its children. They have the name that it has now, so they are found by that."""
    before = around.live(policy_id)
    name = None if before is None else before.content.get("name")
    if before is None or not isinstance(name, str) or all(same(body.get(one), before.content.get(one)) for one in SHARED):
        return []
    below = next((one for one in around.clusters_named(name) if one.content.get("parent") == policy_id), None)
    return [] if below is None else _alike(body, below, "its child")


def _alike(body: JSONObject, other: Record, what: str) -> list[Fault]:
    """Return where a cluster differs from one of its family."""
    differing = [name for name in SHARED if not same(body.get(name), other.content.get(name))]
    return [Fault(f"/{name}", f"{shown(other.content.get(name))}, as {what} {other.id} has", _found(body, name)) for name in differing]


def _imports(around: Neighbours, body: JSONObject) -> list[Fault]:
    wanted = body.get("import")
    faults: list[Fault] = []
    for place, policy_id in enumerate(texts_of(wanted)):
        if around.live(policy_id) is None:
            where = pointer(("import", place)) if isinstance(wanted, list) else "/import"
            faults.append(Fault(where, "the id of a live policy", shown(policy_id)))
    return faults


def _found(body: JSONObject, name: str) -> str:
    return shown(body[name]) if name in body else NOTHING
