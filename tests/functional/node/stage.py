"""A node that follows a liar: what the tests of lies share."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

from ledger.client.place import Place
from ledger.client.transport import Transport
from ledger.home.clock import SystemClock
from tests.conformance.check_evidence import check
from tests.support.liar import Liar, lying
from tests.support.live import LiveNetwork, Server, configure, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.forgery import Forgery


@dataclass(slots=True)
class Victims:
    """The home of a node that holds `log`, to be copied, and the network that it joined."""

    network: LiveNetwork
    home: Path
    log: Forgery


@dataclass(slots=True)
class Stage:
    """A running node and the liar that it follows. `log` is what the liar held when it was honest."""

    node: Server
    liar: Liar
    log: Forgery
    network: LiveNetwork
    turn: int = 0

    def start(self) -> None:
        """Start the node and wait until it has asked for everything (blocking)."""
        self.liar.asked.clear()
        self.node.start(f"{urlsplit(self.liar.url).netloc.rpartition(':')[0]}:0")
        deadline = time.monotonic() + 20
        while not any(path.startswith("/v1/watch") for path in self.liar.asked):
            assert time.monotonic() < deadline, self.node.log_text()[-2000:]
            time.sleep(0.02)

    async def sync(self) -> dict[str, Any]:
        """Make the node do one step now; return its report, or its problem."""
        token = await asyncio.to_thread(lambda: self.node.api_token)
        context = await asyncio.to_thread(lambda: Place.find(self.node.home).tls())
        async with Transport(self.node.url, context=context, bearer=token) as program:
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            reply = await program._once("POST", "/v1/sync", headers=headers, body=b"{}")  # a problem is an answer here, not an error
        answer: dict[str, Any] = orjson.loads(reply.body)
        return answer

    async def read(self, path: str) -> dict[str, Any]:
        """Return what the node answers to its own programs."""
        token = await asyncio.to_thread(lambda: self.node.api_token)
        context = await asyncio.to_thread(lambda: Place.find(self.node.home).tls())
        async with Transport(self.node.url, context=context, bearer=token) as program:
            answer: dict[str, Any] = orjson.loads((await program.get(path)).body)
        return answer

    async def status(self) -> dict[str, Any]:
        """Return the node's status, as the first admin sees it."""
        async with self.network.transport(self.node.url) as admin:
            answer: dict[str, Any] = orjson.loads((await admin.get("/v1/status")).body)
        return answer

    def cases(self) -> dict[str, dict[str, Any]]:
        """Return the evidence kept, by name (blocking)."""
        return {path.stem: json.loads(path.read_bytes()) for path in (self.node.home / "evidence").glob("*.json")}

    async def case(self, beginning: str = "") -> dict[str, Any]:
        """Wait for the one case whose name begins so, and return it."""
        found: dict[str, dict[str, Any]] = {}

        async def kept() -> bool:
            found.update({name: case for name, case in (await asyncio.to_thread(self.cases)).items() if name.startswith(beginning)})
            return bool(found)

        await eventually(kept, f"evidence {beginning} is kept")
        (case,) = found.values()
        return case

    def proven(self, case: dict[str, Any]) -> tuple[int, list[str]]:
        """Return what a third party with the keys of the root reads from a case."""
        return check(case, self.log.trusted)

    async def begin(self) -> None:
        """Be honest, with some entries more for the next lie to be about; forget the evidence of the one before.

        The clock stands from here until the liar is honest again: a lie about entries is not one about times, too.
        """
        self.turn += 1
        self.liar.stands = int(SystemClock().now())
        self.log = self.log.fork().sites(*(f"{self.turn}-{number}" for number in range(5)))
        self.liar.honest(self.log)
        report = await self.sync()
        assert report.get("size") == self.log.size, report
        await asyncio.to_thread(self._forget)

    def _forget(self) -> None:
        for path in (self.node.home / "evidence").glob("*.json"):
            path.unlink()

    async def follows_again(self, log: Forgery) -> None:
        """See the node take an entry more from the master, honest again."""
        self.log = log.fork().sites(f"honest-again-{self.turn}")
        self.liar.stands = None
        self.liar.honest(self.log)
        report = await self.sync()
        assert (report.get("size"), report.get("code")) == (self.log.size, None), report
        assert self.log.size > log.size
        sites = (await self.read("/v1/policies?kind=site"))["policies"]
        assert f"honest-again-{self.turn}" in {one["site"].get("name") for one in sites}


@contextmanager
def staged(victims: Victims, folder: Path, *, fresh: bool = False, host: str = "127.0.0.1") -> Iterator[Stage]:
    """Run a node on a copy of the victims' home, following a liar that is honest so far (blocking).

    A `fresh` one holds nothing, and is not waited for.
    """
    home = folder / "victim"
    shutil.copytree(victims.home, home)
    if fresh:
        for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm", "head.json"):
            (home / name).unlink(missing_ok=True)
    with lying(victims.log.fork(), victims.network.home, host) as liar:
        configure(home, ledger=liar.url)
        stage = Stage(Server("node", home), liar, liar.log, victims.network)
        try:
            if not fresh:
                stage.start()
            yield stage
        finally:
            liar.changed.set()
            stage.node.kill()
