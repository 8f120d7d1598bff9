"""The spike that the SQL view was decided by, kept: 100,000 entries, 30 rolled back, time travel to the middle, equal roots every way.

What is real: statements, canonical bytes, entries, the whole of `judge`, both views, the tree. What is not: the 100,000 signatures.
Signing takes as long as the rest together, so each entry carries 64 constant bytes as its signature and the fold is given a `check`
that takes them. Signatures themselves are tested elsewhere, the fold's use of them by the vectors. Both views judge every entry.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from ledger.core.envelope import Signature, seal
from ledger.core.fold import Void, judge
from ledger.core.state import DictState
from ledger.core.statement import Statement
from ledger.engine.replica import paused_gc
from ledger.engine.store import Store
from tests.support.small_network import IAT, SmallNetwork, key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ledger.core.canonical import JSONObject
    from ledger.core.envelope import Envelope
    from ledger.core.keys import PublicKey
    from ledger.engine.transaction import Transaction

COUNT = 100_000
BACK = 30
BATCH = 5_000
IDS = 60_000


def take_any(_key: PublicKey, _signature: bytes, _message: bytes) -> bool:
    """Stand in for the signature check: see the module."""
    return True


def history(network: SmallNetwork) -> Iterator[Envelope]:
    """Yield entries without end: three first puts of every five, then puts, patches, drops and returns of what is there, and replays."""
    author, signature = key("author").public.keyid, bytes(64)
    last: dict[int, tuple[str, str]] = {}
    number = 0
    while True:
        number += 1
        fresh = number % 5 < 3 and len(last) < IDS
        policy = len(last) if fresh else number * 7919 % len(last)
        before, op = last.get(policy, (None, "drop"))
        body: JSONObject | None = {"name": f"thing {policy}", "site": f"s{policy % 97}", "number": number}
        if op == "drop" or number % 11:
            op = "put"
        else:
            op = "drop" if number % 2 else "patch"
            body = None if op == "drop" else {"number": number, "site": None}
        statement = Statement(network.id, op, "thing", f"t{policy}", before, author, IAT, body)
        if number % 53:
            last[policy] = (statement.digest, op)
        else:
            statement = Statement(network.id, op, "thing", f"t{policy}", "0" * 64, author, IAT, body)
        yield seal(statement.payload, [Signature(author, signature)])


def both(entries: Iterator[Envelope], dicts: DictState, transaction: Transaction) -> None:
    """Judge the next batch with both views, which must agree."""
    with paused_gc():
        for envelope in entries:
            index = transaction.size
            verdict = judge(dicts, envelope, index, check=take_any)
            assert judge(transaction.view, envelope, index, check=take_any) == verdict
            transaction.add(envelope.entry, envelope.statement.digest)
            if isinstance(verdict, Void):
                transaction.reject(index, verdict.code, verdict.reason)
            else:
                dicts.apply(verdict)
                transaction.accept(index, verdict)


def root_of(store: Store, size: int | None = None) -> str:
    return store.read_now(lambda snapshot: snapshot.state(size).state_root())


@pytest.mark.timeout(120)
def test_a_hundred_thousand_entries_there_and_back(tmp_path: Path) -> None:
    network, dicts = SmallNetwork(), DictState()
    schema: JSONObject = {"kind": "thing", "unique": [["name"]], "refs": []}
    source = history(network)
    first = [*network.first, network.signed("put", "schema", "schema-thing", schema, "root")]
    size, roots = 0, dict[int, str]()
    store = Store.open(tmp_path / "ledger.db", create=True)
    while size < COUNT:
        # The last step is of 30 entries: what will be rolled back.
        step = BACK if size == COUNT - BACK else min(BATCH, COUNT - BACK - size)
        part = [*first, *(next(source) for _ in range(step - len(first)))]
        first = []
        store.write_now(partial(both, iter(part), dicts))
        size += step
        if size in {COUNT // 2, COUNT - BACK, COUNT}:
            roots[size] = dicts.state_root()

    assert store.read_now(lambda snapshot: snapshot.head().size) == COUNT
    assert root_of(store) == root_of(store, COUNT) == roots[COUNT]
    assert root_of(store, COUNT - BACK) == roots[COUNT - BACK]
    assert root_of(store, COUNT // 2) == roots[COUNT // 2]

    store.write_now(lambda transaction: transaction.roll_back(COUNT - BACK))
    assert root_of(store) == roots[COUNT - BACK]
    assert root_of(store, COUNT // 2) == roots[COUNT // 2]
    again = [store.read_now(lambda snapshot: snapshot.head())]

    def replay(transaction: Transaction) -> None:
        for envelope in part:
            index = transaction.size
            verdict = judge(transaction.view, envelope, index, check=take_any)
            transaction.add(envelope.entry)
            if not isinstance(verdict, Void):
                transaction.accept(index, verdict)

    store.write_now(replay)
    assert root_of(store) == roots[COUNT]
    assert again[0].size == COUNT - BACK
    store.close()
