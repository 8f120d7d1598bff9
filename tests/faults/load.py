"""Eight who publish over TLS and one who watches, while their master is killed; and what must hold afterwards.

`Load` remembers every acknowledgement and every checkpoint that it got. `check` holds them against what lies on disk.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, takewhile
from typing import TYPE_CHECKING

from auth.keystore import KeyStore
from ledger.client.checking import verify_snapshot
from ledger.client.https import HttpsBackend
from ledger.client.place import Place
from ledger.core.backend import Placed
from ledger.core.canonical import format_time
from ledger.core.checkpoint import parse_checkpoint
from ledger.core.envelope import Envelope, sign
from ledger.core.errors import LedgerError
from ledger.core.fold import present_root
from ledger.core.merkle import tree_root
from ledger.core.note import good_lines, line_time, parse_note, parse_vkey
from ledger.core.receipt import parse_receipt, verify_proof
from ledger.core.statement import Statement, derive_id
from ledger.engine.store import Store
from ledger.home.clock import SystemClock
from ledger.home.home import Home

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from ledger.client.transport import Transport
    from ledger.core.canonical import JSONObject
    from ledger.engine.snapshot import Snapshot

PUBLISHERS = 8
MANY = 20
LOOK_SECONDS = 0.01


@dataclass
class Load:
    """The publishers of one network, over all the lives of its master. After `each` answers one opens a connection anew; never if None."""

    home: Path
    network: str
    name: str = "site"
    each: int | None = None
    placed: list[tuple[Envelope, Placed]] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    sent: int = 0
    lost: int = 0
    over: bool = False
    why: list[LedgerError] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._key = KeyStore(Home(self.home).keys).load("member")
        self._chance = random.Random(str(self.home))

    def envelope(self) -> Envelope:
        """Return a site that nobody published yet."""
        self.sent += 1
        body: JSONObject = {"name": f"{self.name} {self.sent}"}
        by, now = self._key.public.keyid, format_time(int(SystemClock().now()))
        return sign(Statement(self.network, "put", "site", derive_id("site", body), None, by, now, body), [self._key])

    async def until_killed(self, url: str, acknowledged: int) -> asyncio.Task[None]:
        """Publish at `url` until the master is gone; return the task, once so many acknowledgements came."""
        began = len(self.placed)
        task = asyncio.create_task(self._all(url))
        while len(self.placed) < began + acknowledged:
            assert not task.done(), "the master is gone before it was killed"
            await asyncio.sleep(LOOK_SECONDS / 10)
        return task

    async def _all(self, url: str) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(PUBLISHERS):
                group.create_task(self._publish(url, many=number == 0))
            group.create_task(self._watch(url))

    async def _publish(self, url: str, *, many: bool) -> None:
        try:
            while not self.over:
                async with self._connected(url) as transport:
                    await self._publish_some(HttpsBackend(transport), MANY if many else 1)
        except LedgerError as error:
            self.lost += 1
            self.why.append(error)

    async def _publish_some(self, backend: HttpsBackend, many: int) -> None:
        for _ in self._answers():
            envelopes = [self.envelope() for _ in range(many)]
            results = await backend.append([one.entry for one in envelopes])
            for envelope, result in zip(envelopes, results, strict=True):
                assert isinstance(result, Placed), result
                self.placed.append((envelope, result))

    async def _watch(self, url: str) -> None:
        try:
            while not self.over:
                async with self._connected(url) as transport:
                    for _ in self._answers():
                        self.heads.append((await transport.get("/checkpoint", private=False)).body)
                        await asyncio.sleep(LOOK_SECONDS)
        except LedgerError as error:
            self.why.append(error)

    @asynccontextmanager
    async def _connected(self, url: str) -> AsyncIterator[Transport]:
        async with await asyncio.to_thread(lambda: Place.find(self.home).transport(url=url)) as transport:
            yield transport

    def _answers(self) -> Iterator[int]:
        """Count the answers that one connection is to bring."""
        return takewhile(lambda _: not self.over, count() if self.each is None else range(self.each))

    def moment(self) -> float:
        """Return how long to wait before the next kill, in seconds: anything from at once to longer than many commits."""
        return self._chance.choice((0.0, self._chance.uniform(0.0, 0.02), self._chance.uniform(0.0, 0.4)))

    # -- what must hold ------------------------------------------------------------------------------------------

    def check(self, log: Path | None = None) -> int:
        """Verify what lies on disk now, in `log` or in the publishers' home, and all that was ever told. Return the size of the log."""
        store = Store.open(Home(log or self.home).database, writable=False)
        try:
            return store.read_now(self._check)
        finally:
            store.close()

    def _check(self, snapshot: Snapshot) -> int:
        checked = verify_snapshot(snapshot, self.network)
        assert checked.verified, checked.detail
        root = present_root(snapshot.state())
        assert root is not None
        logs, clocks = [parse_vkey(key.vkey) for key in root.log_keys], [parse_vkey(key) for key in root.clock_keys]
        seen: dict[bytes, tuple[int, int]] = {}
        for envelope, placed in self.placed:
            assert snapshot.entries(placed.index, placed.index + 1) == [envelope.entry]
            assert placed.receipt is not None
            receipt = parse_receipt(placed.receipt)
            assert (receipt.index, receipt.entry) == (placed.index, envelope.entry)
            said = verify_proof(receipt)
            if receipt.note not in seen:
                seen[receipt.note] = (said.size, 0)
                assert tree_root(said.size, snapshot) == said.root
                assert good_lines(parse_note(receipt.note), logs)
                assert good_lines(parse_note(receipt.note), clocks)
        before = (0, 0)
        for head in dict.fromkeys(self.heads):
            note = parse_note(head)
            said = parse_checkpoint(note.text)
            assert tree_root(said.size, snapshot) == said.root
            assert good_lines(note, logs)
            now = (said.size, max(line_time(line) for line in good_lines(note, clocks).values()))
            assert before[0] <= now[0] <= checked.size
            assert before[1] <= now[1]
            before = now
        return checked.size
