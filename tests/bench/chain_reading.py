"""Reading a log from a chain as a fresh node does: all of its entries, and the signature of each."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ledger.core.envelope import pae, parse_envelope
from ledger.core.merkle import leaf_hashes
from ledger.engine.replica import paused_gc
from ledger.engine.signatures import THREADS
from tests.support.small_network import key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from blockchain_adapters.directbackend import DirectBackend
    from ledger.core.envelope import Envelope


async def read_and_verify(open_source: Callable[[], Awaitable[None]], backend: DirectBackend) -> tuple[float, float, float]:
    """Return the seconds until all was read, until all was verified, and the processor's seconds of this process."""
    pool = ThreadPoolExecutor(THREADS)
    began, computing = time.perf_counter(), time.process_time()
    await open_source()
    await backend.catch_up()
    read = time.perf_counter() - began
    at, before = 0, list[asyncio.Task[None]]()
    while page := await backend.read(at, at + 1_000):
        before.append(asyncio.create_task(asyncio.to_thread(_verify, page, pool)))
        at += len(page)
        if len(before) == THREADS:
            await before.pop(0)
    await asyncio.gather(*before)
    verified, computed = time.perf_counter() - began, time.process_time() - computing
    pool.shutdown()
    return read, verified, computed


def _verify(page: list[bytes], pool: ThreadPoolExecutor) -> None:
    with paused_gc():
        leaf_hashes(page)
        envelopes = [parse_envelope(entry) for entry in page]
        assert all(all(one) for one in pool.map(_hold, [envelopes[start::THREADS] for start in range(THREADS)]))


def _hold(envelopes: Sequence[Envelope]) -> list[bool]:
    """Tell of each entry whether its signatures hold."""
    known = {key(name).public.keyid: key(name).public for name in ("author", "admin")}
    return [all(known[one.keyid].verify(one.sig, pae(envelope.payload)) for one in envelope.signatures) for envelope in envelopes]
