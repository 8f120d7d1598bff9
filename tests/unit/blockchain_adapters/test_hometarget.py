"""What a home mirrors through: what is under way, in which block, and facts that are asked anew in their time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from blockchain_adapters.hometarget import HomeTarget
from blockchain_adapters.opening import HomeWriting
from blockchain_adapters.submit import Pace
from blockchain_adapters.transactions import Parcel
from tests.support.live import eventually
from tests.support.scripted_chain import ChainWriter, ScriptedChain, Transaction
from tests.support.small_network import Heard, SmallNetwork, TurnedClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from blockchain_adapters.chainbackend import Source

NOW_AND_THEN = Pace(first=0.001, most=0.01, rest=0.02, patience=5.0)


class Closable:
    """In the place of a source and of what a writer holds: counts how often it is closed."""

    def __init__(self) -> None:
        self.closed = 0

    async def close(self) -> None:
        self.closed += 1


class Scene:
    """A target on a scripted chain, with the clock that its facts go by."""

    def __init__(self, writing: HomeWriting, chain: ScriptedChain, source: Closable) -> None:
        self.chain = chain
        self.clock = TurnedClock()
        self.asked = 0
        self.writing = writing
        self.target = HomeTarget(cast("Source", source), writing, self._block_of, self._ask, self.clock.monotonic)

    def _block_of(self, ticket: bytes) -> int | None:
        return self.chain.place(Transaction.parse(ticket))

    async def _ask(self) -> dict[str, object]:
        self.asked += 1
        return {"asked": self.asked}

    async def until_pending(self, *, pending: bool) -> None:
        await eventually(lambda: self.target.pending is pending, f"pending is {pending}", 20)


@pytest.fixture
def held() -> tuple[Closable, Closable]:
    """The source, and what the writer holds."""
    return Closable(), Closable()


@pytest.fixture
async def scene(tmp_path: Path, held: tuple[Closable, Closable]) -> AsyncIterator[Scene]:
    chain = ScriptedChain()
    world = (TurnedClock(), Heard())
    writing = await HomeWriting.start(tmp_path / "journal.db", (ChainWriter(chain), "chain"), world, held[1].close, NOW_AND_THEN)
    made = Scene(writing, chain, held[0])
    yield made
    await made.target.close()


async def test_it_says_what_is_under_way_and_in_which_block(scene: Scene) -> None:
    assert (scene.target.pending, scene.target.newest_block, scene.target.unsettled) == (False, -1, False)
    scene.chain.mine(3)
    carrying = asyncio.create_task(scene.target.carry(Parcel(tuple(one.entry for one in SmallNetwork().things(2)))))
    await scene.until_pending(pending=True)
    assert (scene.target.newest_block, scene.target.unsettled) == (-1, True)
    scene.chain.mine()
    scene.writing.wake()
    await carrying
    await scene.until_pending(pending=False)
    assert (scene.target.newest_block, scene.target.unsettled) == (3, True)
    scene.chain.mine(3)
    await scene.target.look()
    assert (scene.target.newest_block, scene.target.unsettled, scene.target.condition) == (-1, False, None)


async def test_facts_are_asked_anew_after_fifteen_seconds(scene: Scene) -> None:
    assert await scene.target.facts() == {"asked": 1, "unsettled": 0}
    scene.clock.turn(14.9)
    assert await scene.target.facts() == {"asked": 1, "unsettled": 0}
    scene.clock.turn(0.1)
    assert await scene.target.facts() == {"asked": 2, "unsettled": 0}


async def test_a_chain_without_fees_spends_nothing(scene: Scene) -> None:
    assert await scene.target.spent(0.0) == 0


async def test_closing_lets_go_of_the_source_and_of_the_writer(scene: Scene, held: tuple[Closable, Closable]) -> None:
    await scene.target.close()
    assert [one.closed for one in held] == [1, 1]
