"""Where a store is written: in a thread of its own, or in the one that asks, where answers go out before the next commit."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from ledger.core.backend import Placed
from ledger.core.errors import NotReadyError
from ledger.engine.genesis import create_log
from ledger.engine.lanes import Threads
from ledger.engine.sequencer import Sequencer
from ledger.engine.store import LOCK, Store
from ledger.home.lock import WriterLock
from tests.support.running_log import RunningLog
from tests.support.small_network import SmallNetwork

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from ledger.engine.commit import Committed
    from ledger.engine.sequencer import Placing

HERE, ELSEWHERE = Threads(1, own_writer=False), Threads(1)


@asynccontextmanager
async def opened(folder: Path, threads: Threads) -> AsyncIterator[tuple[RunningLog, Store]]:
    """Make a log in `folder`, and open its store for these threads."""
    log = RunningLog(folder, SmallNetwork())
    await create_log(log.path, log.network.first, log.network.keys, log.clock)
    lock = await asyncio.to_thread(WriterLock.take, log.path.with_name(LOCK))
    store = await asyncio.to_thread(Store.open_held, log.path, lock, threads)
    try:
        yield log, store
    finally:
        await asyncio.to_thread(store.close)


@pytest.mark.parametrize(("threads", "here"), [(HERE, True), (ELSEWHERE, False)])
async def test_work_runs_where_it_should(tmp_path: Path, threads: Threads, here: bool) -> None:
    async with opened(tmp_path, threads) as (_, store):
        seen = [await store.write(lambda _: threading.get_ident())]
        async with store.transaction() as transaction:
            seen.append(await transaction.run(lambda _: threading.get_ident()))
        assert [one == threading.get_ident() for one in seen] == [here] * 2


async def fail_after_writing(store: Store) -> None:
    async with store.transaction() as transaction:
        await transaction.run(lambda one: one.put_meta("a", 1))
        raise ZeroDivisionError


@pytest.mark.parametrize("threads", [HERE, ELSEWHERE])
async def test_what_fails_is_undone_and_the_next_goes_on(tmp_path: Path, threads: Threads) -> None:
    async with opened(tmp_path, threads) as (_, store):
        with pytest.raises(ZeroDivisionError):
            await fail_after_writing(store)
        await store.write(lambda one: one.put_meta("b", 2))
        assert await store.read(lambda one: (one.meta("a"), one.meta("b"))) == (None, 2)
    with pytest.raises(NotReadyError):
        await store.write(lambda one: one.put_meta("c", 3))


async def test_answers_go_out_before_the_next_commit_keeps_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    async with opened(tmp_path, HERE) as (log, store):
        sequencer = Sequencer(store, log.network.keys, clock=log.clock)
        sequencer.serve_elsewhere()
        await sequencer.start()
        loop, asked = asyncio.get_running_loop(), iter(log.network.things(3))
        waiting: list[Placing] = []
        all_asked = asyncio.Event()

        def ask() -> None:
            waiting.append(sequencer.submit([next(asked).entry]))
            # As the signing process does: an answer leaves two turns of the event loop after it was given.
            waiting[-1].add_done_callback(lambda _: loop.call_soon(loop.call_soon, order.append, "answer"))
            if len(waiting) == 3:
                all_asked.set()

        commit: Callable[..., Committed | None] = sequencer._committer.commit

        def seen(*batch: object) -> Committed | None:
            order.append("commit")
            if len(waiting) < 3:
                ask()  # comes while this is committed
            return commit(*batch)

        monkeypatch.setattr(sequencer._committer, "commit", seen)
        ask()
        await all_asked.wait()
        results = [await one for one in waiting]
        await sequencer.close()
    assert all(isinstance(one, Placed) for [one] in results)
    assert order[:5] == ["commit", "answer", "commit", "answer", "commit"]
