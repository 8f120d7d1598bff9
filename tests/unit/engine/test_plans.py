"""What a commit asks of the state it asks by index: no look-up reads through a table, however many policies there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ledger.core.fold import Void, judge
from ledger.core.state import Accepted
from ledger.engine.store import Store
from ledger.kinds import Rulebook, standard_schemas
from tests.support.small_network import SmallNetwork

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import apsw

    from ledger.core.canonical import JSONObject
    from ledger.core.envelope import Envelope
    from ledger.engine.transaction import Transaction

TABLES = ("version", "lookup", "keyrec", "entry", "node", "digest", "void", "attribute_key")
KIND = "USING INDEX version_kind"  # reads through all policies of a kind
SCANS = tuple(f"SCAN {table}" for table in TABLES)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "ledger.db", create=True)
    yield opened
    opened.close()


class Listener:
    """Hears every statement of a connection, and tells which of them read through a table, or through a kind."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self.heard: dict[str, Any] = {}
        connection.exec_trace = self._hear

    def _hear(self, _cursor: apsw.Cursor, sql: str, bindings: Any) -> bool:
        self.heard.setdefault(sql, bindings)
        return True

    def scans(self) -> list[str]:
        """Stop hearing; return the plans that scan a table of the ledger."""
        self._connection.exec_trace = None
        found: list[str] = []
        for sql, bindings in self.heard.items():
            plan = [str(row[3]) for row in self._connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]
            found += [f"{line}: {sql}" for line in plan if KIND in line or (line.startswith(SCANS) and "INDEX" not in line)]
        return found


def operator(number: int, **more: Any) -> JSONObject:
    return {"name": f"op-{number}", "company": "acme", "ip": "10.0.0.1", "port": number + 1, "cluster": "c-1", "member": number, **more}


def step(transaction: Transaction, envelope: Envelope) -> Accepted | Void:
    verdict = judge(transaction.view, envelope, transaction.size)
    if isinstance(verdict, Accepted):
        record = verdict.records[0]
        if record.body is not None:
            assert Rulebook(transaction.view).faults(record.kind, record.id, record.body) == []
        transaction.accept(transaction.add(envelope.entry), verdict)
    return verdict


def test_rules_are_judged_by_index(store: Store) -> None:
    network = SmallNetwork()
    sign = network.signed
    first = [*network.first, *(sign("put", "schema", name, body, "root") for name, body in standard_schemas().items())]
    first.append(sign("put", "cluster", "c-1", {"name": "c-1", "company": "acme"}))
    store.write_now(lambda transaction: [step(transaction, envelope) for envelope in first])

    def work(transaction: Transaction) -> tuple[list[str], list[str]]:
        listener = Listener(transaction.connection)
        verdicts = [
            step(transaction, sign("put", "operator", "op-1", operator(1))),
            step(transaction, sign("put", "operator", "op-2", operator(2))),
            step(transaction, sign("put", "operator", "op-3", operator(1, ip="10.0.0.2"))),  # a name that is taken
            step(transaction, sign("put", "operator", "op-4", operator(4, cluster="none"))),  # a cluster that is not there
            step(transaction, sign("drop", "cluster", "c-1", None)),  # that operators refer to
            step(transaction, sign("put", "cluster", "c-2", {"name": "c-2", "company": "acme"})),
            step(transaction, sign("put", "cluster", "c-3", {"name": "c-2", "company": "acme", "parent": "c-2"})),
            step(transaction, sign("patch", "operator", "op-1", {"port": 9})),
            step(transaction, sign("drop", "operator", "op-2", None)),
        ]
        transaction.view.flush()
        said = [f"{one.code} {one.other}" if isinstance(one, Void) else "accepted" for one in verdicts]
        return said, listener.scans()

    said, scans = store.write_now(work)
    assert said == [
        *("accepted", "accepted", "conflict op-1", "conflict None", "conflict op-1"),
        *("accepted", "accepted", "accepted", "accepted"),
    ]
    assert scans == []


def test_a_scan_would_be_heard(store: Store) -> None:
    def work(transaction: Transaction) -> list[str]:
        listener = Listener(transaction.connection)
        transaction.connection.execute("SELECT id FROM version WHERE json_extract(body, '$.name')=?", ("x",)).fetchall()
        transaction.view.of_kind("cluster")
        return listener.scans()

    assert len(store.write_now(work)) == 2
