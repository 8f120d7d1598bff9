"""The submit loop under any schedule: blocks, reorganisations, pools that forget, answers that never come, programs that end.

Whatever happens, every operation stands on the chain once; and in its order, as long as nobody else uses the account.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from blockchain_adapters.submit import Pace, Submitter
from ledger.core.canonical import sha256_hex
from ledger.engine.journal import Journal, State
from tests.support.scripted_chain import ChainWriter, ScriptedChain
from tests.support.small_network import Heard, SmallNetwork, TurnedClock

PACE = Pace(first=0.0005, most=0.001, rest=0.001, patience=30.0)
COUNT = 24
EVENTS = st.one_of(
    st.just(("add", 0)),
    st.tuples(st.just("mine"), st.integers(1, 2)),
    st.tuples(st.sampled_from(["reorg", "forget"]), st.integers(1, 2)),
    st.tuples(st.sampled_from(["silent", "lost", "drop", "end"]), st.just(0)),
)
THINGS = tuple(one.entry for one in SmallNetwork().things(COUNT))


class Story:
    """One journal, one chain, and the loop that is now between them."""

    def __init__(self, folder: Path) -> None:
        self.chain = ScriptedChain(most=5)
        self.journal = Journal.open(folder / "journal.db", TurnedClock(), create=True)
        self.added = 0
        self.submitter: Submitter | None = None

    async def begin(self) -> None:
        self.submitter = Submitter(self.journal, ChainWriter(self.chain), "chain", (TurnedClock(), Heard()), PACE)
        await self.submitter.start()

    async def end(self) -> None:
        if self.submitter is not None:
            await self.submitter.close()

    async def add(self) -> None:
        few = THINGS[self.added : self.added + 4]
        self.added += len(few)
        await self.journal.add_many("chain", [(sha256_hex(one), one) for one in few])
        if self.submitter is not None:
            self.submitter.wake()

    async def happen(self, event: str, number: int) -> None:
        match event:
            case "add":
                await self.add()
            case "mine":
                self.chain.mine(number)
            case "reorg" | "forget":
                self.chain.reorg(number, forget=event == "forget")
            case "silent" | "lost":
                self.chain.silent = [event == "silent"]
            case "drop":
                self.chain.pool.clear()
            case "rival":
                if not self.chain.pool:
                    self.chain.take_nonce()
            case _:
                await self.end()
                await self.begin()

    async def settle(self) -> None:
        """Let time pass until everything is final."""
        while self.added < COUNT:
            await self.add()
        self.chain.silent = []
        for _ in range(3_000):
            self.chain.mine()
            if self.submitter is not None:
                self.submitter.wake()
            await asyncio.sleep(0.001)
            if all(one.state is State.FINAL for one in await self.journal.select()):
                return
        raise AssertionError({one.state for one in await self.journal.select()})


async def play(events: list[tuple[str, int]], pauses: list[int]) -> list[bytes]:
    """Let the events happen, some turns of the loop apart; return what stands on the chain in the end."""
    with tempfile.TemporaryDirectory() as folder:
        story = Story(Path(folder))
        try:
            await story.begin()
            for at, (event, number) in enumerate(events):
                await story.happen(event, number)
                await asyncio.sleep(0.002 * pauses[at % len(pauses)])
            await story.settle()
            return story.chain.entries
        finally:
            await story.end()
            story.journal.close()


PAUSES = st.lists(st.integers(0, 4), min_size=1, max_size=8)


@settings(max_examples=25)
@given(st.lists(EVENTS, max_size=25), PAUSES)
def test_every_operation_stands_once_and_in_order(events: list[tuple[str, int]], pauses: list[int]) -> None:
    assert asyncio.run(play(events, pauses)) == list(THINGS)


@settings(max_examples=25)
@given(st.lists(EVENTS | st.just(("rival", 0)), max_size=25), PAUSES)
def test_every_operation_stands_once_whoever_else_uses_the_account(events: list[tuple[str, int]], pauses: list[int]) -> None:
    assert sorted(asyncio.run(play(events, pauses))) == sorted(THINGS)
