"""The sequencer: what it places and refuses, in which batches; and that it says no in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger.core.backend import Placed, Refused
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.errors import BusyError, NotReadyError, OutcomeUnknown, SizeMismatchError, TooLargeError, UnsupportedError
from ledger.core.limits import LIMITS
from ledger.core.note import parse_note
from ledger.core.receipt import parse_receipt, verify_proof
from ledger.engine.signing import log_vkey
from ledger.engine.waiting import FOR_SMALL
from tests.support.running_log import RunningLog, running_log
from tests.support.small_network import ORIGIN, key

if TYPE_CHECKING:
    from pathlib import Path


async def test_envelopes_are_taken_parsed_or_not_and_without_receipts(log: RunningLog) -> None:
    one, other = log.network.things(2)
    results = await log.sequencer.append([one, other.entry], receipts=False)
    assert [type(result) for result in results] == [Placed, Placed]
    assert [result.receipt for result in results if isinstance(result, Placed)] == [None, None]


async def test_void_codes_become_named_errors_and_nothing_is_logged(log: RunningLog) -> None:
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


async def test_duplicates_get_the_stored_entry_also_within_a_batch(log: RunningLog) -> None:
    thing = log.network.put("a")
    first, second = await log.sequencer.append([thing, thing])
    [third] = await log.sequencer.append([thing])
    assert isinstance(first, Placed)
    assert isinstance(third, Placed)
    assert first == second
    assert (third.index, third.digest) == (first.index, first.digest)
    assert third.receipt is not None
    verify_proof(parse_receipt(third.receipt))


async def test_expected_size_does_not_count_the_mark_of_the_same_batch(log: RunningLog) -> None:
    assert log.head.size == 3
    one, other = log.network.things(2)
    [result] = await log.sequencer.append([one], expected_size=3)
    assert isinstance(result, Placed)
    assert result.index == 4
    with pytest.raises(SizeMismatchError):
        await log.sequencer.append([other], expected_size=3)
    with pytest.raises(SizeMismatchError):
        await log.sequencer.append([other], expected_size=6)


async def test_limits_are_kept(log: RunningLog, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TooLargeError):
        await log.sequencer.append([b"x"] * (LIMITS.batch_entries + 1))
    monkeypatch.setattr(log.sequencer._queue, "entries", LIMITS.queue)
    with pytest.raises(BusyError) as caught:
        await log.sequencer.append([b"x"])
    assert 0.5 <= caught.value.retry_after <= 2.0


async def test_a_caller_that_gives_up_does_not_undo_others(log: RunningLog) -> None:
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


async def test_followers_hear_each_head_with_its_entries(log: RunningLog) -> None:
    envelopes = log.network.things(30)
    await asyncio.gather(*(log.sequencer.append([one]) for one in envelopes))
    heard = [entry for delta in log.deltas for entry in delta.entries]
    assert heard == log.store.read_now(lambda snapshot: snapshot.entries(3, 1_000))
    starts = [delta.start for delta in log.deltas]
    assert starts == [3, *[delta.head.size for delta in log.deltas[:-1]]]
    assert log.head is log.deltas[-1].head


async def test_closing_places_what_waits_and_then_refuses(tmp_path: Path) -> None:
    log = await running_log(tmp_path)
    waiting = [asyncio.create_task(log.sequencer.append([one])) for one in log.network.things(5)]
    await asyncio.sleep(0)
    await log.close()
    results = [(await one)[0] for one in waiting]
    assert [type(one) for one in results] == [Placed] * 5
    with pytest.raises(NotReadyError):
        await log.sequencer.append([log.network.put("a")])
    await log.sequencer.close()


async def test_what_another_process_made_room_for_is_never_pushed_back(log: RunningLog) -> None:
    log.sequencer.serve_elsewhere()
    things = log.network.things(LIMITS.batch_entries)
    small = [log.sequencer.submit([one.entry]) for one in things]
    bulk = [asyncio.create_task(log.sequencer.append([b"x"] * LIMITS.batch_entries)) for _ in range(LIMITS.queue // LIMITS.batch_entries)]
    await asyncio.sleep(0)
    assert log.sequencer.waiting > LIMITS.queue - FOR_SMALL
    assert {type(one) for results in await asyncio.gather(*small) for one in results} == {Placed}
    assert {type(one) for results in await asyncio.gather(*bulk) for one in results} == {Refused}


@pytest.mark.parametrize(("elsewhere", "batches"), [(True, [20, 10, 10]), (False, [20, 20])])
async def test_half_of_all_are_committed_while_the_other_half_is_answered_elsewhere(
    log: RunningLog, elsewhere: bool, batches: list[int]
) -> None:
    if elsewhere:
        log.sequencer.serve_elsewhere()
    for start in (0, 20):
        things = log.network.things(20, start)
        await asyncio.gather(*(log.sequencer.submit([one.entry], callers=number) for number, one in enumerate(things, 1)))
    assert [facts["entries"] for name, facts in log.heard.events if name == "sequencer.batch"] == batches


async def test_a_root_of_an_unknown_fold_is_refused(log: RunningLog) -> None:
    [one] = await log.sequencer.append([log.network.next_root(2, fold=2)])
    assert isinstance(one, Refused)
    assert isinstance(one.error, UnsupportedError)


async def test_nothing_follows_a_root_that_closes_our_keys(log: RunningLog) -> None:
    root = log.network.next_root(2, log_keys=[{"vkey": log_vkey(ORIGIN, key("other")), "until": None}])
    results = await log.sequencer.append([log.network.put("a"), root, log.network.put("b")])
    assert [type(one) for one in results] == [Placed, Placed, Refused]
    assert parse_checkpoint(parse_note(log.head.checkpoint or b"").text).size == log.head.size == 6
    with pytest.raises(NotReadyError):
        await log.sequencer.append([log.network.put("c")])
    assert log.sequencer.stopped is None


async def test_a_bug_stops_the_sequencer_and_leaves_nobody_waiting(log: RunningLog, monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_an_empty_request_is_nothing_and_the_root_is_known(log: RunningLog) -> None:
    assert await log.sequencer.append([]) == []
    assert log.sequencer.root is not None
    assert log.sequencer.root.name == "small"
