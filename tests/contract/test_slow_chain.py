"""The in-memory chain keeps the contract of the port, with and without compare-and-set; and does what tests of chains need."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger.core.backend import Entries, RolledBack
from ledger.core.errors import OutcomeUnknown
from tests.contract.racing import RaceContract
from tests.contract.suite import BackendContract, BackendFactory, Ledger, fold, placed, seen, until, watch
from tests.support.slow_chain import SlowChain
from tests.support.small_network import SmallNetwork

if TYPE_CHECKING:
    from ledger.core.backend import LogEvent


async def make_chain(*, finality: int = 3, compare_and_set: bool = True) -> tuple[SlowChain, Ledger]:
    """Return a chain that holds the first entries of a network."""
    chain, network = SlowChain(finality=finality, compare_and_set=compare_and_set), SmallNetwork()
    await chain.append([one.entry for one in network.first])
    await chain.mine(finality)

    async def settle() -> None:
        await chain.mine(finality)

    return chain, Ledger(chain, network, judges=False, settle=settle)


@pytest.mark.parametrize("finality", [1, 4])
@pytest.mark.parametrize("compare_and_set", [True, False])
class TestSlowChain(RaceContract, BackendContract):
    @pytest.fixture
    def backend_factory(self, finality: int, compare_and_set: bool) -> BackendFactory:
        async def make() -> Ledger:
            return (await make_chain(finality=finality, compare_and_set=compare_and_set))[1]

        return make


async def test_reorg_is_told_and_the_transaction_comes_back() -> None:
    chain, ledger = await make_chain()
    events: list[LogEvent] = []
    task = asyncio.create_task(watch(chain, 0, events))
    first, second = ledger.network.things(2)
    [one] = placed(await ledger.append(first))
    placed(await ledger.append(second))
    await until(events, lambda: len(seen(events, 0)) == 5)
    assert await chain.reorg(2) == 3
    await until(events, lambda: RolledBack(3) in events)
    assert await chain.find(one.digest) is None
    await chain.mine()
    await until(events, lambda: isinstance(events[-2], Entries) and events[-2] == Entries(3, (first.entry, second.entry)))
    again = await chain.find(one.digest)
    assert again is not None
    assert again.position is not None
    assert again.position.block_hash != (one.position and one.position.block_hash)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_forgotten_transaction_stays_away() -> None:
    chain, ledger = await make_chain()
    [one] = placed(await ledger.append(ledger.network.put("a")))
    await chain.reorg(1, forget=True)
    await chain.mine(5)
    assert await chain.find(one.digest) is None


async def test_final_blocks_do_not_go() -> None:
    chain, ledger = await make_chain(finality=2)
    await ledger.append(ledger.network.put("a"))
    with pytest.raises(ValueError, match="not final"):
        await chain.reorg(3)


@pytest.mark.parametrize("included", [True, False])
async def test_an_unknown_outcome_is_found_by_its_digest(included: bool) -> None:
    chain, ledger = await make_chain()
    thing = ledger.network.put("a")
    chain.lose_next(included=included)
    with pytest.raises(OutcomeUnknown) as caught:
        await ledger.append(thing)
    assert caught.value.operation == thing.statement.digest
    assert (await chain.find(thing.statement.digest) is not None) is included


async def test_junk_and_forgeries_of_strangers_are_entries_without_effect() -> None:
    chain, ledger = await make_chain()
    thing = ledger.network.put("a")
    stranger = ledger.network.signed("put", "thing", "b", {}, by="stranger")
    await chain.inject(b"\x00junk", thing.entry[:-1], stranger.entry)
    await ledger.append(thing)
    state, verdicts = fold(await ledger.entries())
    assert verdicts == [True, True, True, False, False, False, True]
    assert state.record("a") is not None
    assert state.record("b") is None
