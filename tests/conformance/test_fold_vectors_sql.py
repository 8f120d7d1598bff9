"""The fold vectors through the SQL view: the verdicts and state roots of the dict view, forwards, at every past size, after roll-backs."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ledger.core.fold import Void, judge
from ledger.engine.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.engine.transaction import Transaction

FILES = sorted((Path(__file__).parent / "vectors" / "fold1").glob("*.json"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "ledger.db", create=True)
    yield opened
    opened.close()


def rows_of(path: Path) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(path.read_bytes())["entries"]
    return loaded


def go_back(store: Store, size: int) -> None:
    store.write_now(lambda transaction: transaction.roll_back(size))


def step(transaction: Transaction, entry: bytes) -> str:
    """Judge one entry in the transaction and write what it changes. Return the verdict."""
    index = transaction.size
    verdict = judge(transaction.view, entry, index)
    transaction.add(entry)
    if isinstance(verdict, Void):
        transaction.reject(index, verdict.code, verdict.reason)
        return "void"
    transaction.accept(index, verdict)
    return "accepted"


def run(store: Store, rows: list[dict[str, Any]]) -> None:
    """Fold rows in one transaction; every verdict and state root must be the vector's."""

    def work(transaction: Transaction) -> None:
        for row in rows:
            assert transaction.size == row["index"]
            assert step(transaction, base64.b64decode(row["entry"])) == row["verdict"], row
            assert transaction.view.state_root() == row["state_root"], row

    store.write_now(work)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_fold_vectors_give_the_same_verdicts_and_roots_in_sql(path: Path, store: Store) -> None:
    rows = rows_of(path)
    run(store, rows)
    file = json.loads(path.read_bytes())
    head = store.read_now(lambda snapshot: snapshot.head())
    assert (head.size, head.root.hex()) == (len(rows), file["log_root"])
    assert store.read_now(lambda snapshot: snapshot.state().network) == (file["network"] or None)
    void = [row["index"] for row in rows if row["verdict"] == "void"]
    assert [one.index for one in store.read_now(lambda snapshot: snapshot.voids())] == void


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_time_travel_gives_the_root_of_every_size(path: Path, store: Store) -> None:
    rows = rows_of(path)
    run(store, rows)
    roots = store.read_now(lambda snapshot: [snapshot.state(size).state_root() for size in range(1, len(rows) + 1)])
    assert roots == [row["state_root"] for row in rows]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_roll_back_and_fold_again_give_the_same(path: Path, store: Store) -> None:
    rows = rows_of(path)
    run(store, rows)
    for size in sorted({0, 1, len(rows) // 3, len(rows) // 2, len(rows) - 1}, reverse=True):
        go_back(store, size)
        if size:
            assert store.read_now(lambda snapshot: snapshot.state().state_root()) == rows[size - 1]["state_root"]
        run(store, rows[size : size + 40])
        go_back(store, size)
    run(store, rows)
