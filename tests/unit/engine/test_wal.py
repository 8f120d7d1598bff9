"""The write-ahead log of a store: copied back by itself, used again, and not copied at each commit beside a reader that stays."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from ledger.engine import database
from ledger.engine.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ledger.engine.snapshot import Snapshot
    from ledger.engine.transaction import Transaction


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(tmp_path / "ledger.db", create=True)
    yield store
    store.close()


def put_long(name: str, transaction: Transaction) -> None:
    transaction.put_meta(name, "y" * 9_000)


def test_the_wal_is_copied_back_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WAL_PAGES", 4)
    store = Store.open(tmp_path / "ledger.db", create=True)
    before = store.path.stat().st_size
    store.write_now(partial(put_long, "x"))
    store._database._cleaner.submit(lambda: None).result()
    store.write_now(lambda transaction: transaction.put_meta("x", "y" * 50_000))
    store._database._cleaner.submit(lambda: None).result()
    assert store.path.stat().st_size > before
    store.close()


def test_the_wal_is_used_again_and_does_not_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WAL_PAGES", 8)
    store = Store.open(tmp_path / "ledger.db", create=True)
    sizes = []
    for number in range(60):
        store.write_now(partial(put_long, f"x{number % 3}"))
        store._database._cleaner.submit(lambda: None).result()
        sizes.append(store.path.with_name("ledger.db-wal").stat().st_size)
    assert len(set(sizes[-40:])) == 1
    store.close()


def test_a_reader_that_stays_does_not_make_every_commit_copy_the_wal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "WAL_PAGES", 8)
    copies = []
    clean = database.Database._clean

    def counted(self: database.Database) -> None:
        copies.append(self)
        clean(self)

    monkeypatch.setattr(database.Database, "_clean", counted)
    store = Store.open(tmp_path / "ledger.db", create=True)

    def read(snapshot: Snapshot) -> None:
        snapshot.head()  # from here on the WAL cannot start over
        for _ in range(40):
            store.write_now(partial(put_long, "x"))
            store._database._cleaner.submit(lambda: None).result()

    store.read_now(read)
    assert 2 <= len(copies) <= 20
    store.close()


def test_what_a_large_transaction_made_longer_is_cut_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 256 * 1024
    monkeypatch.setattr(database, "WAL_PAGES", 8)
    monkeypatch.setattr(database, "WAL_BYTES", limit)
    store = Store.open(tmp_path / "ledger.db", create=True)
    wal = tmp_path / "ledger.db-wal"
    store.write_now(lambda transaction: transaction.put_meta("large", bytes(8 * limit)))
    assert wal.stat().st_size > 8 * limit
    for number in range(20):
        store.write_now(partial(put_long, f"x{number % 3}"))
        store._database._cleaner.submit(lambda: None).result()
    assert wal.stat().st_size <= 2 * limit
    store.close()


async def test_a_writer_keeps_much_in_memory_only_while_a_long_transaction_lasts(store: Store) -> None:
    def cache(transaction: Transaction) -> object:
        return transaction.connection.pragma("cache_size")

    short = await store.write(cache)
    async with store.transaction() as held:
        assert await held.run(cache) == -database.CACHE_KIB
    assert short == await store.write(cache) == -database.SHORT_CACHE_KIB
