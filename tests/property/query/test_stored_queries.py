"""Queries on a store agree with the reference at every size: with and without indexes, made early or late, by hand or by a schema's mark,
after changes, drops, comebacks and roll-backs."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path as File
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.core.canonical import sha256_hex
from ledger.core.errors import ConflictError, NotFoundError
from ledger.core.state import Accepted, Record
from ledger.engine.indexes import add_index, drop_index, stored_indexes
from ledger.engine.queries import Budget, Search
from ledger.engine.store import Store
from ledger.query import judge_of
from tests.property.query.test_sql import BODIES, CONDITIONS, IAT, NAMES, NOW

if TYPE_CHECKING:
    from ledger.core.canonical import JSONObject
    from ledger.engine.snapshot import Snapshot
    from ledger.engine.transaction import Transaction
    from ledger.query import Condition

IDS = st.sampled_from(["a", "b", "c", "1", "10"])
KINDS = st.sampled_from(["kind", "kind", "other"])
PATHS = st.lists(NAMES, min_size=1, max_size=2).map(tuple) | st.sampled_from([("a",), ("b",), ("date",), ("a", "b")])
STEPS = st.one_of(
    st.tuples(st.just("put"), IDS, KINDS, BODIES),
    st.tuples(st.just("put"), IDS, KINDS, BODIES),
    st.tuples(st.just("put"), IDS, KINDS, BODIES),
    st.tuples(st.just("drop"), IDS, st.just(""), st.just(None)),
    st.tuples(st.just("index"), st.just(""), KINDS, PATHS),
    st.tuples(st.just("unindex"), st.just(""), KINDS, PATHS),
    st.tuples(st.just("mark"), st.just(""), KINDS, st.lists(PATHS, max_size=2)),
    st.tuples(st.just("cut"), st.just(""), st.just(""), st.integers(0, 20)),
)


def marking(paths: list[tuple[str, ...]]) -> JSONObject:
    """Return a JSON Schema that marks these paths."""
    rule: JSONObject = {}
    for path in paths:
        here = rule
        for name in path:
            properties = here.setdefault("properties", {})
            assert isinstance(properties, dict)
            below = properties.setdefault(name, {})
            assert isinstance(below, dict)
            here = below
        here["index"] = True
    return rule


class Told:
    """A store, and beside it what the reference makes of the same story: the live records after each entry."""

    def __init__(self, folder: str) -> None:
        self.store = Store.open(File(folder) / "ledger.db", create=True)
        self.states: list[dict[str, Record]] = [{}]

    def accept(self, record: Record, reindex: tuple[str, ...] = ()) -> None:
        def work(transaction: Transaction) -> None:
            index = transaction.add(f"entry {record.index}".encode())
            transaction.accept(index, Accepted((record,), reindex=reindex))

        self.store.write_now(work)
        self.states.append({**{key: one for key, one in self.states[-1].items() if key != record.id}, record.id: record})

    def put(self, policy: str, kind: str, body: JSONObject | None, reindex: tuple[str, ...] = ()) -> None:
        before = self.states[-1].get(policy)
        index = len(self.states) - 1
        if before is not None:
            kind = before.kind
        if before is None and body is None:
            return
        first = index if before is None else before.first
        digest = sha256_hex(f"{index}".encode())
        self.accept(Record(kind, policy, body is not None, digest, index, first, "root", "root", IAT, body), reindex)

    def step(self, step: tuple[str, str, str, object]) -> None:
        what, policy, kind, value = step
        if what in {"put", "drop"}:
            self.put(policy, kind, value if isinstance(value, dict) else None)
        elif what in {"index", "unindex"}:
            assert isinstance(value, tuple)
            change = add_index if what == "index" else drop_index
            try:
                self.store.write_now(lambda one: one.change_indexes(partial(change, kind=kind, names=value, by_hand=True)))
            except (ConflictError, NotFoundError):
                return
        elif what == "mark":
            assert isinstance(value, list)
            self.put(f"schema.{kind}", "schema", {"kind": kind, "unique": [], "refs": [], "json_schema": marking(value)}, (kind,))
        elif isinstance(value, int) and value < len(self.states):
            self.store.write_now(lambda one: one.roll_back(value))
            del self.states[value + 1 :]

    def check(self, condition: Condition, kinds: tuple[str, ...], size: int) -> None:
        judge = judge_of(condition, now=NOW)
        wanted = [
            record.id
            for record in sorted(self.states[size].values(), key=lambda record: record.index)
            if record.body is not None and (not kinds or record.kind in kinds) and judge(record.kind, shown(record))
        ]

        def work(snapshot: Snapshot) -> list[str]:
            asked = Search(snapshot, NOW, Budget()).as_of(size)
            asked.explain(kinds, condition)
            return [found.id for found in asked.find(kinds, condition)]

        assert self.store.read_now(work) == wanted


def shown(record: Record) -> JSONObject:
    return {"date": record.iat, **record.content, "id": record.id, "ledger": "global"}


@settings(max_examples=60)
@given(
    st.lists(STEPS, min_size=4, max_size=14),
    st.lists(CONDITIONS, min_size=4, max_size=8),
    st.sampled_from([(), ("kind",), ("kind", "other")]),
    st.lists(st.integers(0, 20), max_size=3),
)
def test_a_store_answers_as_the_reference_says(
    story: list[tuple[str, str, str, object]], conditions: list[Condition], kinds: tuple[str, ...], sizes: list[int]
) -> None:
    with TemporaryDirectory() as folder:
        told = Told(folder)
        with closing(told.store):
            for step in story:
                told.step(step)
            head = len(told.states) - 1
            for condition in conditions:
                for size in {head, *(size for size in sizes if size < head)}:
                    told.check(condition, kinds, size)


@given(st.lists(STEPS, min_size=3, max_size=12))
def test_an_index_that_grew_is_the_one_that_is_made_anew(story: list[tuple[str, str, str, object]]) -> None:
    with TemporaryDirectory() as folder:
        told = Told(folder)
        with closing(told.store):
            for step in story:
                told.step(step)

            def work(transaction: Transaction) -> None:
                connection = transaction.connection
                for stored in stored_indexes(connection):
                    keys = "SELECT ended, key, place FROM attribute_key WHERE number=? ORDER BY 1, 2, 3"
                    grown = connection.execute(keys, (stored.index.number,)).fetchall()
                    connection.execute("DELETE FROM attribute_key WHERE number=?", (stored.index.number,))
                    connection.execute("DELETE FROM attribute_index WHERE number=?", (stored.index.number,))
                    add_index(connection, stored.index.kind, stored.index.names, by_hand=True)
                    (number,) = (
                        one.index.number
                        for one in stored_indexes(connection)
                        if one.index.names == stored.index.names and one.index.kind == stored.index.kind
                    )
                    assert grown == connection.execute(keys, (number,)).fetchall()

            told.store.write_now(work)
