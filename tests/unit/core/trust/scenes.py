"""Scenes that several tests of the trust rules begin with."""

from __future__ import annotations

from ledger.core.root import LogKey
from ledger.core.trust import (
    BadSource,
    Taken,
    Verdict,
)
from tests.property.trust.simulator import (
    ORIGIN,
    Master,
    Node,
    clock_key,
    log_key,
)


def kinds(node: Node) -> list[type[Verdict]]:
    found = [type(verdict) for verdict in node.verdicts]
    node.verdicts.clear()
    return found


def finding(verdict: Verdict) -> str:
    """Return what a bad source was found to do."""
    assert isinstance(verdict, BadSource), verdict
    return verdict.evidence.finding


def joined(master: Master, time: int = 100) -> Node:
    """Return a node that holds the whole log of `master`."""
    master.sign(time)
    node = Node(master.network)
    assert node.hear(master) == Taken(master.tree.size)
    kinds(node)
    return node


def continued(master: Master, size: int, more: int = 0, **changes: object) -> Master:
    """Return a master that continues the first `size` entries under new keys."""
    hashed = master.tree.root_at(size)
    assert hashed is not None
    origin = f"{ORIGIN}-next"
    fresh = master.fork(size, "fresh", log_keys=("L9",), clock="C9", time=0)
    plain: dict[str, object] = {
        "origin": origin,
        "order": {"type": "log", "continues": {"size": size, "root": hashed.hex()}},
        "log_keys": (LogKey(log_key("L9", origin), None),),
        "clock_keys": (clock_key("C9", origin),),
    }
    fresh.change_root(**(plain | changes)).add(*(f"fresh {number}" for number in range(more)))
    return fresh
