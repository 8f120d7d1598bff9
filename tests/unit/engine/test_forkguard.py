"""The fork guard beside a root with `continues` that is being placed: what each alarm says, and of which log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ledger.engine.forkguard import RESTORED, ForkGuard
from ledger.engine.genesis import create_log
from ledger.engine.headfile import HeadFile
from ledger.engine.store import Store
from tests.support.small_network import ORIGIN, SmallNetwork, TurnedClock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

FACT = "clock"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    network = SmallNetwork()
    await create_log(tmp_path / "ledger.db", network.first, network.keys, TurnedClock())
    store = await asyncio.to_thread(Store.open, tmp_path / "ledger.db")
    yield store
    await asyncio.to_thread(store.close)


@pytest.fixture
async def guard(store: Store) -> ForkGuard:
    """Return a guard that stopped the signing for what a backup lacks."""
    guard = ForkGuard(store, HeadFile(store.path.with_name("head.json")))
    await guard.alarm("restored", FACT, 0)
    return guard


def written(store: Store) -> object:
    return store.read_now(lambda snapshot: snapshot.meta(RESTORED))


async def commit_root_with_continues(store: Store) -> None:
    """Write what such a commit writes; the guard hears of it afterwards, by `end`."""
    await store.write(lambda transaction: transaction.put_meta(RESTORED, None))


async def test_first_reason_stands(guard: ForkGuard, store: Store) -> None:
    await guard.alarm("presented", FACT, 7, ORIGIN)
    assert (guard.risk, written(store), store.read_now(lambda snapshot: snapshot.meta(FACT))) == ("restored", "restored", 7)


async def test_root_ends_the_risk(guard: ForkGuard, store: Store) -> None:
    await commit_root_with_continues(store)
    await guard.end()
    assert (guard.risk, written(store)) == (None, None)


@pytest.mark.parametrize("sooner", [True, False])
async def test_alarm_of_the_log_that_goes_on_stands_whenever_it_comes(guard: ForkGuard, store: Store, *, sooner: bool) -> None:
    await commit_root_with_continues(store)
    if sooner:
        await guard.alarm("presented", FACT, 0, ORIGIN)
        await guard.end()
    else:
        await guard.end()
        await guard.alarm("presented", FACT, 0, ORIGIN)
    assert (guard.risk, written(store)) == ("presented", "presented")


@pytest.mark.parametrize("sooner", [True, False])
async def test_alarm_of_the_log_that_was_lost_changes_nothing(guard: ForkGuard, store: Store, *, sooner: bool) -> None:
    await commit_root_with_continues(store)
    if sooner:
        await guard.alarm("presented", FACT, 7, "ledger.internal/small/lost")
        await guard.end()
    else:
        await guard.end()
        await guard.alarm("presented", FACT, 7, "ledger.internal/small/lost")
    assert (guard.risk, written(store), store.read_now(lambda snapshot: snapshot.meta(FACT))) == (None, None, None)


async def test_risk_that_could_not_be_written_down_outlives_an_alarm_of_the_log_that_was_lost(guard: ForkGuard, store: Store) -> None:
    await commit_root_with_continues(store)
    await guard.end()
    guard.risk = "held in memory alone"
    await guard.alarm("presented", FACT, 0, "ledger.internal/small/lost")
    assert guard.risk == "held in memory alone"
