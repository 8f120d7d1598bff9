"""The fork guard (DESIGN 5) in each of its cases, at the engine: who may sign on after a start, and how one who may not comes back.

The cases over HTTPS, with a real master and its followers, stand in `test_restored_master.py`.
"""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from ledger.core.backend import Placed, Refused
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.errors import ConflictError, ForkRiskError, UsageError
from ledger.core.note import line_time, parse_note
from ledger.core.receipt import parse_receipt, verify_proof
from ledger.engine.genesis import create_log
from ledger.engine.sequencer import Sequencer
from ledger.engine.signing import SequencerKeys, clock_vkey, log_vkey
from ledger.engine.store import Store
from master.forks import ForkRoutes
from tests.faults.scenes import LEDGER, sequencing, whole
from tests.support.small_network import ORIGIN, START, SmallNetwork, TurnedClock, key

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from ledger.core.envelope import Envelope
    from master.forks import Comparison

NEW_ORIGIN = "ledger.internal/small/8899aabbccddeeff"
FILES = (LEDGER, f"{LEDGER}-wal")


@dataclass
class Log:
    """A log in a home, and backups of it."""

    home: Path
    network: SmallNetwork

    async def grow(self, *names: str) -> list[Placed]:
        async with sequencing(self.home, self.network) as sequencer:
            return [await place(sequencer, self.network.put(name)) for name in names]

    def back_up(self, name: str) -> None:
        """Copy the database, as a backup does: without `head.json`."""
        (self.home.parent / name).mkdir()
        for file in FILES:
            if (self.home / file).exists():
                shutil.copy(self.home / file, self.home.parent / name / file)

    def restore(self, name: str) -> None:
        """Put a backup in the place of the database."""
        for file in FILES:
            (self.home / file).unlink(missing_ok=True)
            if (self.home.parent / name / file).exists():
                shutil.copy(self.home.parent / name / file, self.home / file)

    def head_file(self) -> bytes:
        return (self.home / "head.json").read_bytes()


async def place(sequencer: Sequencer, envelope: Envelope) -> Placed:
    (one,) = await sequencer.append([envelope])
    assert isinstance(one, Placed), one
    assert one.receipt is not None
    verify_proof(parse_receipt(one.receipt))
    return one


async def refuses(sequencer: Sequencer, network: SmallNetwork) -> None:
    """Check that nothing is signed, and that reading stays open."""
    with pytest.raises(ForkRiskError):
        await sequencer.append([network.signed("put", "thing", "forked", {"n": 1}, prev=None)])
    assert sequencer.feed.head.checkpoint is None
    assert sequencer.store.read_now(lambda snapshot: snapshot.entries(0, 1)) == [network.root.entry]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    made = Log(tmp_path / "home", SmallNetwork())
    made.home.mkdir()
    asyncio.run(create_log(made.home / LEDGER, made.network.first, made.network.keys, TurnedClock()))
    return made


async def test_plain_restart_signs_on(log: Log) -> None:
    (one,) = await log.grow("a")
    (two,) = await log.grow("b")
    assert one.index < two.index


async def test_restored_backup_refuses_to_sign_at_every_start(log: Log) -> None:
    await asyncio.to_thread(log.back_up, "old")
    await log.grow("a", "b")
    await asyncio.to_thread(log.restore, "old")
    before = await asyncio.to_thread(log.head_file)
    for _ in range(3):
        async with sequencing(log.home, log.network) as sequencer:
            await refuses(sequencer, log.network)
    assert await asyncio.to_thread(log.head_file) == before


async def test_restored_backup_with_a_holder_of_more_gets_its_tail_back_and_signs_on(log: Log) -> None:
    """The holder's database (a node's replica holds the same entries) takes the place of the backup: nothing is lost."""
    await asyncio.to_thread(log.back_up, "old")
    placed = await log.grow("a", "b")
    await asyncio.to_thread(log.back_up, "holder")
    await asyncio.to_thread(log.restore, "old")
    async with sequencing(log.home, log.network) as sequencer:
        await refuses(sequencer, log.network)
    await asyncio.to_thread(log.restore, "holder")
    (after,) = await log.grow("c")
    assert after.index > placed[-1].index


async def test_restored_backup_that_is_newer_than_the_head_file_is_found_by_what_a_holder_presents(log: Log) -> None:
    """A power cut took the last second of `head.json`, and the backup lies between: only who knows more can tell."""
    early = await asyncio.to_thread(log.head_file)
    await log.grow("a")
    await asyncio.to_thread(log.back_up, "between")
    await log.grow("b")
    await asyncio.to_thread(log.restore, "between")
    await asyncio.to_thread((log.home / "head.json").write_bytes, early)
    async with sequencing(log.home, log.network) as sequencer:
        assert sequencer.fork_risk is None
        await sequencer.raise_fork_risk("a larger tree was presented", clock=int(START) + 5_000)
        with pytest.raises(ForkRiskError):
            await sequencer.append([log.network.put("c")])
    async with sequencing(log.home, log.network) as again:
        assert again.fork_risk == "a larger tree was presented"
        await refuses(again, log.network)


async def test_alarm_stops_what_is_queued_and_the_renewal_of_the_clock_line(log: Log) -> None:
    async with sequencing(log.home, log.network) as sequencer:
        async with sequencer.store.transaction():
            first = asyncio.create_task(sequencer.append([log.network.put("under-way")]))
            await asyncio.sleep(0.05)
            queued = asyncio.create_task(sequencer.append([log.network.put("queued")]))
            await asyncio.sleep(0.05)
            alarm = asyncio.create_task(sequencer.raise_fork_risk("presented"))
            await asyncio.sleep(0.05)
        await alarm
        assert isinstance((await first)[0], Placed)
        with pytest.raises(ForkRiskError):
            await queued
        note = sequencer.feed.head.checkpoint
        await asyncio.sleep(0.05)
        assert sequencer.feed.head.checkpoint == note
        assert sequencer.store.read_now(lambda snapshot: whole(snapshot, log.network.id)) == sequencer.feed.head.size


@pytest.mark.parametrize("lost", [b"", b"\0" * 90, b'{"size": 3, "ro'])
async def test_power_loss_that_tears_the_head_file_is_a_risk(log: Log, lost: bytes) -> None:
    """Simulated: our way of writing it leaves the old or the new file whole, but a disk may do worse."""
    await log.grow("a")
    await asyncio.to_thread((log.home / "head.json").write_bytes, lost)
    async with sequencing(log.home, log.network) as sequencer:
        await refuses(sequencer, log.network)


async def test_power_loss_that_takes_the_last_second_of_the_head_file_is_a_plain_restart(log: Log) -> None:
    """Simulated by putting the older head file back; `test_power_cut.py` cuts the power of a real file system."""
    early = await asyncio.to_thread(log.head_file)
    placed = await log.grow("a", "b")
    await asyncio.to_thread((log.home / "head.json").write_bytes, early)
    (after,) = await log.grow("c")
    assert after.index > placed[-1].index


async def test_accepted_risk_goes_on_above_the_newest_time_that_left(log: Log) -> None:
    async with sequencing(log.home, log.network) as sequencer:
        await sequencer.raise_fork_risk("presented", clock=2_000_000_000)
        size = sequencer.store.read_now(lambda snapshot: snapshot.head().size)
    store = await asyncio.to_thread(Store.open, log.home / LEDGER)
    for wrong in (size - 1, size + 1):
        sequencer = Sequencer(store, log.network.keys, clock=TurnedClock())
        with pytest.raises(UsageError):
            await sequencer.start(accept=wrong)
        await sequencer.close()
    for _ in range(2):  # the setting may stand there for ever: without a risk it says nothing
        sequencer = Sequencer(store, log.network.keys, clock=TurnedClock())
        await sequencer.start(accept=size)
        assert sequencer.fork_risk is None
        await place(sequencer, log.network.put("a"))
        note = sequencer.feed.head.checkpoint
        assert note is not None
        assert line_time(parse_note(note).lines[-1]) == 2_000_000_000
        await sequencer.close()
    await asyncio.to_thread(store.close)


# -- the way back by a root with `continues` --------------------------------------------------------------------------


def new_keys() -> SequencerKeys:
    return SequencerKeys((key("log"), key("log-2")), key("clock-2"), key("mark"))


def continuing(network: SmallNetwork, size: int, root: bytes) -> Envelope:
    """Return the root that takes the log up again at `size`: new origin, new keys, the old ones closed there."""
    order = {"type": "log", "continues": {"size": size, "root": root.hex()}}
    listed = [{"vkey": log_vkey(NEW_ORIGIN, key("log-2")), "until": None}]
    clocks = [clock_vkey(NEW_ORIGIN, key("clock-2"))]
    return network.next_root(2, origin=NEW_ORIGIN, order=order, log_keys=listed, clock_keys=clocks)


async def lose(log: Log) -> SmallNetwork:
    """Lose the tail of the log; return a network that knows what is left."""
    await asyncio.to_thread(log.back_up, "old")
    await log.grow("a", "b")
    await asyncio.to_thread(log.restore, "old")
    return SmallNetwork()


async def test_root_with_continues_ends_the_risk(log: Log) -> None:
    network = await lose(log)
    network.keys = new_keys()
    async with sequencing(log.home, network) as sequencer:
        await refuses(sequencer, network)
        head = sequencer.store.read_now(lambda snapshot: snapshot.head())
        for size, root in ((head.size + 1, head.root), (head.size, bytes(32))):
            (wrong,) = await sequencer.append([continuing(SmallNetwork(), size, root)])
            assert isinstance(wrong, Refused)
            assert isinstance(wrong.error, ConflictError)
        placed = await place(sequencer, continuing(network, head.size, head.root))
        assert placed.index == head.size
        assert sequencer.fork_risk is None
        after = await place(sequencer, network.put("a"))
        assert after.index > placed.index
        note = sequencer.feed.head.checkpoint
        assert note is not None
        assert parse_checkpoint(parse_note(note).text).origin == NEW_ORIGIN
        assert [line.name for line in parse_note(note).lines] == [NEW_ORIGIN, f"{NEW_ORIGIN}/clock"]
    async with sequencing(log.home, network) as again:
        assert again.fork_risk is None
        await place(again, network.put("b"))
        again.store.read_now(lambda snapshot: whole(snapshot, network.id))


async def test_kill_between_the_root_with_continues_and_the_head_file_is_a_plain_restart(log: Log) -> None:
    network = await lose(log)
    network.keys = new_keys()
    old = await asyncio.to_thread(log.head_file)
    async with sequencing(log.home, network) as sequencer:
        head = sequencer.store.read_now(lambda snapshot: snapshot.head())
        await place(sequencer, continuing(network, head.size, head.root))
        await sequencer.store.write(lambda transaction: transaction.put_meta("continued", head.size + 1))
    await asyncio.to_thread((log.home / "head.json").write_bytes, old)  # as if it had not been written yet
    for _ in range(2):
        async with sequencing(log.home, network) as again:
            assert again.fork_risk is None
            await place(again, network.put("b"))
    await asyncio.to_thread((log.home / "head.json").write_bytes, b'{"size": 900, "root": "%s"}' % (b"00" * 32))
    async with sequencing(log.home, network) as guarded:
        assert guarded.fork_risk is not None


async def test_root_with_continues_that_no_key_of_this_home_can_sign_changes_nothing(log: Log) -> None:
    network = await lose(log)
    async with sequencing(log.home, network) as sequencer:
        head = sequencer.store.read_now(lambda snapshot: snapshot.head())
        with pytest.raises(Exception, match="no log key of this home"):
            await sequencer.append([continuing(network, head.size, head.root)])
        assert sequencer.fork_risk is not None
        assert sequencer.store.read_now(lambda snapshot: whole(snapshot, network.id)) == head.size


async def test_note_of_the_lost_branch_that_was_weighed_before_the_root_with_continues_stops_nothing_after_it(log: Log) -> None:
    await asyncio.to_thread(log.back_up, "old")
    async with sequencing(log.home, log.network) as sequencer:
        await place(sequencer, log.network.put("lost"))
        lost = sequencer.feed.head.checkpoint
    assert lost is not None
    await asyncio.to_thread(log.restore, "old")
    network = SmallNetwork()
    network.keys = new_keys()
    weighed, released = asyncio.Event(), asyncio.Event()
    async with sequencing(log.home, network) as sequencer:

        async def alarm(reason: str, found: Comparison) -> None:
            weighed.set()
            await released.wait()
            await sequencer.raise_fork_risk(reason, origin=found.origin, clock=found.clock)

        presenting = asyncio.create_task(ForkRoutes(sequencer.store, alarm, log.home / "evidence").weigh(lost))
        await weighed.wait()
        head = sequencer.store.read_now(lambda snapshot: snapshot.head())
        await place(sequencer, continuing(network, head.size, head.root))
        released.set()
        assert not (await presenting).fits
        assert sequencer.fork_risk is None
        await place(sequencer, network.put("a"))
    async with sequencing(log.home, network) as again:
        assert again.fork_risk is None
        await place(again, network.put("b"))


@pytest.mark.parametrize("first", ["alarm", "root"])
async def test_alarm_of_the_lost_branch_beside_the_commit_of_the_root_with_continues(log: Log, first: str) -> None:
    network = await lose(log)
    network.keys = new_keys()
    async with sequencing(log.home, network) as sequencer:
        head = sequencer.store.read_now(lambda snapshot: snapshot.head())
        works: dict[str, Coroutine[None, None, object]] = {
            "alarm": sequencer.raise_fork_risk("of the lost branch", origin=ORIGIN),
            "root": place(sequencer, continuing(network, head.size, head.root)),
        }
        async with sequencer.store.transaction():  # both wait for it, in this order
            tasks = []
            for name in sorted(works, key=lambda name: name != first):
                tasks.append(asyncio.create_task(works[name]))
                await asyncio.sleep(0.05)
        await asyncio.gather(*tasks)
        assert sequencer.fork_risk is None
        await place(sequencer, network.put("a"))
    async with sequencing(log.home, network) as again:
        assert again.fork_risk is None
