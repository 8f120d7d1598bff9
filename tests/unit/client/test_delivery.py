"""Delivering the queue: each answer of a ledger leads to one state, unknown is not failed, and nothing is sent blindly twice."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from ledger.client.delivery import TARGET, Deliverer, Delivery
from ledger.core.backend import Entries, Head, Placed, Refused, Traits
from ledger.core.envelope import parse_envelope
from ledger.core.errors import (
    AuthenticationError,
    BusyError,
    ConflictError,
    FormatError,
    InternalError,
    LedgerError,
    NotAllowedError,
    NotReadyError,
    OutcomeUnknown,
    ProofError,
    UnreachableError,
)
from ledger.engine.journal import Journal, Operation, State
from ledger.home.home import Home
from tests.support.small_network import SmallNetwork, TurnedClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from ledger.core.envelope import Envelope

NETWORK = SmallNetwork()
TWO = [(one.statement.digest, one.entry) for one in NETWORK.things(2)]


@dataclass
class FakeLedger:
    """A Backend that answers as it is told: `answers` by digest, or `failure` for all. `placed` is what it holds."""

    answers: dict[str, LedgerError] = field(default_factory=dict)
    failure: LedgerError | None = None
    placed: list[str] = field(default_factory=list)
    sent: list[list[str]] = field(default_factory=list)
    traits: Traits = field(default_factory=lambda: Traits(compare_and_set=True, checkpoints=True, instant_finality=True))

    async def append(self, envelopes: Sequence[bytes], *, expected_size: int | None = None) -> list[Placed | Refused]:
        digests = [parse_envelope(one).statement.digest for one in envelopes]
        self.sent.append(digests)
        if self.failure is not None:
            raise self.failure
        return [self._answer(digest) for digest in digests]

    def _answer(self, digest: str) -> Placed | Refused:
        if digest in self.answers:
            return Refused(self.answers[digest])
        if digest not in self.placed:
            self.placed.append(digest)
        return Placed(self.placed.index(digest), digest, b"receipt")

    async def find(self, digest: str) -> Placed | None:
        return Placed(self.placed.index(digest), digest, b"receipt") if digest in self.placed else None

    async def head(self) -> Head:
        return Head(len(self.placed), len(self.placed))

    async def read(self, start: int, end: int) -> list[bytes]:
        return []

    async def watch(self, start: int) -> AsyncIterator[Entries]:
        yield Entries(start, ())

    async def close(self) -> None:
        self.sent.clear()


@dataclass
class Check:
    error: LedgerError | None = None

    def check(self, placed: Placed, envelope: Envelope) -> None:
        if self.error is not None:
            raise self.error


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await asyncio.to_thread(Journal.at, tmp_path / "journal.db", TurnedClock())
    await opened.add_many(TARGET, TWO)
    yield opened
    await asyncio.to_thread(opened.close)


async def states(journal: Journal) -> list[State]:
    return [one.state for one in await journal.select()]


async def test_what_is_placed_is_final_and_never_sent_again(journal: Journal) -> None:
    ledger = FakeLedger()
    done = await Deliverer(journal, ledger, Check()).deliver()
    assert ([one.place for one in done.placed], done.refused, done.waiting) == (["0", "1"], [], 0)
    assert done.remarks() == ["2 operations delivered from the queue"]
    assert (await Deliverer(journal, ledger, Check()).deliver()) == Delivery()
    assert ledger.sent == [[digest for digest, _ in TWO]]
    assert await states(journal) == [State.FINAL, State.FINAL]


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (ConflictError("taken"), State.DEAD),
        (NotAllowedError("no"), State.DEAD),
        (FormatError("bad"), State.DEAD),
        (NotReadyError("not now"), State.QUEUED),
        (InternalError("502"), State.SENT),
        (ProofError("odd"), State.SENT),
    ],
)
async def test_one_answer_decides_for_one_operation(journal: Journal, answer: LedgerError, state: State) -> None:
    done = await Deliverer(journal, FakeLedger({TWO[0][0]: answer}), Check()).deliver()
    assert await states(journal) == [state, State.FINAL]
    first = await journal.get(1)
    assert first.reason == (None if state is State.SENT else f"{answer.message} [{answer.code}]")
    assert ([one.number for one, _ in done.refused], done.waiting) == (([1], 0) if state is State.DEAD else ([], 1))


@pytest.mark.parametrize(
    ("failure", "state", "raised"),
    [
        (UnreachableError("away"), State.QUEUED, True),
        (BusyError("full"), State.QUEUED, True),
        (OutcomeUnknown("lost", operation="x"), State.SENT, True),
        (FormatError("no JSON"), State.SENT, True),
        (AuthenticationError("revoked"), State.DEAD, False),
    ],
)
async def test_a_ledger_that_fails_leaves_what_is_true(journal: Journal, failure: LedgerError, state: State, raised: bool) -> None:
    with suppress(type(failure)) if not raised else pytest.raises(type(failure)):
        await Deliverer(journal, FakeLedger(failure=failure), Check()).deliver()
    assert await states(journal) == [state, state]


async def test_what_was_sent_is_asked_for_before_it_is_sent_again(journal: Journal) -> None:
    ledger = FakeLedger(failure=OutcomeUnknown("lost", operation="x"))
    with pytest.raises(OutcomeUnknown):
        await Deliverer(journal, ledger, Check()).deliver()
    ledger.failure, ledger.placed = None, [TWO[0][0]]  # the first had arrived
    await Deliverer(journal, ledger, Check()).deliver()
    assert ledger.sent[1:] == [[TWO[1][0]]]
    assert [one.place for one in await journal.select()] == ["0", "1"]


async def test_a_placement_without_proof_is_not_believed(journal: Journal) -> None:
    ledger = FakeLedger()
    with pytest.raises(ProofError):
        await Deliverer(journal, ledger, Check(ProofError("forged"))).deliver()
    assert await states(journal) == [State.SENT, State.SENT]
    await Deliverer(journal, ledger, Check()).deliver()
    assert await states(journal) == [State.FINAL, State.FINAL]
    assert len(ledger.sent) == 1


async def test_two_deliverers_at_once_have_one_effect(journal: Journal) -> None:
    ledger = FakeLedger()
    both = await asyncio.gather(*(Deliverer(journal, ledger, Check()).deliver() for _ in range(2)))
    assert len(ledger.placed) == 2
    assert sum(len(done.placed) for done in both) == 2
    assert await states(journal) == [State.FINAL, State.FINAL]


async def test_what_a_cancelled_delivery_sent_stays_sent(journal: Journal) -> None:
    started = asyncio.Event()

    class Silent(FakeLedger):
        async def append(self, envelopes: Sequence[bytes], *, expected_size: int | None = None) -> list[Placed | Refused]:
            started.set()
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return] # never answers

    task = asyncio.create_task(Deliverer(journal, Silent(), Check()).deliver())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await states(journal) == [State.SENT, State.SENT]


async def test_a_journal_that_two_make_at_once_is_one(tmp_path: Path) -> None:
    home = Home(tmp_path / "new")
    await asyncio.to_thread(home.path.mkdir)
    opened = await asyncio.gather(*(asyncio.to_thread(Journal.at, home.journal, TurnedClock()) for _ in range(4)))
    added: list[Operation] = [await one.add(TARGET, "d", b"") for one in opened]
    assert len({one.number for one in added}) == 1
    for one in opened:
        await asyncio.to_thread(one.close)
    assert [path.name for path in home.path.iterdir()] == ["journal.db"]


async def test_only_the_newest_delivered_ones_are_kept(journal: Journal) -> None:
    await Deliverer(journal, FakeLedger(), Check()).deliver()
    await journal.add(TARGET, "waits", b"")
    await journal.forget(1)
    assert [one.number for one in await journal.select()] == [2, 3]
    with pytest.raises(ConflictError):
        await journal.renew(3, "x", b"")
    await journal.move(3, State.DEAD, reason="no")
    after = await journal.renew(3, "x", b"y")
    assert (after.state, after.digest, after.payload, after.reason) == (State.QUEUED, "x", b"y", None)
