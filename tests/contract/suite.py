"""The contract of the Backend port, one suite for all of them.

A test module inherits `BackendContract` and gives one fixture, `backend_factory`: an async callable that returns a `Ledger` whose log holds
exactly `network.first`. What a trait denies is asserted to be a named error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from ledger.core.backend import Entries, NewHead, Placed, Refused
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.errors import FormatError, LedgerError, SizeMismatchError, UnsupportedError
from ledger.core.fold import Void, judge
from ledger.core.limits import LIMITS
from ledger.core.merkle import Frontier, leaf_hashes
from ledger.core.note import check_line, parse_note, parse_vkey
from ledger.core.receipt import parse_receipt, verify_proof
from ledger.core.state import DictState
from ledger.engine.signing import log_vkey
from tests.support.small_network import ORIGIN, SmallNetwork, key

if TYPE_CHECKING:
    from ledger.core.backend import Backend, LogEvent
    from ledger.core.envelope import Envelope


async def _nothing() -> None:
    return


@dataclass
class Ledger:
    """A backend to test. `judges`: it refuses what would be void. `settle` lets what was appended become final.

    A backend that is not writable is written through another one, the `writer`; `arrive` waits until what that took is here.
    """

    backend: Backend
    network: SmallNetwork
    judges: bool
    settle: Callable[[], Awaitable[None]] = _nothing
    writer: Backend | None = None
    arrive: Callable[[], Awaitable[None]] = _nothing
    opened: list[Backend] = field(default_factory=list)

    async def entries(self) -> list[bytes]:
        """Read the whole log."""
        found: list[bytes] = []
        while page := await self.backend.read(len(found), LIMITS.number):
            found += page
        return found

    async def append(self, *envelopes: Envelope) -> list[Placed | Refused]:
        return await self.append_bytes([one.entry for one in envelopes])

    async def append_bytes(self, entries: list[bytes], *, expected_size: int | None = None) -> list[Placed | Refused]:
        results = await (self.writer or self.backend).append(entries, expected_size=expected_size)
        await self.arrive()
        return results


BackendFactory = Callable[[], Awaitable[Ledger]]


def fold(entries: list[bytes]) -> tuple[DictState, list[bool]]:
    """Return the state of a log, and of each entry whether it was accepted."""
    state, verdicts = DictState(), list[bool]()
    for index, entry in enumerate(entries):
        verdict = judge(state, entry, index)
        verdicts.append(not isinstance(verdict, Void))
        if not isinstance(verdict, Void):
            state.apply(verdict)
    return state, verdicts


def placed(results: list[Placed | Refused]) -> list[Placed]:
    """Return the results, all of them placements."""
    assert all(isinstance(one, Placed) for one in results), results
    return [one for one in results if isinstance(one, Placed)]


async def until(events: list[LogEvent], done: Callable[[], bool]) -> None:
    """Wait until what was watched satisfies `done`."""
    for _ in range(400):
        if done():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"it did not come: {events[-5:]}")


async def watch(backend: Backend, start: int, events: list[LogEvent]) -> None:
    """Collect events until cancelled."""
    async for event in backend.watch(start):
        events.append(event)  # noqa: PERF401 - it never ends: each event counts when it comes


def seen(events: list[LogEvent], start: int) -> list[bytes]:
    """Return the entries in events, which must follow one another from `start` on."""
    found: list[bytes] = []
    for event in events:
        if isinstance(event, Entries):
            assert event.start == start + len(found)
            found += event.entries
    return found


class BackendContract:
    """Inherit it and give `backend_factory`."""

    @pytest.fixture
    async def ledger(self, backend_factory: BackendFactory) -> Ledger:
        return await backend_factory()

    async def test_traits_are_constant(self, ledger: Ledger) -> None:
        before = ledger.backend.traits
        await ledger.append(ledger.network.put("a"))
        assert ledger.backend.traits == before

    async def test_head_names_size_finality_and_checkpoint_by_traits(self, ledger: Ledger) -> None:
        head = await ledger.backend.head()
        entries = await ledger.entries()
        assert head.size == len(entries)
        assert 0 <= head.final_size <= head.size
        assert (head.checkpoint is not None) is ledger.backend.traits.checkpoints
        if head.checkpoint is not None:
            tree = Frontier()
            tree.append_many(leaf_hashes(entries))
            checkpoint = parse_checkpoint(parse_note(head.checkpoint).text)
            assert (checkpoint.size, checkpoint.root) == (head.size, tree.root())

    async def test_read_gives_the_very_bytes(self, ledger: Ledger) -> None:
        first = [one.entry for one in ledger.network.first]
        assert (await ledger.backend.read(0, 3))[:3] == first
        assert await ledger.backend.read(1, 2) == first[1:2]
        assert await ledger.backend.read(2, 1_000_000) == (await ledger.entries())[2:]

    async def test_read_beyond_the_end_or_of_nothing_is_empty(self, ledger: Ledger) -> None:
        size = (await ledger.backend.head()).size
        assert await ledger.backend.read(size, size + 10) == []
        assert await ledger.backend.read(size + 5, size + 10) == []
        assert await ledger.backend.read(1, 1) == []

    async def test_append_places_in_order_and_answers_each(self, ledger: Ledger) -> None:
        before = (await ledger.backend.head()).size
        things = ledger.network.things(5)
        results = placed(await ledger.append(*things))
        assert [one.digest for one in results] == [one.statement.digest for one in things]
        indices = [one.index for one in results]
        assert indices == sorted(indices)
        assert indices[0] >= before
        log = await ledger.entries()
        assert [log[index] for index in indices] == [one.entry for one in things]

    async def test_append_answers_with_receipt_or_position(self, ledger: Ledger) -> None:
        [one] = placed(await ledger.append(ledger.network.put("a")))
        assert (one.receipt is not None) is ledger.backend.traits.checkpoints
        assert (one.position is None) is ledger.backend.traits.checkpoints

    async def test_receipt_proves_the_entry_under_the_log_key(self, ledger: Ledger) -> None:
        thing = ledger.network.put("a")
        [one] = placed(await ledger.append(thing))
        if one.receipt is None:
            assert not ledger.backend.traits.checkpoints
            return
        receipt = parse_receipt(one.receipt)
        assert (receipt.index, receipt.entry) == (one.index, thing.entry)
        verify_proof(receipt)
        note, vkey = parse_note(receipt.note), parse_vkey(log_vkey(ORIGIN, key("log")))
        [line] = note.lines_of(vkey)
        assert check_line(note, line, vkey)

    async def test_empty_append_is_nothing(self, ledger: Ledger) -> None:
        before = await ledger.backend.head()
        assert await ledger.append_bytes([]) == []
        assert (await ledger.backend.head()).size == before.size

    async def test_a_batch_is_not_atomic(self, ledger: Ledger) -> None:
        good, other = ledger.network.things(2)
        before = len(await ledger.entries())
        results = await ledger.append_bytes([good.entry, b"{}", other.entry])
        assert [type(one) for one in results] == [Placed, Refused, Placed]
        assert isinstance(results[1], Refused)
        assert isinstance(results[1].error, FormatError)
        assert (await ledger.entries())[before:][-2:] == [good.entry, other.entry]

    async def test_a_request_of_nothing_good_stores_nothing(self, ledger: Ledger) -> None:
        before = await ledger.entries()
        results = await ledger.append_bytes([b"", b"x" * (LIMITS.entry + 1), b"\xff{"])
        assert [type(one) for one in results] == [Refused, Refused, Refused]
        assert await ledger.entries() == before

    async def test_what_is_void_has_no_effect(self, ledger: Ledger) -> None:
        forged = ledger.network.signed("put", "thing", "forged", {"x": 1}, by="stranger")
        before = await ledger.entries()
        [result] = await ledger.append(forged)
        after = await ledger.entries()
        if ledger.judges:
            assert isinstance(result, Refused)
            assert result.error.code == "not-allowed"
            assert after == before
        else:
            assert isinstance(result, Placed)
            assert not fold(after)[1][result.index]
        assert fold(after)[0].record("forged") is None

    async def test_one_statement_twice_has_one_effect(self, ledger: Ledger) -> None:
        thing = ledger.network.put("a")
        [first] = placed(await ledger.append(thing))
        again = placed(await ledger.append(thing, thing))
        log = await ledger.entries()
        accepted = [index for index, ok in enumerate(fold(log)[1]) if ok and log[index] == thing.entry]
        assert accepted == [first.index]
        if ledger.judges:
            assert [one.index for one in again] == [first.index, first.index]
            assert [one.receipt is None for one in again] == [first.receipt is None] * 2
        found = await ledger.backend.find(thing.statement.digest)
        assert found is not None
        assert found.index == first.index

    async def test_find_knows_what_is_there_only(self, ledger: Ledger) -> None:
        [one] = placed(await ledger.append(ledger.network.put("a")))
        found = await ledger.backend.find(one.digest)
        assert found is not None
        assert (found.index, found.digest) == (one.index, one.digest)
        assert (found.receipt is None) is not ledger.backend.traits.checkpoints
        assert await ledger.backend.find("0" * 64) is None
        assert await ledger.backend.find("no digest") is None
        root = await ledger.backend.find(ledger.network.id)
        assert root is not None
        assert root.index == 0

    async def test_expected_size_is_compare_and_set_or_unsupported(self, ledger: Ledger) -> None:
        size = (await ledger.backend.head()).size
        one, other = ledger.network.things(2)
        if not ledger.backend.traits.compare_and_set:
            with pytest.raises(UnsupportedError):
                await ledger.backend.append([one.entry], expected_size=size)
            return
        [result] = placed(await ledger.backend.append([one.entry], expected_size=size))
        after = (await ledger.backend.head()).size
        for wrong in (size, after + 1, 0):
            with pytest.raises(SizeMismatchError):
                await ledger.backend.append([other.entry], expected_size=wrong)
        assert (await ledger.backend.head()).size == after == result.index + 1

    async def test_what_others_write_cannot_be_written_here(self, ledger: Ledger) -> None:
        if ledger.backend.traits.writable:
            return
        before = await ledger.entries()
        with pytest.raises(UnsupportedError):
            await ledger.backend.append([ledger.network.put("a").entry])
        assert await ledger.entries() == before

    async def test_of_rivals_with_one_expected_size_one_wins(self, ledger: Ledger) -> None:
        if not ledger.backend.traits.compare_and_set:
            return
        await ledger.append(ledger.network.put("settled"))
        size = (await ledger.backend.head()).size
        rivals = [ledger.backend.append([one.entry], expected_size=size) for one in ledger.network.things(5)]
        results = await asyncio.gather(*rivals, return_exceptions=True)
        assert sum(isinstance(one, list) for one in results) == 1
        assert sum(isinstance(one, SizeMismatchError) for one in results) == 4
        assert (await ledger.backend.head()).size == size + 1

    async def test_concurrent_appends_all_stand(self, ledger: Ledger) -> None:
        things = ledger.network.things(40)
        results = await asyncio.gather(*(ledger.append(one) for one in things))
        indices = [placed(one)[0].index for one in results]
        log = await ledger.entries()
        assert len(set(indices)) == 40
        assert [log[index] for index in indices] == [one.entry for one in things]

    async def test_finality_is_at_once_or_later(self, ledger: Ledger) -> None:
        [one] = placed(await ledger.append(ledger.network.put("a")))
        head = await ledger.backend.head()
        if ledger.backend.traits.instant_finality:
            assert head.final_size == head.size
            return
        assert head.final_size <= one.index
        assert one.position is not None
        assert not one.position.final
        await ledger.settle()
        assert (await ledger.backend.head()).final_size > one.index
        found = await ledger.backend.find(one.digest)
        assert found is not None
        assert found.position is not None
        assert found.position.final

    async def test_watch_catches_up_then_follows(self, ledger: Ledger) -> None:
        events: list[LogEvent] = []
        late: list[LogEvent] = []
        tasks = [asyncio.create_task(watch(ledger.backend, 0, events)), asyncio.create_task(watch(ledger.backend, 2, late))]
        try:
            await until(events, lambda: any(isinstance(one, NewHead) for one in events))
            [one] = placed(await ledger.append(ledger.network.put("a")))
            await until(events, lambda: len(seen(events, 0)) > one.index)
            await until(late, lambda: len(seen(late, 2)) + 2 > one.index)
            log = await ledger.entries()
            assert seen(events, 0) == log
            assert seen(late, 2) == log[2:]
            await until(events, lambda: isinstance(events[-1], NewHead) and events[-1].head.size == len(log))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def test_watch_from_the_end_tells_the_head(self, ledger: Ledger) -> None:
        size = (await ledger.backend.head()).size
        events = ledger.backend.watch(size)
        event = await asyncio.wait_for(anext(events), 5)
        assert isinstance(event, NewHead)
        assert event.head.size == size
        await events.aclose()  # type: ignore[attr-defined] # every watch is a generator

    async def test_close_is_idempotent_and_ends_service(self, ledger: Ledger) -> None:
        await ledger.backend.close()
        await ledger.backend.close()
        with pytest.raises(LedgerError):
            await ledger.backend.append([ledger.network.put("a").entry])
        with pytest.raises(LedgerError):
            await ledger.backend.head()
