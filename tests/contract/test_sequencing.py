"""A sequencer in this process and one in a process of its own keep one contract: every test runs on both."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from auth.keystore import KeyStore
from ledger.core.backend import Placed, Refused
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.errors import BusyError, ForkRiskError, NotReadyError, SizeMismatchError, TooLargeError, UsageError
from ledger.core.limits import LIMITS
from ledger.core.note import line_time, parse_note
from ledger.core.receipt import parse_receipt, verify_proof
from ledger.engine.genesis import create_log
from ledger.engine.keyfiles import load_sequencer_keys
from ledger.engine.sequencer import Sequencer
from ledger.engine.signing import log_vkey
from ledger.engine.store import Store
from ledger.engine.waiting import FOR_SMALL
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from ledger.home.lock import WriterLock
from master.signing.remote import Place, RemoteSequencer
from tests.support.small_network import ORIGIN, Heard, SmallNetwork, key

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from ledger.core.envelope import Envelope
    from ledger.engine.feed import Delta
    from ledger.engine.ports import Sequencing

HERE, APART = "in this process", "in a process of its own"


@dataclass
class Log:
    """A log that is opened and closed as a test likes, and all that it said."""

    where: str
    home: Home
    network: SmallNetwork
    heard: Heard = field(default_factory=Heard)
    deltas: list[Delta] = field(default_factory=list)

    async def open(self, *, accept: int | None = None) -> Sequencing:
        if self.where == HERE:
            keys = await asyncio.to_thread(load_sequencer_keys, KeyStore(self.home.keys))
            assert keys is not None
            self.store = await asyncio.to_thread(Store.open, self.home.database)
            self.sequencer: Sequencing = Sequencer(self.store, keys, clock=SystemClock(), observer=self.heard)
        else:
            self.lock = await asyncio.to_thread(WriterLock.take, self.home.lock)
            self.sequencer = await RemoteSequencer.spawn(Place(self.home), self.lock, self.heard)
            self.store = await asyncio.to_thread(Store.open, self.home.database, writable=False)
        self.sequencer.feed.subscribe(self.deltas.append)
        await self.sequencer.start(accept=accept)
        return self.sequencer

    async def close(self) -> None:
        await self.sequencer.close()
        await asyncio.to_thread(self.store.close)
        if self.where == APART:
            self.lock.release()

    def stored(self) -> list[bytes]:
        return self.store.read_now(lambda snapshot: snapshot.entries(0, 10_000, most=10_000))

    async def place(self, *envelopes: Envelope) -> list[Placed]:
        results = await self.sequencer.append(envelopes)
        placed = [one for one in results if isinstance(one, Placed)]
        assert len(placed) == len(envelopes)
        return placed


@pytest.fixture(params=[HERE, APART])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Log]:
    home, network = Home(tmp_path / "home"), SmallNetwork()
    await asyncio.to_thread(home.create)
    for name in ("log", "clock", "mark"):
        await asyncio.to_thread(KeyStore(home.keys).store, name, key(name))
    await create_log(home.database, network.first, network.keys, SystemClock())
    made = Log(str(request.param), home, network)
    await made.open()
    yield made
    await made.close()


async def test_what_is_placed_has_a_receipt_under_the_newest_note(log: Log) -> None:
    envelope = log.network.put("a")
    (placed,) = await log.place(envelope)
    assert placed.receipt is not None
    receipt = parse_receipt(placed.receipt)
    head = log.sequencer.feed.head
    assert verify_proof(receipt).size == head.size
    assert (receipt.index, receipt.entry, receipt.note) == (placed.index, envelope.entry, head.checkpoint)
    assert placed.digest == envelope.statement.digest
    assert log.stored()[placed.index] == envelope.entry


async def test_results_keep_their_order_and_refusals_their_reasons(log: Log) -> None:
    await log.place(log.network.put("a"))
    late = log.network.signed("put", "thing", "a", {"x": 1}, prev="0" * 64)
    stranger = log.network.signed("put", "thing", "b", {}, by="stranger", prev=None)
    results = await log.sequencer.append([late, log.network.put("c"), b"junk", stranger])
    assert [type(one) for one in results] == [Refused, Placed, Refused, Refused]
    errors = [one.error for one in results if isinstance(one, Refused)]
    assert [one.code for one in errors] == ["version-mismatch", "format", "not-allowed"]
    assert [bool(one.message and one.hint) for one in errors] == [True] * 3
    assert str(errors[1]) == "not the one spelling of an envelope"


async def test_many_at_a_time_and_without_receipts(log: Log) -> None:
    things = log.network.things(300)
    results = await log.sequencer.append(things, receipts=False)
    assert [(type(one), one.receipt) for one in results if isinstance(one, Placed)] == [(Placed, None)] * 300
    assert log.stored()[-300:] == [one.entry for one in things]
    assert await log.sequencer.append([]) == []


async def test_a_duplicate_is_answered_with_the_first_placement(log: Log) -> None:
    thing = log.network.put("a")
    (first,), (second,) = await log.place(thing), await log.place(thing)
    assert (first.index, first.digest) == (second.index, second.digest)
    assert second.receipt is not None


async def test_another_size_than_expected_is_named(log: Log) -> None:
    await log.place(log.network.put("a"))
    size = log.sequencer.feed.head.size
    with pytest.raises(SizeMismatchError) as caught:
        await log.sequencer.append([log.network.put("b")], expected_size=size - 1)
    assert caught.value.context == {"size": size}
    assert log.sequencer.waiting == 0  # what was refused whole gives its room back
    log.network.last.pop("b")
    (result,) = await log.sequencer.append([log.network.put("b")], expected_size=size)
    assert isinstance(result, Placed)


async def test_limits_are_kept_before_anybody_is_asked(log: Log) -> None:
    with pytest.raises(TooLargeError):
        await log.sequencer.append([b"x"] * (LIMITS.batch_entries + 1))
    fill = [b"x"] * LIMITS.batch_entries
    waiting = [asyncio.create_task(log.sequencer.append(fill)) for _ in range((LIMITS.queue - FOR_SMALL) // len(fill))]
    await asyncio.sleep(0)
    assert log.sequencer.waiting == len(waiting) * len(fill)
    with pytest.raises(BusyError) as caught:
        log.sequencer.require_room(len(fill))
    assert 0.5 <= caught.value.retry_after <= 2.0
    with pytest.raises(BusyError):
        await log.sequencer.append(fill)
    await log.place(log.network.put("a"))  # who publishes a little finds room
    assert {type(one) for results in await asyncio.gather(*waiting) for one in results} == {Refused}
    assert log.sequencer.waiting == 0


async def test_a_caller_that_gives_up_does_not_undo_others(log: Log) -> None:
    one, other = log.network.things(2)
    gone = asyncio.create_task(log.sequencer.append([one]))
    stays = asyncio.create_task(log.sequencer.append([other]))
    await asyncio.sleep(0)
    gone.cancel()
    assert isinstance((await stays)[0], Placed)
    (again,) = await log.place(one)
    assert log.stored().count(one.entry) == 1
    assert log.sequencer.waiting == 0
    assert again.receipt is not None


async def test_followers_hear_every_entry_once_before_its_answer(log: Log) -> None:
    async def place(envelope: Envelope) -> None:
        (placed,) = await log.place(envelope)
        assert log.deltas[-1].head.size > placed.index

    await asyncio.gather(*map(place, log.network.things(40)))
    grown = [delta for delta in log.deltas if delta.entries]
    assert [entry for delta in grown for entry in delta.entries] == log.stored()[3:]
    assert [delta.start for delta in grown] == [3, *(delta.head.size for delta in grown[:-1])]
    assert {delta.authority for delta in grown} == {()}
    assert all(parse_checkpoint(parse_note(delta.head.checkpoint or b"").text).size == delta.head.size for delta in log.deltas)
    assert log.sequencer.feed.head == log.deltas[-1].head


async def test_events_are_heard(log: Log) -> None:
    await log.place(log.network.put("a"))
    await log.place(log.network.put("b"))
    facts = next(facts for name, facts in log.heard.events if name == "sequencer.batch")
    assert facts["entries"] == 1
    assert isinstance(facts["seconds"], float)


async def test_closing_places_what_waits_and_then_refuses(log: Log) -> None:
    waiting = [asyncio.create_task(log.sequencer.append([one])) for one in log.network.things(20)]
    await asyncio.sleep(0)
    await log.sequencer.close()
    assert {type(result) for one in waiting for result in await one} == {Placed}
    with pytest.raises(NotReadyError):
        await log.sequencer.append([log.network.put("a")])
    await log.sequencer.close()


async def test_closing_while_bulk_is_read_answers_everybody(log: Log) -> None:
    """What is not in the queue yet is placed or refused; nobody waits for ever, and closing ends."""
    bulk = log.network.things(1_600)
    waiting = [asyncio.create_task(log.sequencer.append(bulk[start : start + 200])) for start in range(0, len(bulk), 200)]
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await log.sequencer.close()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    refused = [one for one in answers if not isinstance(one, list)]
    assert all(isinstance(one, NotReadyError) for one in refused), refused
    assert all(isinstance(one, Placed) for answer in answers if isinstance(answer, list) for one in answer)
    assert log.sequencer.waiting == 0


async def test_it_goes_on_where_it_stopped(log: Log) -> None:
    await log.place(log.network.put("a"))
    before = log.sequencer.feed.head
    await log.close()
    await log.open()
    after = log.sequencer.feed.head
    assert after.checkpoint is not None
    assert before.checkpoint is not None
    assert parse_note(after.checkpoint).text == parse_note(before.checkpoint).text
    assert log.sequencer.stopped is None
    (placed,) = await log.place(log.network.put("b"))
    assert placed.index == before.size


async def test_a_new_root_is_known_and_its_new_key_signs_at_once(log: Log) -> None:
    assert log.sequencer.root is not None
    assert (log.sequencer.root.version, log.sequencer.root.origin) == (1, ORIGIN)
    await asyncio.to_thread(KeyStore(log.home.keys).store, "log-2", key("log-2"))
    listed = [{"vkey": log_vkey(ORIGIN, key(name)), "until": until} for name, until in (("log", 100), ("log-2", None))]
    await log.place(log.network.next_root(2, log_keys=listed))
    assert log.sequencer.root.version == 2
    assert [one.vkey for one in log.sequencer.root.log_keys] == [one["vkey"] for one in listed]
    assert len(parse_note(log.sequencer.feed.head.checkpoint or b"").lines) == 3
    assert log.deltas[-1].authority == log.deltas[-1].entries[-1:]


async def test_a_fork_risk_stops_signing_until_somebody_decides(log: Log) -> None:
    assert log.sequencer.fork_risk is None
    await log.place(log.network.put("a"))
    await log.sequencer.raise_fork_risk("somebody knows more", clock=4_000_000_000)
    assert log.sequencer.fork_risk == "somebody knows more"
    assert "sequencer.fork-risk" in log.heard.names()
    with pytest.raises(ForkRiskError, match="somebody knows more"):
        await log.sequencer.append([log.network.put("b")])
    size = len(log.stored())
    await log.close()
    await log.open()
    assert log.sequencer.fork_risk == "somebody knows more"
    assert log.sequencer.feed.head.checkpoint is None
    await log.close()
    with pytest.raises(UsageError, match=f"the log has {size} entries"):
        await log.open(accept=size - 1)
    await log.close()
    await log.open(accept=size)
    assert log.sequencer.fork_risk is None
    log.network.last.pop("b")
    (placed,) = await log.place(log.network.put("b"))
    assert placed.index == size + 1  # after a mark: time went on
    lines = parse_note(log.sequencer.feed.head.checkpoint or b"").lines
    assert line_time(lines[-1]) >= 4_000_000_000
