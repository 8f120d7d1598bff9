"""Eight who publish and one who reads while a test does something to their network, in a thread of their own."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.faults.load import Load
from tests.support.live import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.live import LiveNetwork

SOME = 20
EACH = 5


@contextmanager
def served_meanwhile(network: LiveNetwork) -> Iterator[Load]:
    """Publish and read while the block runs and some more; then nobody was refused, and all that was acknowledged holds.

    They live in the home of a member who joined before, know what a member knows, and often connect anew.
    """
    home = asyncio.run(network.join("meanwhile"))
    load, begun, over = Load(home, network.network, "meanwhile", EACH), threading.Event(), threading.Event()

    async def run() -> None:
        task = await load.until_killed(network.url, SOME)
        begun.set()
        await asyncio.to_thread(over.wait)
        enough = len(load.placed) + SOME
        await eventually(lambda: len(load.placed) >= enough or bool(load.why), "all go on afterwards")
        load.over = True  # each ends after its answer: who is cancelled in the middle leaves a socket open
        await task

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(asyncio.run, run())
        try:
            assert begun.wait(30)
            before = len(load.placed), len(load.heads)
            yield load
            after = len(load.placed), len(load.heads)
        finally:
            over.set()
        running.result()
    assert load.why == [], [repr(one) for one in load.why]
    assert all(now > then for now, then in zip(after, before, strict=True))
    load.check(network.home)
