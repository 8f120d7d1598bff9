"""Crashes and failing disks at every step of the write path. After each the whole log is verified anew.

A crash is played by copying the home at that very moment: what a process that dies there leaves behind, short of what the disk had not
written, which SQLite's FULL fsync is for. A failing disk is played by an error from SQLite.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import TYPE_CHECKING, Any, Self

import apsw
import pytest

from ledger.core.backend import Placed
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.errors import CorruptError, ForkRiskError, LedgerError, NotReadyError, OutcomeUnknown, UnavailableError
from ledger.core.fold import Void, judge
from ledger.core.merkle import Frontier, leaf_hashes
from ledger.core.note import check_line, line_time, parse_note, parse_vkey
from ledger.core.receipt import parse_receipt, verify_proof
from ledger.core.state import DictState
from ledger.engine.commit import Committer
from ledger.engine.database import Database
from ledger.engine.genesis import create_log
from ledger.engine.headfile import HeadFile, LeftHead
from ledger.engine.lanes import Threads
from ledger.engine.outlet import Outlet
from ledger.engine.sequencer import Sequencer
from ledger.engine.signing import NoteSigner, log_vkey
from ledger.engine.store import LOCK, Store
from ledger.engine.transaction import Transaction
from ledger.engine.view import WritableState
from ledger.home.lock import WriterLock
from tests.support.small_network import ORIGIN, SmallNetwork, TurnedClock, key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ledger.core.envelope import Envelope


# Where a log is written: in a thread of its own, as an embedded ledger does, or in the event loop, as a master's signing process does.
THREAD, LOOP = Threads(), Threads(readers=1, own_writer=False)
in_both_lanes = pytest.mark.parametrize("lane", [pytest.param(THREAD, id="thread"), pytest.param(LOOP, id="loop")])


class Running:
    """A sequencer over the ledger in a home."""

    def __init__(self, home: Path, network: SmallNetwork, lane: Threads = THREAD) -> None:
        self.home = home
        self.network = network
        self.lane = lane

    async def __aenter__(self) -> Self:
        lock = await asyncio.to_thread(WriterLock.take, self.home / LOCK)
        self.store = await asyncio.to_thread(Store.open_held, self.home / "ledger.db", lock, self.lane)
        self.sequencer = Sequencer(self.store, self.network.keys, clock=TurnedClock())
        if not self.lane.own_writer:
            self.sequencer.serve_elsewhere()
        await self.sequencer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.sequencer.close()
        await asyncio.to_thread(self.store.close)

    async def place(self, envelope: Envelope) -> Placed:
        [one] = await self.sequencer.append([envelope])
        assert isinstance(one, Placed)
        assert one.receipt is not None
        receipt = parse_receipt(one.receipt)
        verify_proof(receipt)
        assert receipt.entry == envelope.entry
        return one

    def check(self) -> int:
        """Verify the whole log: entries, tree, state, note. Return its size."""
        return self.store.read_now(lambda snapshot: check_log(snapshot, self.sequencer.feed.head.checkpoint))


def check_log(snapshot: Any, note: bytes | None) -> int:
    head, state, tree = snapshot.head(), DictState(), Frontier()
    entries = snapshot.entries(0, head.size + 10)
    assert len(entries) == head.size
    for index, entry in enumerate(entries):
        verdict = judge(state, entry, index)
        assert not isinstance(verdict, Void)
        state.apply(verdict)
    tree.append_many(leaf_hashes(entries))
    assert tree.root() == head.root
    assert snapshot.state().state_root() == state.state_root()
    if note is not None:
        parsed, vkey = parse_note(note), parse_vkey(log_vkey(ORIGIN, key("log")))
        checkpoint = parse_checkpoint(parsed.text)
        assert (checkpoint.size, checkpoint.root) == (head.size, head.root)
        assert all(check_line(parsed, line, vkey) for line in parsed.lines_of(vkey))
        assert len(parsed.lines) == 2
    return int(head.size)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


async def make(home: Path) -> SmallNetwork:
    network = SmallNetwork()
    await asyncio.to_thread((home / "live").mkdir)
    await create_log(home / "live" / "ledger.db", network.first, network.keys, TurnedClock())
    return network


def copy_home(home: Path, name: str = "crashed") -> None:
    """Keep what a crash now would leave. The shared-memory file is not part of it: it is no file on disk's terms."""
    shutil.copytree(home / "live", home / name, ignore=shutil.ignore_patterns("*-shm", "lock"))


STEPS: list[tuple[type, str, bool, bool]] = [
    # where, which call, copied after it (else before), is the entry there afterwards
    (Committer, "_place", False, False),
    (WritableState, "apply", True, False),
    (Transaction, "store_tree", False, False),
    (Transaction, "check_stored", False, False),
    (NoteSigner, "log_note", True, False),
    (Transaction, "put_checkpoint", True, False),
    (Transaction, "finish", True, False),
    (Database, "commit", False, False),
    (Database, "commit", True, True),
    (Outlet, "leave", False, True),
    (Outlet, "leave", True, True),
    (HeadFile, "write", False, True),
    (HeadFile, "write", True, True),
]


@pytest.mark.parametrize(("owner", "name", "after", "stands"), STEPS)
async def test_a_crash_at_any_step_leaves_a_whole_log(
    home: Path, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, after: bool, stands: bool
) -> None:
    network = await make(home)
    thing = network.put("a")
    original: Callable[..., Any] = getattr(owner, name)

    def keep(wanted: bool) -> None:
        if wanted and not (home / "crashed").exists():
            copy_home(home)

    def crash(*arguments: Any, **named: Any) -> Any:
        keep(not after)
        result = original(*arguments, **named)
        keep(after)
        return result

    async def crash_task(*arguments: Any, **named: Any) -> Any:
        await asyncio.to_thread(keep, not after)
        result = await original(*arguments, **named)
        await asyncio.to_thread(keep, after)
        return result

    async with Running(home / "live", network) as running:
        await running.sequencer._outlet.close()
        monkeypatch.setattr(owner, name, crash_task if asyncio.iscoroutinefunction(original) else crash)
        placed = await running.place(thing)
        monkeypatch.setattr("ledger.engine.outlet.HEAD_FILE_SECONDS", 0.0)
    assert await asyncio.to_thread((home / "crashed").exists)
    monkeypatch.undo()
    async with Running(home / "crashed", network) as survivor:
        size = survivor.check()
        assert size == (placed.index + 1 if stands else 3)
        again = await survivor.place(thing)
        assert again.index == placed.index
        assert survivor.check() == placed.index + 1
        await survivor.place(network.put("b"))
        survivor.check()


@in_both_lanes
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize(
    ("owner", "name"), [(WritableState, "apply"), *((Transaction, one) for one in ("store_tree", "put_checkpoint", "finish"))]
)
async def test_a_disk_that_fails_before_commit_changes_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, owner: type, name: str, done: bool, lane: Threads
) -> None:
    network = await make(home)
    thing, original = network.put("a"), getattr(owner, name)

    def fail(*arguments: Any, **named: Any) -> Any:
        if done:
            original(*arguments, **named)
        raise apsw.FullError("disk full")

    async with Running(home / "live", network, lane) as running:
        monkeypatch.setattr(owner, name, fail)
        with pytest.raises(UnavailableError):
            await running.sequencer.append([thing])
        monkeypatch.setattr(owner, name, original)
        assert running.sequencer.stopped is None
        assert running.check() == 3
        await running.place(thing)
        assert running.check() == 5


@in_both_lanes
@pytest.mark.parametrize("done", [False, True])
async def test_a_commit_that_fails_is_an_unknown_outcome_and_stops(
    home: Path, monkeypatch: pytest.MonkeyPatch, done: bool, lane: Threads
) -> None:
    network = await make(home)
    thing = network.put("a")

    class FailingConnection:
        """Fails at COMMIT, before or after the real one."""

        def __init__(self, real: apsw.Connection) -> None:
            self._real = real

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def execute(self, sql: str, *bindings: Any) -> Any:
            if sql == "COMMIT":
                if done:
                    self._real.execute(sql)
                raise apsw.IOError("fsync failed")
            return self._real.execute(sql, *bindings)

    async with Running(home / "live", network, lane) as running:
        database = running.store._database
        monkeypatch.setattr(database, "_write_connection", FailingConnection(database.connection))
        with pytest.raises(OutcomeUnknown) as caught:
            await running.sequencer.append([thing])
        assert caught.value.operation == thing.statement.digest
        assert running.sequencer.stopped is not None
        with pytest.raises(NotReadyError):
            await running.sequencer.append([network.put("b")])
        with pytest.raises(NotReadyError):
            await running.store.write(lambda transaction: transaction.put_meta("x", 1))
        assert len(running.store.read_now(lambda snapshot: snapshot.entries(0, 3))) == 3
    async with Running(home / "live", network, lane) as again:
        assert again.check() == (5 if done else 3)
        assert (await again.place(thing)).index == 4
        assert again.check() == 5


async def test_wrong_stored_bytes_are_never_signed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = await make(home)
    original = Transaction.store_tree

    def spoil(transaction: Transaction) -> Any:
        head = original(transaction)
        transaction.connection.execute("UPDATE entry SET bytes=x'00' WHERE idx=4")
        return head

    async with Running(home / "live", network) as running:
        monkeypatch.setattr(Transaction, "store_tree", spoil)
        with pytest.raises(CorruptError):
            await running.sequencer.append([network.put("a")])
        assert isinstance(running.sequencer.stopped, CorruptError)
    monkeypatch.undo()
    async with Running(home / "live", network) as again:
        assert again.check() == 3


async def test_a_second_writer_is_found_before_anything_is_committed(home: Path) -> None:
    network = await make(home)
    async with Running(home / "live", network) as running:

        def meddle() -> None:
            other = apsw.Connection(str(home / "live" / "ledger.db"))
            other.execute("UPDATE head SET size=2")
            other.close()

        await asyncio.to_thread(meddle)
        with pytest.raises(ForkRiskError):
            await running.sequencer.append([network.put("a")])
        assert running.sequencer.stopped is not None


# -- the fork guard --------------------------------------------------------------------------------------------------


async def grow(home: Path, network: SmallNetwork, *names: str) -> None:
    async with Running(home / "live", network) as running:
        for name in names:
            await running.place(network.put(name))


async def test_a_plain_restart_goes_on(home: Path) -> None:
    network = await make(home)
    await grow(home, network, "a", "b")
    await grow(home, network, "c")
    left = await asyncio.to_thread(HeadFile(home / "live" / "head.json").read)
    assert left is not None
    assert left.size == 7


async def restore_older(home: Path, network: SmallNetwork) -> None:
    """Put an older database under the head file of a newer one."""
    await asyncio.to_thread(copy_home, home, "backup")
    await grow(home, network, "a")

    def restore() -> None:
        for name in ("ledger.db", "ledger.db-wal"):
            (home / "live" / name).unlink(missing_ok=True)
            if (home / "backup" / name).exists():
                shutil.copy(home / "backup" / name, home / "live" / name)

    await asyncio.to_thread(restore)


async def test_a_database_older_than_the_head_file_is_not_signed_on(home: Path) -> None:
    network = await make(home)
    await restore_older(home, network)
    for _ in range(2):  # a restart forgets nothing
        async with Running(home / "live", network) as running:
            assert running.sequencer.fork_risk is not None
            with pytest.raises(ForkRiskError):
                await running.sequencer.append([network.put("b")])
            assert running.sequencer.feed.head.checkpoint is None
            assert len(running.store.read_now(lambda snapshot: snapshot.entries(0, 10))) == 3


async def test_an_accepted_fork_risk_signs_on_above_the_clock_given(home: Path) -> None:
    network = await make(home)
    await restore_older(home, network)
    async with Running(home / "live", network) as running:
        with pytest.raises(LedgerError):
            await running.sequencer.accept_fork_risk(4)
        await running.sequencer.accept_fork_risk(3, clock=2_000_000_000)
    async with Running(home / "live", network) as running:
        assert running.sequencer.fork_risk is None
        await running.place(network.signed("put", "thing", "c", {"n": 1}))
        assert running.check() == 5
        note = running.sequencer.feed.head.checkpoint
        assert note is not None
        assert line_time(parse_note(note).lines[-1]) == 2_000_000_000


@pytest.mark.parametrize("text", [None, b"", b"[]", b'{"size":-1,"root":"00"}', b'{"size":3,"root":"' + b"00" * 32 + b'"}'])
async def test_a_head_file_that_is_missing_or_another_is_a_risk(home: Path, text: bytes | None) -> None:
    network = await make(home)
    path = home / "live" / "head.json"
    await asyncio.to_thread(path.unlink if text is None else lambda: path.write_bytes(text or b""))
    async with Running(home / "live", network) as running:
        with pytest.raises(ForkRiskError):
            await running.sequencer.append([network.put("a")])


async def test_the_restored_flag_is_a_risk(home: Path) -> None:
    network = await make(home)
    async with Running(home / "live", network) as running:
        await running.store.write(lambda transaction: transaction.put_meta("restored", "from a backup"))
    async with Running(home / "live", network) as running:
        assert running.sequencer.fork_risk == "from a backup"


async def test_the_head_file_may_lag(home: Path) -> None:
    network = await make(home)
    await grow(home, network, "a")
    tree = Frontier()
    tree.append_many(leaf_hashes(one.entry for one in network.first))
    head = LeftHead(3, tree.root())
    await asyncio.to_thread(HeadFile(home / "live" / "head.json").write, head)
    await grow(home, network, "b")


# -- genesis ---------------------------------------------------------------------------------------------------------


async def test_a_genesis_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    network = SmallNetwork()
    bad = [*network.first, network.signed("put", "thing", "x", {}, by="stranger")]
    with pytest.raises(LedgerError):
        await create_log(tmp_path / "ledger.db", bad, network.keys, TurnedClock())
    assert await asyncio.to_thread(os.listdir, tmp_path) == ["lock"]
    await create_log(tmp_path / "ledger.db", network.first, network.keys, TurnedClock())
    with pytest.raises(LedgerError):
        await create_log(tmp_path / "ledger.db", network.first, network.keys, TurnedClock())
    with pytest.raises(LedgerError):
        await create_log(tmp_path / "other.db", network.first[1:], network.keys, TurnedClock())
