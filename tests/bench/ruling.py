"""What uniqueness and references cost a commit, with few policies and with many: they are judged by index, so it is the same."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from ledger.core.envelope import Signature, seal
from ledger.core.fold import Void, judge
from ledger.core.statement import Statement
from ledger.engine.store import Store
from ledger.kinds import Rulebook, standard_schemas
from tests.bench.figures import Figure, Report
from tests.bench.folding import accept
from tests.support.small_network import IAT, SmallNetwork, key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ledger.core.canonical import JSONObject
    from ledger.core.envelope import Envelope
    from ledger.engine.transaction import Transaction

FEW = 100
BATCH = 1_000
ROUNDS = 7


class _UndoneError(Exception):
    """What was measured is undone, so that each round finds the same state."""


def _operator(network: SmallNetwork, number: int) -> Envelope:
    body: JSONObject = {
        "name": f"operator-{number}",
        "company": "acme",
        "ip": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
        "port": 32148,
        "cluster": "c-1",
        "member": number,
    }
    author = key("author").public.keyid
    statement = Statement(network.id, "put", "operator", f"op-{number}", None, author, IAT, body)
    return seal(statement.payload, [Signature(author, bytes(64))])


def _place(envelopes: Sequence[Envelope], transaction: Transaction) -> float:
    """Judge and write entries, their rules asked too; return the CPU time."""
    rules, began = Rulebook(transaction.view), time.process_time()
    for envelope in envelopes:
        verdict = judge(transaction.view, envelope, transaction.size, check=accept)
        if isinstance(verdict, Void):
            raise verdict.error()
        record = verdict.records[0]
        if record.body is not None and rules.faults(record.kind, record.id, record.body):
            raise AssertionError(record.id)
        transaction.accept(transaction.add(envelope.entry, envelope.statement.digest), verdict)
    transaction.view.flush()
    return time.process_time() - began


def _store(folder: Path, count: int) -> tuple[SmallNetwork, Store]:
    """Return a ledger with so many operators of one cluster, under the standard schemas."""
    folder.mkdir()
    network, store = SmallNetwork(), Store.open(folder / "ledger.db", create=True)
    first = [*network.first, *(network.signed("put", "schema", name, body, "root") for name, body in standard_schemas().items())]
    first.append(network.signed("put", "cluster", "c-1", {"name": "c-1", "company": "acme"}))
    store.write_now(partial(_place, first))
    for start in range(0, count, BATCH):
        store.write_now(partial(_place, [_operator(network, number) for number in range(start, min(start + BATCH, count))]))
    return network, store


def _round(store: Store, envelopes: Sequence[Envelope]) -> float:
    spent: list[float] = []

    def work(transaction: Transaction) -> None:
        spent.append(_place(envelopes, transaction))
        raise _UndoneError

    try:
        store.write_now(work)
    except _UndoneError:
        return spent[0]
    raise AssertionError


def measure_ruling(report: Report, count: int, folder: Path) -> None:
    """Add what an operator costs to judge and write, by its unique sets, reference and JSON Schema, beside few others and beside many."""
    ledgers = [(number, *_store(folder / f"ruling-{number}", number)) for number in (FEW, count)]
    best: dict[int, float] = {}
    for _ in range(ROUNDS):
        for number, network, store in ledgers:
            spent = _round(store, [_operator(network, count + one) for one in range(BATCH)])
            best[number] = min(best.get(number, spent), spent)
    for _, _, store in ledgers:
        store.close()
    base = f"rules beside {FEW} policies, each"
    report.add(Figure(base, best[FEW] / BATCH * 1e6, "µs", remark="judged and written, signatures apart"))
    report.add(Figure(f"rules beside {count:,} policies, each", best[count] / BATCH * 1e6, "µs", base, "unique by index, references by id"))
