"""A running master with a contract that it mirrors its log to: what tests of mirrors share."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ledger.client.place import Place
from ledger.core.errors import LedgerError
from ledger.home.home import Home
from ledger.home.mirrors import Mirror, write_mirrors
from tests.support.anvil import Anvil, running_anvil, scratch_state
from tests.support.chain_homes import PHRASE, write_account
from tests.support.chain_writing import entries_of
from tests.support.command import Cli
from tests.support.contract import Contract, Node
from tests.support.forked_master import ForkedMaster
from tests.support.live import eventually, live

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from ledger.core.backend import Backend
    from tests.support.command import Ran
    from tests.support.live import LiveNetwork

NodeT = TypeVar("NodeT", bound=Node)


class Mirrored:
    """A master that mirrors to `contract`, and commands of its home. The account is the funded one of the chain."""

    def __init__(self, network: LiveNetwork, contract: Contract) -> None:
        self.network = network
        self.contract = contract
        self.home = network.home

    def fund(self, node: Node) -> None:
        """Put the chain's funded account into the home (blocking)."""
        write_account(Home(self.home).keys / "ethereum.json", node.key)

    async def cli(self, *words: str) -> Ran:
        return await asyncio.to_thread(lambda: Cli(self.home)(*words, METALEDGER_PASSPHRASE=PHRASE))

    async def add(self, *words: str) -> Ran:
        return await self.cli("add", "mirror", self.contract.ledger, "--every", "0", "--yes", *words)

    def write(self, **settings: Any) -> None:
        """Write the mirror into the home as `add mirror` does, asking nobody (blocking)."""
        write_mirrors(Home(self.home), [Mirror(url=self.contract.ledger, key="ethereum.json", every=0.0, **settings)])

    async def holds_the_log(self, *, within: float = 40.0) -> None:
        """Wait until the contract holds exactly the entries of the master's log."""

        async def true() -> bool:
            await asyncio.sleep(0.3)
            return await entries_of(self.contract) == await log_of(self)

        await eventually(true, "the contract holds the log", within)

    async def facts(self) -> dict[str, Any]:
        """Return what the master says of its mirror."""
        found = (await self.cli("get", "mirrors", "-o", "json")).good().json
        return dict(found[0])

    async def reaches(self, state: str, *, says: str = "", seconds: float = 20.0) -> dict[str, Any]:
        """Wait until the mirror is in that state, with that in its reason, and return the facts."""
        return await self.until(lambda one: one["state"] == state and says in str(one.get("reason")), f"the mirror is {state}", seconds)

    async def until(self, true: Callable[[dict[str, Any]], bool], what: str, seconds: float = 20.0) -> dict[str, Any]:
        """Wait until the facts of the mirror are so, and return them."""
        seen: list[dict[str, Any]] = [{}]

        async def look() -> bool:
            await asyncio.sleep(0.3)  # tokens a minute are limited
            try:
                seen[0] = await self.facts()
            except LedgerError:
                return False
            return true(seen[0])

        try:
            await eventually(look, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {json.dumps(seen[0])}; {self.network.master.log_text()[-1500:]}") from None
        return seen[0]


def play(founded: Path, folder: Path, story: Callable[[Mirrored, Anvil], Awaitable[None]]) -> None:
    """Run a story with a master and an anvil that keeps its chain over a kill."""
    play_on(running_anvil(*scratch_state(folder)), founded, folder, story)


def play_on(
    chain: AbstractAsyncContextManager[NodeT], founded: Path, folder: Path, story: Callable[[Mirrored, NodeT], Awaitable[None]]
) -> None:
    """Run a story with a master and a chain."""

    async def run(network: LiveNetwork) -> None:
        async with chain as node:
            scene = Mirrored(network, await Contract.deploy(node))
            await asyncio.to_thread(scene.fund, node)
            await story(scene, node)

    with live(founded, folder, make=ForkedMaster, passphrase=PHRASE, metrics_listen="127.0.0.1:0") as network:
        asyncio.run(run(network))


async def log_of(scene: Mirrored) -> list[bytes]:
    """Return all entries of the master's log, read over HTTPS."""
    async with _served(scene) as backend:
        size, entries = (await backend.head()).size, list[bytes]()
        while len(entries) < size:
            entries += await backend.read(len(entries), size)
        return entries


async def note_of(scene: Mirrored) -> bytes:
    """Return the newest note of the master's log, read over HTTPS."""
    async with _served(scene) as backend:
        note = (await backend.head()).checkpoint
    assert note is not None
    return note


@asynccontextmanager
async def _served(scene: Mirrored) -> AsyncIterator[Backend]:
    backend = (await asyncio.to_thread(lambda: Place.find(scene.home))).https(scene.network.url)
    try:
        yield backend
    finally:
        await backend.close()
