"""A running master with mirrors on channels and elsewhere: what tests of mirrors on Hyperledger Fabric share."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import TYPE_CHECKING, Any

from ledger.core.errors import LedgerError
from ledger.home.home import Home
from tests.support.channel import ledger_url, write_identity
from tests.support.command import Cli
from tests.support.live import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.command import Ran
    from tests.support.fabric.shape import FabricNetwork
    from tests.support.live import LiveNetwork


class Scene:
    """A master, and a channel that it may mirror to. `url` is the ledger URL there."""

    def __init__(self, network: LiveNetwork, channel: FabricNetwork, folder: Path, **variables: str) -> None:
        """The identity of the channel's writer goes into the master's home (blocking). `variables` are set for commands."""
        self.network = network
        self.channel = channel
        self.home = network.home
        self.url = ledger_url(channel, folder)
        self._variables = variables
        shutil.copy(write_identity(channel, folder), Home(self.home).keys / "fabric.id")

    async def cli(self, *words: str) -> Ran:
        return await asyncio.to_thread(lambda: Cli(self.home)(*words, **self._variables))

    async def add(self, url: str = "", *words: str) -> Ran:
        return await self.cli("add", "mirror", url or self.url, "--every", "0", "--yes", *words)

    async def audit(self, first: str, second: str) -> dict[str, Any]:
        """Return what an audit of two ledgers says; they are the same."""
        facts = (await self.cli("audit", first, second, "-o", "json")).good().json
        assert facts["same"], facts
        return dict(facts)

    async def reaches(self, state: str, *, url: str = "", says: str = "", seconds: float = 30.0) -> dict[str, Any]:
        """Wait until a mirror is in that state, with that in its reason, and return its facts."""
        seen: list[dict[str, Any]] = [{}]

        async def look() -> bool:
            await asyncio.sleep(0.3)  # tokens a minute are limited
            try:
                found = (await self.cli("get", "mirrors", "-o", "json")).good().json
            except LedgerError:
                return False
            seen[0] = next((dict(one) for one in found if one["url"] == (url or self.url)), {})
            return seen[0].get("state") == state and says in str(seen[0].get("reason"))

        try:
            await eventually(look, f"the mirror is {state}", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {json.dumps(seen[0])}; {self.network.master.log_text()[-1500:]}") from None
        return seen[0]
