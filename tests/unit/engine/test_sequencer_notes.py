"""The sequencer: what it signs, when, and what is remembered of it: marks, notes, clock lines, witnesses, the head file."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger.core.backend import Placed, Refused
from ledger.core.canonical import format_time
from ledger.core.errors import OutcomeUnknown, UnreachableError
from ledger.core.note import line_time, parse_note
from ledger.core.receipt import parse_receipt, verify_proof
from ledger.engine import outlet
from ledger.engine.signing import SequencerKeys, clock_vkey, log_vkey
from tests.support.running_log import RunningLog, TwoWitnesses, running_log, unwitnessed_log
from tests.support.small_network import ORIGIN, START, key

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.core.backend import Head
    from ledger.core.note import Note


def note_of(head: Head) -> Note:
    assert head.checkpoint is not None
    return parse_note(head.checkpoint)


def time_of(head: Head) -> int:
    return line_time(note_of(head).lines[-1])


async def test_receipt_and_note_hold_log_line_then_clock_line(log: RunningLog) -> None:
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


async def test_a_refused_batch_leaves_no_mark_and_no_note(log: RunningLog) -> None:
    await log.sequencer.append([log.network.put("a")])
    log.clock.turn(3600)
    before, told = log.head, len(log.deltas)
    [one] = await log.sequencer.append([log.network.signed("put", "thing", "b", {}, by="stranger")])
    assert isinstance(one, Refused)
    assert log.head == before
    assert len(log.deltas) == told
    assert log.store.read_now(lambda snapshot: snapshot.head()).size == before.size


async def test_a_mark_comes_first_when_the_last_is_old(log: RunningLog) -> None:
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
    log = await running_log(tmp_path)
    await log.close()
    await log.open(SequencerKeys(log.network.keys.log, log.network.keys.clock))
    [one] = await log.sequencer.append([log.network.put("a")])
    assert isinstance(one, Placed)
    assert one.index == 3
    await log.close()


@pytest.mark.parametrize("every", [2, 1_024])
async def test_marks_carry_the_state_root_of_each_multiple(tmp_path: Path, every: int) -> None:
    log = await running_log(tmp_path, state_every=every)
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


async def test_log_key_rotation_signs_with_both_while_both_are_open(log: RunningLog) -> None:
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


async def test_a_mark_in_the_future_is_put_right_by_the_first_mark_after_a_root(log: RunningLog) -> None:
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


async def test_the_clock_line_is_renewed_while_idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.engine.outlet.LEAST_RENEWAL_SECONDS", 0.01)
    log = await running_log(tmp_path, fresh_for=1)
    before, renewed = log.head, asyncio.Event()
    log.sequencer.feed.subscribe(lambda _: renewed.set())
    log.clock.turn(5)
    await log.sequencer.append([log.network.signed("put", "thing", "b", {}, by="stranger")])  # wakes the loop, changes nothing
    await renewed.wait()
    [delta, *_] = log.deltas
    assert (delta.entries, delta.start, delta.head.size) == ((), before.size, before.size)
    assert time_of(delta.head) == time_of(before) + 5
    assert note_of(delta.head).text == note_of(before).text
    await log.close()


async def test_clock_time_never_goes_back_even_after_a_restart(tmp_path: Path) -> None:
    log = await running_log(tmp_path)
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


async def test_a_jump_ahead_is_not_signed_until_confirmed(log: RunningLog) -> None:
    log.clock.wall += 3_600
    log.clock.turn(10)
    await log.sequencer.append([log.network.put("a")])
    assert time_of(log.head) == int(START) + 10
    assert log.sequencer.clock_suspect
    log.sequencer.confirm_clock()
    await log.sequencer.append([log.network.put("b")])
    assert time_of(log.head) == int(START) + 3_610
    assert not log.sequencer.clock_suspect


async def test_with_a_quorum_notes_leave_with_witness_lines_before_the_clock_line(tmp_path: Path) -> None:
    log, witnesses = await unwitnessed_log(tmp_path, quorum=2), TwoWitnesses()
    await log.open(witnesses=witnesses)
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


async def test_a_renewal_that_fails_stops_the_sequencer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.engine.outlet.LEAST_RENEWAL_SECONDS", 0.01)
    log = await running_log(tmp_path, fresh_for=1)

    failed = asyncio.Event()

    async def fail() -> int:
        failed.set()
        raise UnreachableError("the disk is gone")

    monkeypatch.setattr(log.sequencer._outlet, "store_time", fail)
    log.clock.turn(5)
    await log.sequencer.append([log.network.signed("put", "thing", "b", {}, by="stranger")])
    await failed.wait()
    assert isinstance(log.sequencer.stopped, UnreachableError)
    await log.close()


async def head_file_written(log: RunningLog) -> None:
    """Wait for what was begun when a note left."""
    writing = log.sequencer._outlet._writing
    assert writing is not None
    await writing


async def test_a_note_that_leaves_while_the_head_file_is_written_is_written_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlet, "HEAD_FILE_SECONDS", 0.01)
    log = await running_log(tmp_path)
    write, written = log.sequencer._outlet.write_head_file, []

    async def grow_and_write() -> None:
        written.append(log.head.size)
        file = asyncio.create_task(write())
        await asyncio.sleep(0)
        if len(written) == 1:
            await log.sequencer.append([log.network.put("b")])
        await file

    monkeypatch.setattr(log.sequencer._outlet, "write_head_file", grow_and_write)
    await log.sequencer.append([log.network.put("a")])
    await head_file_written(log)
    left = await asyncio.to_thread(log.sequencer._outlet._file.read)
    assert left is not None
    assert left.size == log.head.size == written[-1]
    assert len(written) == 2
    monkeypatch.undo()
    await log.close()


async def test_the_head_file_is_written_within_a_second_and_a_failure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outlet.HEAD_FILE_SECONDS <= 1.0
    monkeypatch.setattr(outlet, "HEAD_FILE_SECONDS", 0.01)
    log = await running_log(tmp_path)
    await log.sequencer.append([log.network.put("a")])
    await head_file_written(log)
    left = await asyncio.to_thread(log.sequencer._outlet._file.read)
    assert left is not None
    assert left.size == log.head.size

    async def fail() -> None:
        raise UnreachableError("the disk is full")

    monkeypatch.setattr(log.sequencer._outlet, "write_head_file", fail)
    await log.sequencer.append([log.network.put("b")])
    await head_file_written(log)
    assert "sequencer.head-file" in log.heard.names()
    monkeypatch.undo()
    await log.close()
