"""The agent's part in the local queue: what the commands of its home kept while the ledger was away is delivered when it is back."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from ledger.client.delivery import TARGET, WAITING, Deliverer, tend
from ledger.client.receipts import ReceiptJudge
from ledger.core.errors import LedgerError
from ledger.engine.journal import Journal
from ledger.engine.opening import open_in_thread
from ledger.engine.signing import placed_roots
from ledger.home.backends import BackendContext, open_ledger
from ledger.node.sources import HTTPS

if TYPE_CHECKING:
    from ledger.client.delivery import Delivery
    from ledger.client.place import Place
    from ledger.core.backend import Backend
    from ledger.core.ports import Clock
    from ledger.engine.store import Store
    from ledger.http.logs import EventLog
    from ledger.node.following import Pace

LOOK_SECONDS = 1.0


class Delivering:
    """Delivers the queue of one home until cancelled. Looks for new operations every second, and waits longer after failures."""

    def __init__(self, place: Place, store: Store, *, pace: Pace, clock: Clock, log: EventLog) -> None:
        self._place = place
        self._store = store
        self._pace = pace
        self._clock = clock
        self._log = log
        self._journal: Journal | None = None
        self._said: str | None = None
        self._next = float("-inf")

    async def run(self) -> None:
        """Deliver for ever. Nothing that the ledger does ends it."""
        try:
            await self._keep_on()
        finally:
            if self._journal is not None:
                await asyncio.to_thread(self._journal.close)

    async def _keep_on(self) -> None:
        failures = 0
        while True:
            try:
                await self._once()
                failures, self._said = 0, None
                await asyncio.sleep(LOOK_SECONDS)
            except Exception as error:  # noqa: BLE001 - whatever keeps it from delivering, the agent goes on
                self._tell(error)
                await asyncio.sleep(min(self._pace.poll, self._pace.after_failures(failures)))
                failures += 1

    async def _once(self) -> None:
        if self._journal is None and await asyncio.to_thread(self._place.home.journal.exists):
            self._journal = await open_in_thread(partial(Journal.at, self._place.home.journal, self._clock))
        if self._journal is not None and await self._journal.select(WAITING, target=TARGET):
            self._report(await self._deliver(self._journal))
        if self._journal is not None and self._next <= self._clock.monotonic():
            self._next = self._clock.monotonic() + self._pace.poll
            await self._tend()

    async def _deliver(self, journal: Journal) -> Delivery:
        receipts = ReceiptJudge(await self._store.read(lambda snapshot: placed_roots(snapshot.connection)))
        backend = await self._open()
        try:
            return await Deliverer(journal, backend, receipts).deliver()
        finally:
            await backend.close()

    async def _tend(self) -> None:
        """Look after what commands of this home sent to a chain: what a reorganisation took is sent again."""
        if self._place.url.on_chain and self._place.settings.passphrase is not None:
            backend = await self._open()
            try:
                await tend(backend)
            finally:
                await backend.close()

    async def _open(self) -> Backend:
        place = self._place
        if place.url.scheme == HTTPS:
            return await asyncio.to_thread(place.https)
        return await open_ledger(place.url.text, BackendContext(place.home, place.settings, self._clock, self._log))

    def _report(self, delivery: Delivery) -> None:
        for operation in delivery.placed:
            self._log.event("delivered", operation=operation.number, digest=operation.digest, index=operation.place)
        for operation, error in delivery.refused:
            self._log.failure("delivery-refused", error, operation=operation.number, digest=operation.digest)

    def _tell(self, error: Exception) -> None:
        """Say each thing once as long as it lasts."""
        text = error.message if isinstance(error, LedgerError) else type(error).__name__
        if text != self._said:
            self._log.failure("delivery-waits", error)
        self._said = text
