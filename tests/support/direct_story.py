"""A network that a chain orders, played by commands in one process: who is in it, what they publish, what happens to the chain.

The test is no coroutine, since each command has its own event loop.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any

from blockchain_adapters.ethereum.rpc import Provider
from ledger.home.home import Home
from tests.support.chain_homes import PHRASE
from tests.support.command import Cli
from tests.support.lying_node import lying_node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.chain_homes import Founded
    from tests.support.command import Ran
    from tests.support.contract import Contract

PATIENCE = 20.0


@dataclass(frozen=True)
class DirectStory:
    """The network, and the commands of everybody in it. Homes are folders of `folder`; the first admin's is `admin`."""

    founded: Founded
    contract: Contract
    folder: Path

    def __call__(self, who: str, *words: str) -> Ran:
        return Cli(self.folder / who)(*words, METALEDGER_PASSPHRASE=PHRASE)

    def home(self, who: str) -> Home:
        """Return somebody's home."""
        return Home(self.folder / who)

    def call(self, method: str, *params: object) -> Any:
        """Ask the chain for something."""

        async def ask() -> Any:
            provider = Provider(self.contract.node.url)
            try:
                return await provider.call(method, *params)
            finally:
                await provider.close()

        return asyncio.run(ask())

    def read_only(self, who: str) -> None:
        """Make a home that only reads."""
        self(who, "join", "--network", self.founded.network, "--ledger", self.contract.ledger).good()

    def status(self, who: str) -> Any:
        """Return what `status` says to somebody."""
        return self(who, "status", "-o", "json").json

    def invite(self, name: str, kind: str) -> str:
        """Have the admin invite somebody; return the token's file."""
        token = self.folder / f"{name}.token"
        self("admin", "create", "invite", name, "--type", kind, "--out", str(token)).good()
        return f"@{token}"

    def publish(self, who: str, name: str) -> Ran:
        """Publish a site."""
        path = self.folder / f"{name}.json"
        path.write_text(json.dumps({"site": {"name": name, "country": "no"}}))
        return self(who, "publish", "policy", str(path))

    def sites(self, who: str) -> list[str]:
        """Return the names of all sites that somebody sees."""
        return [one["site"]["name"] for one in self(who, "get", "site", "-o", "json").good().json]


@contextmanager
def lying(story: DirectStory, lie: Callable[[str, list[Any], Any], Any]) -> Iterator[str]:
    """Run a provider of the contract that lies, for the time of the block; give its ledger URL."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        thread = Thread(target=loop.run_forever)
        thread.start()
        context = lying_node(story.contract.node.url)
        node = asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result(PATIENCE)
        node.lie = lie
        try:
            yield f"ethereum+{node.url}/{story.contract.address}"
        finally:
            asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result(PATIENCE)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()


def wait_for(true: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    for _ in range(400):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError(f"it did not come about: {what}")
