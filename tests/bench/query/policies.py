"""A store of policies to ask: a namespace of a tenth of them, six levels deep, clusters, and operators.

Made from records, without a log to judge.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ledger.core.canonical import sha256_hex
from ledger.core.state import Accepted, Record
from ledger.engine.indexes import add_index
from ledger.engine.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ledger.core.canonical import JSONObject
    from ledger.engine.transaction import Transaction

IAT = "2026-11-21T10:00:00Z"
CLUSTERS = 100
WIDER = 6  # times as many places on each level as above it
LEVELS = 6
INDEXES = (("operator", ("name",)), ("operator", ("port",)))


def make_store(folder: Path, count: int) -> Store:
    """Return a store of so many policies, with indexes of the name and the port of operators."""
    store = Store.open(folder / "ledger.db", create=True)
    store.write_now(partial(_fill, count=count))
    for kind, names in INDEXES:
        store.write_now(partial(_index, kind=kind, names=names))
    return store


def _index(transaction: Transaction, kind: str, names: tuple[str, ...]) -> None:
    transaction.change_indexes(partial(add_index, kind=kind, names=names, by_hand=True))


def _fill(transaction: Transaction, count: int) -> None:
    for number, (kind, policy, body) in enumerate(_policies(count)):
        index = transaction.add(b"entry %d" % number)
        digest = sha256_hex(b"%d" % number)
        transaction.accept(index, Accepted((Record(kind, policy, True, digest, index, index, "root", "root", IAT, body),)))


def _policies(count: int) -> Iterator[tuple[str, str, JSONObject]]:
    yield from _places(count // 10)
    for number in range(CLUSTERS):
        yield "cluster", f"c{number}", {"name": f"cluster {number}", "company": "acme"}
    for number in range(count - count // 10 - CLUSTERS):
        yield "operator", f"o{number}", _operator(number)


def _places(count: int) -> Iterator[tuple[str, str, JSONObject]]:
    """Yield a tree of so many places: one root, and all that is left on the lowest level."""
    above: list[str] = []
    made, width = 0, 1
    for level in range(LEVELS):
        width = count - made if level == LEVELS - 1 else min(width, count - made)
        here = [f"u{number}" for number in range(made, made + width)]
        for place, policy in enumerate(here):
            body: JSONObject = {"name": policy, "namespace": f"plant/{policy}"}
            yield "uns", policy, {**body, "parent": above[place % len(above)]} if above else body
        above, made, width = here or above, made + width, width * WIDER


def _operator(number: int) -> JSONObject:
    return {
        "name": f"operator {number}",
        "company": f"company {number % 50}",
        "cluster": f"c{number % CLUSTERS}",
        "ip": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
        "port": 30_000 + number,
        "country": "US" if number % 3 else "IL",
        "tags": ["edge", f"rack {number % 40}"],
    }
