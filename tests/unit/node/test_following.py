"""Following: from source to source, pushed and polled, past everything that a source can do."""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from ledger.client.bodies import Reply
from ledger.client.ordered import ChainSyncer
from ledger.client.transport import problem_error
from ledger.core.backend import Entries, Head, LogEvent, NewHead
from ledger.core.checkpoint import Checkpoint
from ledger.core.errors import BadSourceError, NotFoundError, SplitViewError, UnreachableError
from ledger.core.limits import LIMITS
from ledger.core.merkle import Frontier, leaf_hashes
from ledger.core.note import Note, clock_line, log_line
from ledger.engine.replica import Replica
from ledger.engine.signing import clock_name
from ledger.engine.store import Store
from ledger.http.logs import EventLog
from ledger.node.following import Following, Pace
from ledger.node.sources import REST_POLLS, Arrived, Source
from tests.support.small_network import ORIGIN, START, SmallNetwork, TurnedClock, key

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable
    from pathlib import Path

    from ledger.client.sync import Move

SECONDS = 10.0


class PaperLog:
    """A source without a server: it shows `entries`, signs notes of them, and pushes what is added."""

    def __init__(self, network: SmallNetwork, things: int = 3) -> None:
        self.network = network
        self.entries = [one.entry for one in [*network.first, *network.things(things)]]
        self.time = int(START)
        self.requests = 0
        self.received = 0
        self.closed = False
        self.fault: Exception | None = None
        self.spoil: Callable[[list[bytes]], list[bytes]] = list
        self.feed_fault: Exception | None = None
        self.feeds = 0

    def note(self) -> bytes:
        frontier = Frontier()
        frontier.append_many(leaf_hashes(self.entries))
        text = Checkpoint(ORIGIN, len(self.entries), frontier.root()).text
        lines = (log_line(text, ORIGIN, key("log")), clock_line(text, clock_name(ORIGIN), key("clock"), self.time))
        return Note(text, lines).encode()

    def _asked(self) -> None:
        self.requests += 1
        if self.fault is not None:
            raise self.fault

    async def head(self) -> Head:
        self._asked()
        return Head(len(self.entries), len(self.entries), checkpoint=self.note())

    async def read(self, start: int, end: int) -> list[bytes]:
        self._asked()
        return self.spoil(self.entries[start:end])

    async def roots(self, version: int) -> bytes | None:
        self._asked()
        return self.entries[0] if version == 1 else None

    async def close(self) -> None:
        self.closed = True

    def add(self, things: int = 1) -> None:
        """Grow, and push."""
        self.entries += [one.entry for one in self.network.things(things, start=len(self.entries))]

    async def feed(self, start: int) -> AsyncGenerator[LogEvent, None]:
        self.feeds += 1
        if self.feed_fault is not None:
            raise self.feed_fault
        at = start
        while True:
            if at < len(self.entries):
                page, at = tuple(self.entries[at:]), len(self.entries)
                yield Entries(at - len(page), page)
            told = self.time
            yield NewHead(Head(at, at, checkpoint=self.note()))
            await eventually(lambda: (len(self.entries), self.time) != (at, told) or self.feed_fault is not None)  # noqa: B023 - asked now
            if self.feed_fault is not None:
                raise self.feed_fault


async def eventually(true: Callable[[], bool]) -> None:
    while not true():  # noqa: ASYNC110 - what moves is plain values
        await asyncio.sleep(0.005)


class Run:
    """A following under test."""

    def __init__(self, syncer: ChainSyncer, following: Following, log: io.BytesIO, moves: list[Move]) -> None:
        self.syncer = syncer
        self.following = following
        self.log = log
        self.moves = moves

    async def size(self) -> int:
        return (await self.syncer.head()).size

    async def reaches(self, size: int) -> None:
        async with asyncio.timeout(SECONDS):
            while await self.size() < size:  # noqa: ASYNC110 - the store tells nobody
                await asyncio.sleep(0.005)

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            await eventually(true)

    def said(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]


@asynccontextmanager
async def following(folder: Path, *logs: PaperLog, poll: float = 0.1, start: bool = True) -> AsyncIterator[Run]:
    store = await asyncio.to_thread(lambda: Store.open(folder / "ledger.db", create=True))
    replica = Replica(store, logs[0].network.id)
    moves: list[Move] = []
    clock, stream = TurnedClock(), io.BytesIO()
    syncer = ChainSyncer(replica, clock=clock, evidence=folder / "evidence", moved=moves.append)
    await syncer.load()
    sources = [Source(f"https://source-{number}", log, log.feed) for number, log in enumerate(logs)]
    under_test = Following(syncer, sources, pace=Pace(poll, most=0.2), clock=clock, log=EventLog(stream, clock, level="debug"))
    task = asyncio.create_task(under_test.run()) if start else None
    try:
        yield Run(syncer, under_test, stream, moves)
        assert task is None or not task.done(), "the following ended"
    finally:
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await under_test.close()
        await asyncio.to_thread(replica.close)
        await asyncio.to_thread(store.close)


@pytest.fixture
def log() -> PaperLog:
    return PaperLog(SmallNetwork())


async def test_pushed_entries_cost_no_request(tmp_path: Path, log: PaperLog) -> None:
    async with following(tmp_path, log, poll=30.0) as run:
        await run.reaches(len(log.entries))
        await run.until(lambda: run.following.sources[0].streaming)
        asked = log.requests
        for _ in range(3):
            log.add(5)
            await run.reaches(len(log.entries))
        assert log.requests == asked == 3  # note, root 1, entries
        await run.until(lambda: len(run.moves) == 4)  # the last is told after it is stored
        assert [(move.start, move.size) for move in run.moves] == [(0, 6), (6, 11), (11, 16), (16, 21)]
        assert run.moves[-1].entries == tuple(log.entries[16:])


async def test_renewed_note_is_told(tmp_path: Path, log: PaperLog) -> None:
    async with following(tmp_path, log, poll=30.0) as run:
        await run.reaches(len(log.entries))
        await run.until(lambda: run.following.sources[0].streaming)
        log.time += 100
        await run.until(lambda: run.moves[-1].note == log.note())
        assert run.moves[-1].entries == ()
        assert run.syncer.state.note == log.note()


async def test_source_without_a_feed_is_polled(tmp_path: Path, log: PaperLog) -> None:
    log.feed_fault = NotFoundError("there is no such route")
    async with following(tmp_path, log) as run:
        await run.reaches(len(log.entries))
        log.add(2)
        await run.reaches(len(log.entries))
        assert log.feeds == 1
        assert 0 < run.following.sources[0].rest <= REST_POLLS


async def test_source_that_is_behind_keeps_its_feed(tmp_path: Path, log: PaperLog) -> None:
    log.feed_fault = NotFoundError("it cannot be watched from there", size=2)
    async with following(tmp_path, log) as run:
        await run.until(lambda: log.feeds >= 2)
        assert run.following.sources[0].rest == 0


async def test_broken_feed_is_opened_again(tmp_path: Path, log: PaperLog) -> None:
    async with following(tmp_path, log) as run:
        await run.until(lambda: run.following.sources[0].streaming)
        log.feed_fault = UnreachableError("the stream broke")
        await run.until(lambda: not run.following.sources[0].streaming)
        log.feed_fault = None
        log.add(1)
        await run.reaches(len(log.entries))
        await run.until(lambda: log.feeds >= 2)
        assert run.said("source-failed") == []


@pytest.mark.parametrize("fault", [UnreachableError("no answer"), ValueError("a bug of ours"), OSError("no route")])
async def test_failing_source_gives_way_to_the_next(tmp_path: Path, log: PaperLog, fault: Exception) -> None:
    broken = PaperLog(SmallNetwork())
    broken.fault = fault
    async with following(tmp_path, broken, log, poll=30.0) as run:
        await run.reaches(len(log.entries))
        log.add(1)
        await run.reaches(len(log.entries))
        first = run.following.sources[0].facts()
        assert first["error"] in {str(fault), type(fault).__name__}
        assert first["answered"] is None


@pytest.mark.parametrize("name", ["source", "error", "code", "event", "level", "time", "finding", "self"])
@pytest.mark.parametrize("value", ["theirs", [[[["theirs"]]]], "deep"])
async def test_no_member_of_a_problem_ends_the_following_or_is_shown_as_ours(
    tmp_path: Path, log: PaperLog, name: str, value: object
) -> None:
    said = json.dumps({"code": "internal", "detail": "x", name: value}).replace('"deep"', "[" * 300 + "]" * 300)
    broken = PaperLog(SmallNetwork())
    broken.fault = problem_error(Reply(500, {}, said.encode()))
    async with following(tmp_path, broken, log, poll=30.0) as run:
        await run.reaches(len(log.entries))
        [line] = run.said("source-failed")
        assert (line["source"], line["code"], line["error"], line["level"]) == ("https://source-0", "internal", "x", "error")
        facts = run.following.sources[0].facts()
        assert (facts["finding"], facts["error"]) == (None, "x")
        orjson.dumps({"sources": [facts]})


async def test_failure_is_said_once_however_often_it_is_met(tmp_path: Path, log: PaperLog) -> None:
    broken = PaperLog(SmallNetwork())
    broken.fault, log.feed_fault = UnreachableError("no answer"), NotFoundError("there is no such route")
    async with following(tmp_path, broken, log) as run:
        await run.until(lambda: broken.requests >= 4)
        assert [line["source"] for line in run.said("source-failed")] == ["https://source-0"]
        broken.fault = UnreachableError("another reason")
        await run.until(lambda: len(run.said("source-failed")) == 2)


async def test_source_that_is_back_is_said_to_be(tmp_path: Path, log: PaperLog) -> None:
    log.fault = UnreachableError("no answer")
    async with following(tmp_path, log) as run:
        await run.until(lambda: log.requests >= 2)
        log.fault = None
        await run.reaches(len(log.entries))
        await run.until(lambda: [line["source"] for line in run.said("source-answers-again")] == ["https://source-0"])
        assert run.following.sources[0].error is None


def lie(page: list[bytes]) -> list[bytes]:
    """Change a byte of each entry."""
    return [entry.replace(b'"payload":"', b'"payload":"A', 1) for entry in page]


async def test_bad_source_is_left_for_a_good_one(tmp_path: Path, log: PaperLog) -> None:
    liar = PaperLog(SmallNetwork())
    liar.spoil = lie
    async with following(tmp_path, liar, log, poll=30.0) as run:
        await run.reaches(len(log.entries))
        assert not run.syncer.state.stopped
        assert [line["code"] for line in run.said("source-failed")] == ["bad-source"]


async def test_evidence_of_a_bad_source_is_kept_once(tmp_path: Path, log: PaperLog) -> None:
    log.spoil = lie
    async with following(tmp_path, log, start=False) as run:
        for _ in range(3):
            with pytest.raises(BadSourceError):
                await run.following.sync_now()
        cases = await asyncio.to_thread(lambda: list((tmp_path / "evidence").iterdir()))
        assert [case.name.startswith("bad-source-") for case in cases] == [True]
        log.time += 60  # another note, another case
        with pytest.raises(BadSourceError):
            await run.following.sync_now()
        assert len(await asyncio.to_thread(lambda: list((tmp_path / "evidence").iterdir()))) == 2
        paths = []
        for _ in range(70):
            log.time += 1
            with pytest.raises(BadSourceError) as refused:
                await run.following.sync_now()
            paths.append(refused.value.context["evidence"])
        kept = await asyncio.to_thread(lambda: {str(path) for path in (tmp_path / "evidence").iterdir()})
        assert kept == set(paths[-64:])  # the newest
        assert await run.size() == 0


async def test_other_sources_are_compared_and_two_views_found(tmp_path: Path) -> None:
    network = SmallNetwork()
    log, fork = PaperLog(network), PaperLog(network, things=0)
    fork.entries = log.entries[:-1] + [one.entry for one in network.things(4, start=100)]
    async with following(tmp_path, log, fork) as run:
        await run.reaches(len(log.entries))
        await run.until(lambda: run.syncer.state.stopped)
        size = await run.size()
        log.add(3)
        await run.until(lambda: log.note() in run.syncer.state.pending)  # still heard: what ends the alarm comes from there
        assert await run.size() == size
        failures = run.said("source-failed")
        assert {line["code"] for line in failures} <= {"split-view", "unreachable"}
        assert len(failures) <= 2


async def test_sync_now_takes_the_first_source_that_answers(tmp_path: Path, log: PaperLog) -> None:
    broken = PaperLog(SmallNetwork())
    broken.fault = UnreachableError("no answer")
    async with following(tmp_path, broken, log, start=False) as run:
        report = await run.following.sync_now()
        assert (report.size, report.entries, report.requests) == (len(log.entries), len(log.entries), 3)
        log.fault = UnreachableError("gone too")
        with pytest.raises(UnreachableError, match="gone too"):
            await run.following.sync_now()


async def test_sync_now_raises_the_alarm(tmp_path: Path) -> None:
    network = SmallNetwork()
    log = PaperLog(network)
    async with following(tmp_path, log, start=False) as run:
        await run.following.sync_now()
        log.entries = log.entries[:-1] + [one.entry for one in network.things(1, start=50)]
        with pytest.raises(SplitViewError):
            await run.following.sync_now()


def test_waits_are_spread_and_grow_to_a_cap() -> None:
    pace = Pace(30.0, most=600.0)
    polls = [pace.between_polls() for _ in range(200)]
    assert 24 <= min(polls) < 29
    assert 31 < max(polls) <= 36
    assert 240 <= pace.between_comparisons() <= 360
    assert 0.8 <= pace.after_failures(0) <= 1.2
    assert 6.4 <= pace.after_failures(3) <= 9.6
    assert 480 <= pace.after_failures(10_000) <= 720
    assert Pace(0.0).between_polls() > 0


def test_arrived_entries_are_dropped_when_they_do_not_follow_or_are_too_many() -> None:
    arrived = Arrived(5)
    arrived.add(Entries(5, (b"a", b"b")))
    arrived.add(Entries(7, (b"c",)))
    assert (arrived.start, arrived.entries, arrived.size) == (5, [b"a", b"b", b"c"], 3)
    arrived.add(Entries(20, (b"d",)))
    assert (arrived.start, arrived.entries, arrived.size) == (20, [b"d"], 1)
    big = b"x" * LIMITS.entry
    for number in range(200):
        arrived.add(Entries(21 + number, (big,)))
    assert arrived.size <= LIMITS.batch_bytes + LIMITS.entry
    assert arrived.start + len(arrived.entries) == 221
    arrived.clear(300)
    assert (arrived.start, arrived.entries, arrived.size) == (300, [], 0)
