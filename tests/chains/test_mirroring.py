"""The worker of a mirror beside a log in this process, whose clock a test turns: renewals, budgets, quorums, large logs."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from blockchain_adapters.chainfile import ChainFile
from blockchain_adapters.ethereum.backend import EthereumScheme, EthereumSource
from blockchain_adapters.mirrorbackend import MirrorBackend
from blockchain_adapters.mirroring import Terms, Worker
from ledger.core.trust.good import parse_claim
from ledger.home.backends import BackendContext
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from ledger.home.mirrors import Mirror
from ledger.home.settings import Settings
from ledger.home.url import parse_ledger_url
from master.forks import ForkRoutes
from master.mirrors import MasterLog
from tests.support.anvil import FUNDED_KEY
from tests.support.chain_homes import PHRASE, write_account
from tests.support.chain_writing import BATCHES, entries_of
from tests.support.live import eventually
from tests.support.running_log import TwoWitnesses, running_log, unwitnessed_log

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path
    from typing import Any, Never

    from blockchain_adapters.mirroring import Target
    from ledger.core.envelope import Envelope
    from ledger.engine.snapshot import Snapshot
    from master.forks import Comparison
    from tests.support.contract import Contract
    from tests.support.running_log import RunningLog

DAY = 86_400
URL_KEY = "ethereum.json"


class Scene:
    """A log in this process, and the worker that mirrors it to a contract."""

    def __init__(self, log: RunningLog, contract: Contract, worker: Worker) -> None:
        self.log = log
        self.contract = contract
        self.worker = worker
        log.sequencer.feed.subscribe(lambda _delta: worker.wake())

    async def append(self, envelopes: Sequence[Envelope]) -> None:
        await self.log.sequencer.append(list(envelopes))

    async def pass_time(self, seconds: float) -> None:
        """Let time pass while the log is idle, until its note has a newer time."""
        before = self.log.head.checkpoint
        self.log.clock.turn(seconds)
        await self.log.sequencer.append([self.log.network.signed("put", "thing", "refused", {}, by="stranger")])  # it wakes
        await eventually(lambda: self.log.head.checkpoint != before, "the clock line is renewed")

    async def looked(self) -> None:
        """Let the worker look twice: once it may have been on its way already."""
        for _ in range(2):
            self.worker.looked.clear()
            self.worker.wake()
            await asyncio.wait_for(self.worker.looked.wait(), 30)

    async def batches(self) -> int:
        """Return how many batches stand on the contract."""
        asked = {"address": self.contract.address, "fromBlock": "0x0", "toBlock": "latest"}
        logs = await self.contract.node.call("eth_getLogs", asked)
        return sum(len(one["topics"]) == BATCHES for one in logs)

    async def mirrored(self) -> None:
        """Wait until the contract holds the log."""
        log = await asyncio.to_thread(self.log.store.read_now, entries_in)

        async def true() -> bool:
            return await entries_of(self.contract) == log

        await eventually(true, "the contract holds the log", 60)

    async def read(self, folder: Path) -> tuple[int, bytes]:
        """Return the size and the note that somebody reads who has nothing but the contract."""
        kept = await asyncio.to_thread(ChainFile.open, folder / "reader.db")
        source = EthereumSource(self.contract.rpc(), kept, SystemClock())
        await source.open()
        backend = MirrorBackend(source, self.log.network.id)
        try:
            head = await backend.head()
        finally:
            await backend.close()
        assert head.checkpoint is not None
        return head.size, head.checkpoint


def entries_in(snapshot: Snapshot) -> list[bytes]:
    """Return all entries of a log."""
    size, found = snapshot.head().size, list[bytes]()
    while len(found) < size:
        found += snapshot.entries(len(found), size)
    return found


@asynccontextmanager
async def mirroring(
    log: RunningLog, contract: Contract, folder: Path, settings: Settings | None = None, **terms: Any
) -> AsyncIterator[Scene]:
    """Mirror a log for the time of the block."""
    home = Home(folder / "home")
    await asyncio.to_thread(home.create)
    await asyncio.to_thread(write_account, home.keys / URL_KEY, FUNDED_KEY)
    context = BackendContext(home, settings or Settings(passphrase=PHRASE), log.clock, log.heard)

    async def alarm(reason: str, _found: Comparison) -> Never:
        raise AssertionError(reason)

    async def opened() -> Target:
        return await EthereumScheme().mirror(parse_ledger_url(contract.ledger), context, Terms(log.network.id, URL_KEY))

    forks = ForkRoutes(log.store, alarm, home.evidence)
    served = MasterLog(log.store, lambda: log.head.checkpoint or b"", lambda: log.sequencer.root, forks, log.network.id)
    worker = Worker(served, Mirror(url=contract.ledger, key=URL_KEY, every=0.0, **terms), opened, (log.clock, log.heard))
    task = asyncio.create_task(worker.run())
    try:
        yield Scene(log, contract, worker)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await worker.close()
        await log.close()


async def test_an_idle_log_is_anchored_again_before_readers_call_it_stale(contract: Contract, tmp_path: Path) -> None:
    log = await running_log(tmp_path, fresh_for=30, stale_after=200)
    async with mirroring(log, contract, tmp_path) as scene:
        await scene.append(log.network.things(3))
        await scene.mirrored()
        await scene.looked()
        written = await scene.batches()
        await scene.pass_time(50)
        await scene.looked()
        assert await scene.batches() == written  # half of `stale_after` is not over
        await scene.pass_time(60)
        await eventually(lambda: scene.worker.facts(log.head.size)["note_time"] == int(log.clock.now()), "the newer note is on the chain")
        assert await scene.batches() == written + 1
        size, note = await scene.read(tmp_path)
        assert (size, note) == (log.head.size, log.head.checkpoint)


async def test_a_day_takes_so_much_gas_and_the_next_day_more(contract: Contract, tmp_path: Path) -> None:
    log = await running_log(tmp_path, fresh_for=30)
    async with mirroring(log, contract, tmp_path, max_gas_per_day=1) as scene:
        await scene.mirrored()  # the first transaction is made before anything was used
        await scene.append(log.network.things(3))
        size = log.head.size

        def waits() -> bool:
            facts = scene.worker.facts(size)
            return facts["state"] == "waits" and "gas were used within a day, and 1 are allowed" in str(facts["reason"])

        await eventually(waits, "it waits")
        assert scene.worker.facts(size)["lag"] == size - 3
        written = await scene.batches()
        await scene.pass_time(DAY / 2)
        await scene.looked()
        assert (await scene.batches(), waits()) == (written, True)
        await scene.pass_time(DAY / 2 + 1)
        await scene.mirrored()
        await scene.looked()
        assert scene.worker.facts(log.head.size)["lag"] == 0


async def test_what_one_transaction_does_not_hold_goes_in_several(contract: Contract, tmp_path: Path) -> None:
    log = await running_log(tmp_path)
    settings = Settings(passphrase=PHRASE, max_gas=400_000)
    async with mirroring(log, contract, tmp_path, settings) as scene:
        await scene.append(log.network.things(200))
        await scene.mirrored()
        assert await scene.batches() > 2
        assert await scene.read(tmp_path) == (log.head.size, log.head.checkpoint)


async def test_a_log_with_a_quorum_is_mirrored_with_witnessed_notes_alone(contract: Contract, tmp_path: Path) -> None:
    """Only the newest note has all its lines: what one transaction does not hold is proven when the last entry is there."""
    witnesses: list[str] = list(TwoWitnesses.VKEYS)
    log = await unwitnessed_log(tmp_path, quorum=2, witnesses=witnesses)
    await log.open(witnesses=TwoWitnesses())
    for start in (0, 600):
        await log.sequencer.append(list(log.network.things(600, start)))
    async with mirroring(log, contract, tmp_path) as scene:
        await scene.mirrored()
        assert await scene.batches() == 2
        size, note = await scene.read(tmp_path)
        assert (size, note, parse_claim(note).size) == (log.head.size, log.head.checkpoint, log.head.size)
        assert note.count(b"witness.w") == 2
