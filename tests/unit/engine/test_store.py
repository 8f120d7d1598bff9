"""The store: opening and refusing, transactions that stand or fall whole, roll-back, digests, reading while writing."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import apsw
import pytest

from ledger.core.errors import (
    BusyError,
    ConflictError,
    CorruptError,
    ForkRiskError,
    LedgerError,
    NotFoundError,
    NotReadyError,
    UnavailableError,
    UsageError,
)
from ledger.core.fold import Void, judge
from ledger.core.merkle import EMPTY_ROOT, Frontier, inclusion_proof, leaf_hash, leaf_hashes, verify_inclusion
from ledger.engine import digests
from ledger.engine.digests import Tail
from ledger.engine.store import Store
from tests.support.small_network import SmallNetwork

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ledger.core.envelope import Envelope
    from ledger.engine.transaction import Transaction


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "ledger.db", create=True)
    yield opened
    opened.close()


def add_all(transaction: Transaction, envelopes: Sequence[Envelope]) -> None:
    for envelope in envelopes:
        index = transaction.size
        verdict = judge(transaction.view, envelope, index)
        transaction.add(envelope.entry)
        if isinstance(verdict, Void):
            transaction.reject(index, verdict.code, verdict.reason)
        else:
            transaction.accept(index, verdict)


def fill(store: Store, envelopes: Sequence[Envelope]) -> None:
    store.write_now(lambda transaction: add_all(transaction, envelopes))


# -- opening ---------------------------------------------------------------------------------------------------------


def test_a_new_store_is_empty_private_and_durable(store: Store) -> None:
    head = store.read_now(lambda snapshot: snapshot.head())
    assert (head.size, head.root) == (0, EMPTY_ROOT)
    assert store.path.stat().st_mode & 0o777 == 0o600
    facts = store.write_now(lambda transaction: [transaction.connection.pragma(name) for name in ("journal_mode", "synchronous")])
    assert facts == ["wal", 2]
    assert store.read_now(lambda snapshot: snapshot.checkpoint()) is None


def test_nothing_is_created_unasked_and_nothing_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with pytest.raises(NotFoundError) as caught:
        Store.open(path)
    assert "ledger-cli" in caught.value.hint
    assert not path.exists()
    Store.open(path, create=True).close()
    with pytest.raises(ConflictError):
        Store.open(path, create=True)
    with pytest.raises(LedgerError):
        Store.open(tmp_path / "nowhere" / "ledger.db", create=True)


def test_one_writer_and_any_number_of_readers(store: Store) -> None:
    with pytest.raises(BusyError):
        Store.open(store.path)
    reader = Store.open(store.path, writable=False)
    fill(store, SmallNetwork().first)
    assert reader.read_now(lambda snapshot: snapshot.head()).size == 3
    assert reader.read_now(lambda snapshot: snapshot.find(SmallNetwork().id)) == 0
    with pytest.raises(NotReadyError):
        reader.write_now(lambda transaction: transaction.put_meta("x", 1))
    assert reader.lock is None
    reader.close()


def test_closing_is_idempotent_frees_the_lock_and_ends_service(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(NotReadyError):
        store.read_now(lambda snapshot: snapshot.head())
    with pytest.raises(NotReadyError):
        store.write_now(lambda transaction: transaction.size)
    Store.open(store.path).close()


@pytest.mark.parametrize("content", [b"", b"not a database" * 100])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    with pytest.raises(CorruptError):
        Store.open(path)
    with pytest.raises(CorruptError):
        Store.open(path, writable=False)


def test_another_schema_version_is_named(store: Store) -> None:
    store.write_now(lambda transaction: transaction.connection.pragma("user_version", 99))
    store.close()
    with pytest.raises(NotReadyError, match="99"):
        Store.open(store.path)


def test_a_tree_that_is_not_that_of_the_head_is_corrupt(store: Store) -> None:
    fill(store, SmallNetwork().first)
    store.write_now(lambda transaction: transaction.connection.execute("UPDATE node SET hash=zeroblob(32)"))
    store.close()
    with pytest.raises(CorruptError):
        Store.open(store.path)


# -- transactions ----------------------------------------------------------------------------------------------------


def test_what_raises_is_undone_whole_memory_too(store: Store) -> None:
    network = SmallNetwork()
    fill(store, network.first)
    before = store.read_now(lambda snapshot: (snapshot.head(), snapshot.state().state_root()))

    def fail(transaction: Transaction) -> None:
        add_all(transaction, network.things(3))
        transaction.store_tree()
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - ours, as raised
        store.write_now(fail)
    assert store.read_now(lambda snapshot: (snapshot.head(), snapshot.state().state_root())) == before
    fill(store, network.things(2, start=10))
    assert store.read_now(lambda snapshot: snapshot.head()).size == 5


def test_sqlite_errors_become_domain_errors(store: Store) -> None:
    def fail(error: apsw.Error) -> None:
        raise error

    for error, expected in (
        (apsw.FullError("x"), UnavailableError),
        (apsw.CorruptError("x"), CorruptError),
        (apsw.BusyError("x"), BusyError),
    ):
        with pytest.raises(expected) as caught:
            store.write_now(lambda _, error=error: fail(error))  # type: ignore[misc] # the error of this turn
        assert caught.value.__cause__ is error
        with pytest.raises(expected):
            store.read_now(lambda _, error=error: fail(error))  # type: ignore[misc] # the error of this turn


def test_entries_nodes_proofs_and_pages(store: Store) -> None:
    network = SmallNetwork()
    envelopes = [*network.first, *network.things(70)]
    fill(store, envelopes)
    entries = [one.entry for one in envelopes]
    assert store.read_now(lambda snapshot: snapshot.entries(0, 100)) == entries
    assert store.read_now(lambda snapshot: snapshot.entries(5, 60, most=7)) == entries[5:12]
    assert store.read_now(lambda snapshot: snapshot.entries(5, 60, most_bytes=1)) == entries[5:6]
    head = store.read_now(lambda snapshot: snapshot.head())
    tree = Frontier()
    tree.append_many(leaf_hashes(entries))
    assert head.root == tree.root()
    for index in (0, 36, 72):
        proof = store.read_now(lambda snapshot, index=index: inclusion_proof(index, 73, snapshot))  # type: ignore[misc] # as above
        verify_inclusion(leaf_hash(entries[index]), index, 73, proof, head.root)
    for missing in (lambda snapshot: snapshot.entry(73), lambda snapshot: snapshot.read(0, 73), lambda snapshot: snapshot.read(7, 0)):
        with pytest.raises(NotFoundError):
            store.read_now(missing)


def test_history_changes_and_voids(store: Store) -> None:
    network = SmallNetwork()
    forged = network.signed("put", "thing", "x", {}, by="stranger", prev=None)
    fill(store, [*network.first, network.put("a", n=1), forged, network.put("a", n=2), network.signed("drop", "thing", "a", None)])
    history = store.read_now(lambda snapshot: snapshot.history("a"))
    assert [(one.record.index, one.until, one.record.live) for one in history] == [(3, 5, True), (5, 6, True), (6, None, False)]
    assert [one.index for one in store.read_now(lambda snapshot: snapshot.changes(4))] == [5, 6]
    [void] = store.read_now(lambda snapshot: snapshot.voids())
    assert (void.index, void.code) == (4, "not-allowed")
    assert store.read_now(lambda snapshot: snapshot.void(4)) == void
    assert store.read_now(lambda snapshot: snapshot.void(5)) is None


def test_an_id_with_many_versions_stays_cheap(store: Store) -> None:
    network = SmallNetwork()
    fill(store, [*network.first, *(network.put("a", n=number) for number in range(200))])
    plan = store.read_now(
        lambda snapshot: snapshot.connection.execute(
            "EXPLAIN QUERY PLAN UPDATE version SET to_index=1 WHERE place=(SELECT max(place) FROM version WHERE id='a')"
        ).fetchall()
    )
    assert not any("SCAN" in str(row) for row in plan), plan


def test_history_comes_in_pages(store: Store) -> None:
    network = SmallNetwork()
    fill(store, [*network.first, *(network.put("a", n=number) for number in range(9))])
    indices = store.read_now(lambda snapshot: [one.record.index for one in snapshot.history("a", 5, most=3)])
    assert indices == [5, 6, 7]
    assert store.read_now(lambda snapshot: len(snapshot.history("a", 5))) == 7


def test_a_roll_back_takes_everything_above_with_it(store: Store) -> None:
    network = SmallNetwork()
    fill(store, [*network.first, network.put("a", n=1)])
    before = store.read_now(lambda snapshot: (snapshot.head(), snapshot.state().state_root()))
    forged = network.signed("put", "thing", "x", {}, by="stranger", prev=None)
    late = network.put("a", n=2)
    fill(store, [late, forged])
    store.write_now(lambda transaction: transaction.put_checkpoint(6, b"note"))
    store.write_now(lambda transaction: transaction.roll_back(4))
    assert store.read_now(lambda snapshot: (snapshot.head(), snapshot.state().state_root())) == before
    assert store.read_now(lambda snapshot: snapshot.voids()) == []
    assert store.read_now(lambda snapshot: snapshot.checkpoint()) is None
    assert store.read_now(lambda snapshot: snapshot.find(late.statement.digest)) is None
    for wrong in (-1, 5):
        with pytest.raises(UsageError):
            store.write_now(lambda transaction, wrong=wrong: transaction.roll_back(wrong))  # type: ignore[misc] # as above


def test_a_network_id_is_pinned_once(store: Store) -> None:
    store.write_now(lambda transaction: transaction.pin("a" * 64))
    store.write_now(lambda transaction: transaction.pin("a" * 64))
    with pytest.raises(UsageError):
        store.write_now(lambda transaction: transaction.pin("b" * 64))
    fill(store, SmallNetwork().first)
    assert [one.index for one in store.read_now(lambda snapshot: snapshot.voids())] == [0, 1, 2]
    store.write_now(lambda transaction: transaction.roll_back(0))
    assert store.read_now(lambda snapshot: snapshot.state().network) == "a" * 64


def test_an_unpinned_network_id_goes_with_the_root(store: Store) -> None:
    network = SmallNetwork()
    fill(store, network.first)
    assert store.read_now(lambda snapshot: snapshot.state().network) == network.id
    store.write_now(lambda transaction: transaction.roll_back(0))
    assert store.read_now(lambda snapshot: snapshot.state().network) is None


def test_old_checkpoints_go(store: Store) -> None:
    network = SmallNetwork()
    fill(store, network.first)
    for size in range(1, 600):
        store.write_now(lambda transaction, size=size: transaction.put_checkpoint(size, b"note %d" % size))  # type: ignore[misc] # as above
    assert store.read_now(lambda snapshot: snapshot.checkpoint()) == b"note 599"
    assert store.read_now(lambda snapshot: snapshot.checkpoint(599 - 255)) == b"note 344"
    assert store.read_now(lambda snapshot: snapshot.checkpoint(100)) is None


# -- digests ---------------------------------------------------------------------------------------------------------


def test_digests_are_found_in_memory_in_the_table_and_after_a_restart(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.engine.transaction.RUN", 8)
    network = SmallNetwork()
    envelopes = [*network.first, *network.things(30)]
    for start in range(0, 33, 5):
        fill(store, envelopes[start : start + 5])
        for index, one in enumerate(envelopes[: start + 5]):
            assert store.read_now(lambda snapshot, one=one: snapshot.find(one.statement.digest)) == index  # type: ignore[misc] # as above
    written = store.read_now(lambda snapshot: snapshot.meta(digests.META))
    assert isinstance(written, int)
    assert 0 < written < 33
    store.close()
    again = Store.open(store.path)
    reader = Store.open(store.path, writable=False)
    for opened in (again, reader):
        for index, one in enumerate(envelopes):
            assert opened.read_now(lambda snapshot, one=one: snapshot.find(one.statement.digest)) == index  # type: ignore[misc] # as above
    again.write_now(lambda transaction: transaction.roll_back(10))
    fill(again, envelopes[15:20])
    assert again.read_now(lambda snapshot: snapshot.find(envelopes[15].statement.digest)) == 10
    assert again.read_now(lambda snapshot: snapshot.find(envelopes[12].statement.digest)) is None
    for index, one in enumerate(envelopes[:10]):
        assert again.read_now(lambda snapshot, one=one: snapshot.find(one.statement.digest)) == index  # type: ignore[misc] # as above
    reader.close()
    again.close()


def test_one_big_transaction_writes_its_digests_in_runs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.engine.transaction.RUN", 8)
    network = SmallNetwork()
    envelopes = [*network.first, *network.things(20)]

    def work(transaction: Transaction) -> None:
        for start in range(0, len(envelopes), 3):
            add_all(transaction, envelopes[start : start + 3])
            transaction.store_tree()

    store.write_now(work)
    for index, one in enumerate(envelopes):
        assert store.read_now(lambda snapshot, one=one: snapshot.find(one.statement.digest)) == index  # type: ignore[misc] # as above


def test_the_first_of_two_equal_statements_is_found(store: Store) -> None:
    network = SmallNetwork()
    thing = network.put("a")
    fill(store, [*network.first, thing, thing, thing])
    assert store.read_now(lambda snapshot: snapshot.find(thing.statement.digest)) == 3
    tail = Tail()
    tail.add([("ab" * 32, 5), ("ab" * 32, 9)])
    assert tail.places("ab" * 32) == (5,)
    tail.cut(5)
    assert len(tail) == 0


# -- from tasks ------------------------------------------------------------------------------------------------------


def test_a_reader_finds_what_another_process_writes_and_cuts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.engine.transaction.RUN", 8)
    network = SmallNetwork()
    fill(store, network.first)
    reader = Store.open(store.path, writable=False)
    things = network.things(20)

    def found(one: Envelope) -> int | None:
        return reader.read_now(lambda snapshot: snapshot.find(one.statement.digest))

    for start in range(0, 20, 5):  # some of them are written as runs meanwhile
        fill(store, things[start : start + 5])
        assert [found(one) for one in things] == [*range(3, start + 8), *[None] * (15 - start)]
    store.write_now(lambda transaction: transaction.roll_back(18))
    assert [found(one) for one in things[13:]] == [16, 17, *[None] * 5]
    fill(store, list(reversed(things[15:])))
    assert [found(one) for one in things[13:]] == [16, 17, 22, 21, 20, 19, 18]
    store.write_now(lambda transaction: transaction.roll_back(21))
    fill(store, network.things(4, start=50))
    assert [found(one) for one in things[13:]] == [16, 17, None, None, 20, 19, 18]
    reader.close()


async def test_writes_from_tasks_take_turns_and_reads_see_whole_states(tmp_path: Path) -> None:
    store = await asyncio.to_thread(lambda: Store.open(tmp_path / "ledger.db", create=True))
    network = SmallNetwork()
    await store.write(lambda transaction: add_all(transaction, network.first))
    names: set[str] = set()

    async def write(envelope: Envelope) -> None:
        def work(transaction: Transaction) -> None:
            names.add(threading.current_thread().name)
            add_all(transaction, [envelope])

        await store.write(work)

    async def read() -> None:
        size, count = await store.read(lambda snapshot: (snapshot.head().size, len(snapshot.entries(0, 1_000))))
        assert size == count

    await asyncio.gather(*(write(one) for one in network.things(30)), *(read() for _ in range(30)))
    assert await store.read(lambda snapshot: snapshot.head().size) == 33
    assert len(names) == 1
    await asyncio.to_thread(store.close)


async def test_a_held_transaction_keeps_others_out_until_it_ends(tmp_path: Path) -> None:
    store = await asyncio.to_thread(lambda: Store.open(tmp_path / "ledger.db", create=True))
    network = SmallNetwork()
    await store.write(lambda transaction: add_all(transaction, network.first))
    one, other = network.things(2)
    async with store.transaction() as held:
        await held.run(lambda transaction: add_all(transaction, [one]))
        waiting = asyncio.create_task(store.write(lambda transaction: add_all(transaction, [other])))
        await asyncio.sleep(0.02)
        assert not waiting.done()
        assert await store.read(lambda snapshot: snapshot.head().size) == 3
    await waiting
    assert await store.read(lambda snapshot: snapshot.entries(3, 9)) == [one.entry, other.entry]
    with pytest.raises(ForkRiskError):
        await add_and_raise(store, network.things(1, start=9))
    assert await store.read(lambda snapshot: snapshot.head().size) == 5
    await asyncio.to_thread(store.close)


async def add_and_raise(store: Store, envelopes: Sequence[Envelope]) -> None:
    async with store.transaction() as held:
        await held.run(lambda transaction: add_all(transaction, envelopes))
        raise ForkRiskError("undo")
