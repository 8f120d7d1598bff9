"""The mirrors of a master's log: one worker each, as `mirrors.json` of the home says at that moment, and what they need of the log."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from blockchain_adapters.mirroring import MirroringScheme, Terms, Worker
from ledger.core.errors import UsageError
from ledger.home.backends import find_scheme
from ledger.home.mirrors import read_mirrors
from ledger.home.url import parse_ledger_url
from master.status import clock_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from blockchain_adapters.mirroring import Target
    from ledger.core.root import Root
    from ledger.engine.store import Store
    from ledger.home.backends import BackendContext
    from ledger.home.mirrors import Mirror
    from ledger.http.metrics import Metrics
    from master.forks import ForkRoutes

FIRST_LOOK_SECONDS = 5.0
LEAST_RENEWAL_SECONDS = 60.0


class MasterLog:
    """`mirroring.Log` over a master's store."""

    def __init__(self, store: Store, head: Callable[[], bytes], root: Callable[[], Root | None], forks: ForkRoutes, network: str) -> None:
        """`head` gives the newest note that left, `root` the root that counts, `forks` weighs notes that others hold."""
        self.network = network
        self.head = head
        self._store = store
        self._root = root
        self._forks = forks

    @property
    def renewal(self) -> float:
        """See Log."""
        root = self._root()
        return LEAST_RENEWAL_SECONDS if root is None else max(LEAST_RENEWAL_SECONDS, root.stale_after / 2)

    def time(self, note: bytes) -> int:
        """See Log."""
        return clock_time(note, self._root()) or 0

    async def entries(self, start: int, end: int) -> Sequence[bytes]:
        """See Log."""
        return await self._store.read(lambda snapshot: snapshot.entries(start, end)) if start < end else ()

    async def note_within(self, start: int, end: int) -> bytes | None:
        """See Log. With a quorum only the newest note is kept with all its lines."""
        root = self._root()
        if root is None or root.quorum:
            return None
        sql = "SELECT note FROM checkpoint WHERE size>? AND size<=? ORDER BY size DESC LIMIT 1"
        row = await self._store.read(lambda snapshot: snapshot.connection.execute(sql, (start, end)).fetchone())
        return None if row is None else bytes(row[0])

    async def weigh(self, note: bytes) -> bool:
        """See Log."""
        return (await self._forks.weigh(note)).fits


class Mirrors:
    """Runs the workers. `start`, `take_up` what the home says now and then, `close`."""

    def __init__(self, log: MasterLog, context: BackendContext) -> None:
        self._log = log
        self._context = context
        self._workers: dict[str, tuple[Worker, asyncio.Task[None]]] = {}

    async def start(self) -> None:
        """Begin, and give the mirrors a moment to show what they hold. A chain that does not answer holds nobody up."""
        await self.take_up()
        looks = [asyncio.create_task(worker.looked.wait()) for worker, _ in self._workers.values()]
        if looks:
            _, late = await asyncio.wait(looks, timeout=FIRST_LOOK_SECONDS)
            for one in late:
                one.cancel()

    async def take_up(self) -> None:
        """Begin, change and end workers as the home says. Raises what is wrong with the file; then all goes on as before."""
        wanted = {one.url: one for one in await asyncio.to_thread(read_mirrors, self._context.home)}
        for url in [url for url in self._workers if url not in wanted]:
            await self._end(url)
        for url, mirror in wanted.items():
            known = self._workers.get(url)
            if known is not None and (known[0].mirror.key, known[0].mirror.chain) == (mirror.key, mirror.chain):
                if known[0].mirror != mirror:
                    known[0].change(mirror)
                continue
            if known is not None:
                await self._end(url)
            worker = Worker(self._log, mirror, partial(self._open, mirror), (self._context.clock, self._context.observer))
            self._workers[url] = worker, asyncio.create_task(worker.run(), name="mirror")

    async def _open(self, mirror: Mirror) -> Target:
        url = parse_ledger_url(mirror.url)
        scheme = await asyncio.to_thread(find_scheme, url)
        if not isinstance(scheme, MirroringScheme):
            raise UsageError(f"{url.scheme} ledgers hold no mirrors")
        return await scheme.mirror(url, self._context, Terms(self._log.network, mirror.key, mirror.chain))

    async def _end(self, url: str) -> None:
        worker, task = self._workers.pop(url)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await worker.close()

    def wake(self) -> None:
        """Tell all workers that the log grew."""
        for worker, _ in self._workers.values():
            worker.wake()

    def facts(self, size: int) -> list[dict[str, object]]:
        """Return how each mirror of a log of that size is, as `GET /v1/status` shows it."""
        return [worker.facts(size) for worker, _ in self._workers.values()]

    def show_in(self, metrics: Metrics, size: Callable[[], int]) -> None:
        """Show what moves as gauges: the worst of all mirrors."""

        def worst(name: str) -> float:
            found = [fact for one in self.facts(size()) if isinstance(fact := one[name], int)]
            return float(max(found, default=0))

        metrics.gauge("mirror_lag_entries", "Entries of the log that the mirror furthest behind lacks.", lambda: worst("lag"))
        metrics.gauge("mirror_gas_day", "Gas within a day, of the mirror that used most.", lambda: worst("gas_today"))
        metrics.gauge(
            "mirrors_waiting",
            "Mirrors that something keeps from going on.",
            lambda: float(sum(one["state"] in ("waits", "dead") for one in self.facts(size()))),
        )

    async def close(self) -> None:
        """End all workers. What is under way stands in their journals. Idempotent."""
        for url in list(self._workers):
            await self._end(url)
