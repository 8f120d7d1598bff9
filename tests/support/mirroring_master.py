"""A running master with a contract that it mirrors its log to: what tests of mirrors share."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from ledger.core.errors import LedgerError
from ledger.home.home import Home
from ledger.home.mirrors import Mirror, write_mirrors
from tests.support.chain_homes import PHRASE, write_account
from tests.support.command import Cli
from tests.support.live import eventually

if TYPE_CHECKING:
    from tests.support.command import Ran
    from tests.support.contract import Contract, Node
    from tests.support.live import LiveNetwork


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

    async def facts(self) -> dict[str, Any]:
        """Return what the master says of its mirror."""
        found = (await self.cli("get", "mirrors", "-o", "json")).good().json
        return dict(found[0])

    async def reaches(self, state: str, *, says: str = "", seconds: float = 20.0) -> dict[str, Any]:
        """Wait until the mirror is in that state, with that in its reason, and return the facts."""
        seen: list[dict[str, Any]] = [{}]

        async def true() -> bool:
            await asyncio.sleep(0.3)  # tokens a minute are limited
            try:
                seen[0] = await self.facts()
            except LedgerError:
                return False
            return seen[0]["state"] == state and says in str(seen[0].get("reason"))

        try:
            await eventually(true, f"the mirror is {state}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {json.dumps(seen[0])}; {self.network.master.log_text()[-1500:]}") from None
        return seen[0]
