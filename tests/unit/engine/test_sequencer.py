"""The sequencer: what it places, refuses, marks, signs and when; and that it says no in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger.core.backend import Placed, Refused
from ledger.core.canonical import format_time
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.errors import (
    BusyError,
    NotReadyError,
    OutcomeUnknown,
    SizeMismatchError,
    TooLargeError,
    UnreachableError,
    UnsupportedError,
)
from ledger.core.limits import LIMITS
from ledger.core.note import Line, clock_line, line_time, parse_note
from ledger.core.receipt import parse_receipt, verify_proof
from ledger.engine.genesis import create_log
from ledger.engine.sequencer import Sequencer
from ledger.engine.signing import SequencerKeys, clock_vkey, log_vkey
from ledger.engine.store import Store
from tests.support.small_network import ORIGIN, START, Heard, SmallNetwork, TurnedClock, key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ledger.core.backend import Head
    from ledger.core.note import Note
    from ledger.engine.feed import Delta


class Log:
    """A running log with everything a test turns."""

    def __init__(self, home: Path, network: SmallNetwork) -> None:
        self.path = home / "ledger.db"
        self.network = network
        self.clock = TurnedClock()
        self.heard = Heard()
        self.deltas: list[Delta] = []

    async def open(self, keys: SequencerKeys | None = None) -> Sequencer:
        self.store = await asyncio.to_thread(Store.open, self.path)
        self.sequencer = Sequencer(self.store, keys or self.network.keys, clock=self.clock, observer=self.heard)
        await self.sequencer.start()
        self.sequencer.feed.subscribe(self.deltas.append)
        return self.sequencer

    async def close(self) -> None:
        await self.sequencer.close()
        await asyncio.to_thread(self.store.close)

    @property
    def head(self) -> Head:
        return self.sequencer.feed.head

    def mark(self) -> dict[str, object] | None:
        record = self.store.read_now(lambda snapshot: snapshot.state().record("mark"))
        return None if record is None else dict(record.content)


async def make(home: Path, **changes: object) -> Log:
    log = Log(home, SmallNetwork(**changes))
    await create_log(log.path, log.network.first, log.network.keys, log.clock)
    await log.open()
    return log


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[Log]:
    made = await make(tmp_path)
    yield made
    await made.close()


def note_of(head: Head) -> Note:
    assert head.checkpoint is not None
    return parse_note(head.checkpoint)


def time_of(head: Head) -> int:
    return line_time(note_of(head).lines[-1])


async def test_receipt_and_note_hold_log_line_then_clock_line(log: Log) -> None:
    [one] = await log.sequencer.append([log.network.put("a").entry])
    assert isinstance(one, Placed)
    assert one.receipt is not None
    receipt = parse_receipt(one.receipt)
    checkpoint = verify_proof(receipt)
    assert receipt.note == log.head.checkpoint
    assert [line.name for line in note_of(log.head).lines] == [ORIGIN, f"{ORIGIN}/clock"]
    head = log.store.read_now(lambda snapshot: snapshot.head())
    assert (checkpoint.size, checkpoint.root) == (head.size, head.root) == (log.head.size, head.root)
    assert time_of(log.head) == int(START)


async def test_envelopes_are_taken_parsed_or_not_and_without_receipts(log: Log) -> None:
    one, other = log.network.things(2)
    results = await log.sequencer.append([one, other.entry], receipts=False)
    assert [type(result) for result in results] == [Placed, Placed]
    assert [result.receipt for result in results if isinstance(result, Placed)] == [None, None]


async def test_void_codes_become_named_errors_and_nothing_is_logged(log: Log) -> None:
    await log.sequencer.append([log.network.put("a")])
    size = log.head.size
    wrong_version = log.network.signed("put", "thing", "a", {"x": 1}, prev="0" * 64)
    wrong_author = log.network.signed("put", "thing", "b", {}, by="stranger", prev=None)
    wrong_form = log.network.signed("put", "member", "c", {"name": "c"}, prev=None)
    results = await log.sequencer.append([wrong_version, wrong_author, wrong_form, b"junk"])
    codes = [one.error.code for one in results if isinstance(one, Refused)]
    assert codes[1:] == ["not-allowed", "format", "format"]
    assert codes[0] in {"conflict", "version-mismatch"}
    assert log.head.size == size


async def test_a_refused_batch_leaves_no_mark_and_no_note(log: Log) -> None:
    await log.sequencer.append([log.network.put("a")])
    log.clock.turn(3600)
    before, told = log.head, len(log.deltas)
    [one] = await log.sequencer.append([log.network.signed("put", "thing", "b", {}, by="stranger")])
    assert isinstance(one, Refused)
    assert log.head == before
    assert len(log.deltas) == told
    assert log.store.read_now(lambda snapshot: snapshot.head()).size == before.size


async def test_duplicates_get_the_stored_entry_also_within_a_batch(log: Log) -> None:
    thing = log.network.put("a")
    first, second = await log.sequencer.append([thing, thing])
    [third] = await log.sequencer.append([thing])
    assert isinstance(first, Placed)
    assert isinstance(third, Placed)
    assert first == second
    assert (third.index, third.digest) == (first.index, first.digest)
    assert third.receipt is not None
    verify_proof(parse_receipt(third.receipt))


async def test_a_mark_comes_first_when_the_last_is_old(log: Log) -> None:
    [one] = await log.sequencer.append([log.network.put("a")])
    assert isinstance(one, Placed)
    assert one.index == 4  # after three first entries and a mark
    assert log.mark() == {"time": format_time(int(START)), "state": None}
    log.clock.turn(60)
    [two] = await log.sequencer.append([log.network.put("b")])
    assert isinstance(two, Placed)
    assert two.index == 5
    log.clock.turn(1)
    [three] = await log.sequencer.append([log.network.put("c")])
    assert isinstance(three, Placed)
    assert three.index == 7
    assert log.mark() == {"time": format_time(int(START) + 61), "state": None}


async def test_without_the_mark_key_there_is_no_mark(tmp_path: Path) -> None:
    log = await make(tmp_path)
    await log.close()
    await log.open(SequencerKeys(log.network.keys.log, log.network.keys.clock))
    [one] = await log.sequencer.append([log.network.put("a")])
    assert isinstance(one, Placed)
    assert one.index == 3
    await log.close()


@pytest.mark.parametrize("every", [2, 1_024])
async def test_marks_carry_the_state_root_of_each_multiple(tmp_path: Path, every: int) -> None:
    log = await make(tmp_path, state_every=every)
    things = log.network.things(2 * every)
    step = max(1, every // 4)
    for start in range(0, len(things), step):
        if every == 2:
            log.clock.turn(61)
        await log.sequencer.append(things[start : start + step], receipts=False)
    log.clock.turn(61)
    await log.sequencer.append([log.network.put("z")])
    mark = log.mark()
    assert mark is not None
    state = mark["state"]
    assert isinstance(state, dict)
    size = state["size"]
    assert size % every == 0
    assert size > log.head.size - every - 2
    assert state["root"] == log.store.read_now(lambda snapshot: snapshot.state(int(str(size))).state_root())
    log.clock.turn(61)
    await log.sequencer.append([log.network.put("y")])
    again = log.mark()
    assert again is not None
    assert again["state"] != state
    await log.close()


async def test_expected_size_does_not_count_the_mark_of_the_same_batch(log: Log) -> None:
    assert log.head.size == 3
    one, other = log.network.things(2)
    [result] = await log.sequencer.append([one], expected_size=3)
    assert isinstance(result, Placed)
    assert result.index == 4
    with pytest.raises(SizeMismatchError):
        await log.sequencer.append([other], expected_size=3)
    with pytest.raises(SizeMismatchError):
        await log.sequencer.append([other], expected_size=6)


async def test_limits_are_kept(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooLargeError):
        await log.sequencer.append([b"x"] * (LIMITS.batch_entries + 1))
    monkeypatch.setattr(log.sequencer._queue, "entries", LIMITS.queue)
    with pytest.raises(BusyError) as caught:
        await log.sequencer.append([b"x"])
    assert 0.5 <= caught.value.retry_after <= 2.0


async def test_a_caller_that_gives_up_does_not_undo_others(log: Log) -> None:
    one, other = log.network.things(2)
    gone = asyncio.create_task(log.sequencer.append([one]))
    stays = asyncio.create_task(log.sequencer.append([other]))
    await asyncio.sleep(0)
    gone.cancel()
    [result] = await stays
    assert isinstance(result, Placed)
    with pytest.raises(asyncio.CancelledError):
        await gone
    [again] = await log.sequencer.append([one])
    assert isinstance(again, Placed)
    assert again.index < result.index


async def test_followers_hear_each_head_with_its_entries(log: Log) -> None:
    envelopes = log.network.things(30)
    await asyncio.gather(*(log.sequencer.append([one]) for one in envelopes))
    heard = [entry for delta in log.deltas for entry in delta.entries]
    assert heard == log.store.read_now(lambda snapshot: snapshot.entries(3, 1_000))
    starts = [delta.start for delta in log.deltas]
    assert starts == [3, *[delta.head.size for delta in log.deltas[:-1]]]
    assert log.head is log.deltas[-1].head


async def test_closing_places_what_waits_and_then_refuses(tmp_path: Path) -> None:
    log = await make(tmp_path)
    waiting = [asyncio.create_task(log.sequencer.append([one])) for one in log.network.things(5)]
    await asyncio.sleep(0)
    await log.close()
    results = [(await one)[0] for one in waiting]
    assert [type(one) for one in results] == [Placed] * 5
    with pytest.raises(NotReadyError):
        await log.sequencer.append([log.network.put("a")])
    await log.sequencer.close()


@pytest.mark.parametrize(("overlaps", "batches"), [(True, [20, 10, 10]), (False, [20, 20])])
async def test_half_of_all_are_committed_while_the_other_half_is_answered_elsewhere(log: Log, overlaps: bool, batches: list[int]) -> None:
    log.sequencer.overlaps = overlaps
    for start in (0, 20):
        await asyncio.gather(*(log.sequencer.append([one]) for one in log.network.things(20, start)))
    assert [facts["entries"] for name, facts in log.heard.events if name == "sequencer.batch"] == batches


async def test_a_root_of_an_unknown_fold_is_refused(log: Log) -> None:
    [one] = await log.sequencer.append([log.network.next_root(2, fold=2)])
    assert isinstance(one, Refused)
    assert isinstance(one.error, UnsupportedError)


async def test_log_key_rotation_signs_with_both_while_both_are_open(log: Log) -> None:
    keys = SequencerKeys((key("log"), key("log-2")), key("clock"), key("mark"))
    await log.sequencer.close()
    await asyncio.to_thread(log.store.close)
    await log.open(keys)
    listed = [{"vkey": log_vkey(ORIGIN, key("log")), "until": 6}, {"vkey": log_vkey(ORIGIN, key("log-2")), "until": None}]
    await log.sequencer.append([log.network.next_root(2, log_keys=listed)])
    assert log.head.size == 5
    assert len(note_of(log.head).lines) == 3
    for name, lines in (("a", 3), ("b", 2)):
        await log.sequencer.append([log.network.put(name)])
        assert len(note_of(log.head).lines) == lines


async def test_a_mark_in_the_future_is_put_right_by_the_first_mark_after_a_root(log: Log) -> None:
    log.clock.turn(100_000)
    await log.sequencer.append([log.network.put("a")])
    await log.close()
    log.clock.turn(-90_000)
    await log.open()
    await log.sequencer.append([log.network.put("b")])
    assert log.mark() == {"time": format_time(int(START) + 100_000), "state": None}
    assert time_of(log.head) == int(START) + 100_000
    # What left stays signed. Another clock key starts anew, as after a theft.
    await log.close()
    await log.open(SequencerKeys(log.network.keys.log, key("clock-2"), log.network.keys.mark))
    await log.sequencer.append([log.network.next_root(2, clock_keys=[clock_vkey(ORIGIN, key("clock-2"))])])
    assert time_of(log.head) == int(START) + 10_000
    await log.sequencer.append([log.network.put("c")])
    assert log.mark() == {"time": format_time(int(START) + 10_000), "state": None}


async def test_nothing_follows_a_root_that_closes_our_keys(log: Log) -> None:
    root = log.network.next_root(2, log_keys=[{"vkey": log_vkey(ORIGIN, key("other")), "until": None}])
    results = await log.sequencer.append([log.network.put("a"), root, log.network.put("b")])
    assert [type(one) for one in results] == [Placed, Placed, Refused]
    assert parse_checkpoint(note_of(log.head).text).size == log.head.size == 6
    with pytest.raises(NotReadyError):
        await log.sequencer.append([log.network.put("c")])
    assert log.sequencer.stopped is None


async def test_the_clock_line_is_renewed_while_idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.engine.outlet.LEAST_RENEWAL_SECONDS", 0.01)
    log = await make(tmp_path, fresh_for=1)
    before = log.head
    log.clock.turn(5)
    await log.sequencer.append([log.network.signed("put", "thing", "b", {}, by="stranger")])  # wakes the loop, changes nothing
    for _ in range(100):
        if log.deltas:
            break
        await asyncio.sleep(0.01)
    [delta, *_] = log.deltas
    assert (delta.entries, delta.start, delta.head.size) == ((), before.size, before.size)
    assert time_of(delta.head) == time_of(before) + 5
    assert note_of(delta.head).text == note_of(before).text
    await log.close()


async def test_clock_time_never_goes_back_even_after_a_restart(tmp_path: Path) -> None:
    log = await make(tmp_path)
    log.clock.turn(100)
    await log.sequencer.append([log.network.put("a")])
    latest = time_of(log.head)
    log.clock.wall -= 5_000
    await log.sequencer.append([log.network.put("b")])
    assert time_of(log.head) == latest
    await log.close()
    await log.open()
    assert time_of(log.head) == latest
    await log.close()


async def test_a_jump_ahead_is_not_signed_until_confirmed(log: Log) -> None:
    log.clock.wall += 3_600
    log.clock.turn(10)
    await log.sequencer.append([log.network.put("a")])
    assert time_of(log.head) == int(START) + 10
    assert log.sequencer.clock_suspect
    log.sequencer.confirm_clock()
    await log.sequencer.append([log.network.put("b")])
    assert time_of(log.head) == int(START) + 3_610
    assert not log.sequencer.clock_suspect


class TwoWitnesses:
    """Cosigns, unless it is told to be away."""

    def __init__(self) -> None:
        self.away = False
        self.sizes: list[int] = []

    async def cosign(self, note: Note) -> tuple[Line, ...]:
        if self.away:
            raise UnreachableError("nobody answers")
        self.sizes.append(parse_checkpoint(note.text).size)
        return tuple(clock_line(note.text, f"witness.{name}", key(name), 1) for name in ("w1", "w2"))


async def test_with_a_quorum_notes_leave_with_witness_lines_before_the_clock_line(tmp_path: Path) -> None:
    log = Log(tmp_path, SmallNetwork(quorum=2, witnesses=[]))
    await create_unwitnessed(log)
    witnesses = TwoWitnesses()
    log.store = await asyncio.to_thread(Store.open, log.path)
    log.sequencer = Sequencer(log.store, log.network.keys, clock=log.clock, observer=log.heard, witnesses=witnesses)
    await log.sequencer.start()
    await log.sequencer.append([log.network.put("a")])
    names = [line.name for line in note_of(log.head).lines]
    assert names == [ORIGIN, "witness.w1", "witness.w2", f"{ORIGIN}/clock"]
    witnesses.away = True
    left = log.head
    with pytest.raises(OutcomeUnknown):
        await log.sequencer.append([log.network.put("b")])
    assert log.head == left
    witnesses.away = False
    [again] = await log.sequencer.append([log.network.put("c")])
    assert isinstance(again, Placed)
    assert witnesses.sizes == sorted(witnesses.sizes)
    assert log.head.size == left.size + 2
    await log.close()


async def create_unwitnessed(log: Log) -> None:
    """Make the log with no witness at hand: the entries are stored, and the first note waits."""
    store = await asyncio.to_thread(lambda: Store.open(log.path, create=True))
    sequencer = Sequencer(store, log.network.keys, clock=log.clock)
    await sequencer.start()
    with pytest.raises(OutcomeUnknown):
        await sequencer.append(log.network.first)
    assert sequencer.feed.head.checkpoint is None
    await sequencer.close()
    await asyncio.to_thread(store.close)


async def test_a_bug_stops_the_sequencer_and_leaves_nobody_waiting(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("ledger.engine.commit.Admission.admit", fail)
    first, second = (asyncio.create_task(log.sequencer.append([one])) for one in log.network.things(2))
    for task in (first, second):
        with pytest.raises((OutcomeUnknown, NotReadyError)):
            await task
    assert log.sequencer.stopped is not None
    assert isinstance(log.sequencer.stopped.__cause__, ZeroDivisionError)
    assert "sequencer.stopped" in log.heard.names()
    with pytest.raises(NotReadyError):
        await log.sequencer.append([log.network.put("z")])
    assert log.sequencer.waiting == 0


async def test_a_renewal_that_fails_stops_the_sequencer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.engine.outlet.LEAST_RENEWAL_SECONDS", 0.01)
    log = await make(tmp_path, fresh_for=1)

    async def fail() -> int:
        raise UnreachableError("the disk is gone")

    monkeypatch.setattr(log.sequencer._outlet, "store_time", fail)
    log.clock.turn(5)
    await log.sequencer.append([log.network.signed("put", "thing", "b", {}, by="stranger")])
    for _ in range(100):
        if log.sequencer.stopped is not None:
            break
        await asyncio.sleep(0.01)
    assert isinstance(log.sequencer.stopped, UnreachableError)
    await log.close()


async def test_the_head_file_is_written_within_a_second_and_a_failure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.engine.outlet.HEAD_FILE_SECONDS", 0.01)
    log = await make(tmp_path)
    await log.sequencer.append([log.network.put("a")])
    await asyncio.sleep(0.1)
    left = await asyncio.to_thread(log.sequencer._outlet._file.read)
    assert left is not None
    assert left.size == log.head.size

    async def fail() -> None:
        raise UnreachableError("the disk is full")

    monkeypatch.setattr(log.sequencer._outlet, "write_head_file", fail)
    await log.sequencer.append([log.network.put("b")])
    await asyncio.sleep(0.1)
    assert "sequencer.head-file" in log.heard.names()
    monkeypatch.undo()
    await log.close()


async def test_an_empty_request_is_nothing_and_the_root_is_known(log: Log) -> None:
    assert await log.sequencer.append([]) == []
    assert log.sequencer.root is not None
    assert log.sequencer.root.name == "small"
