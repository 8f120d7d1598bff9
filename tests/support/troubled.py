"""A home on a channel, made by the commands, whose files a test spoils."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ledger.home.home import Home
from tests.support.channel import ledger_url, write_identity
from tests.support.live import ledger_cli

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fabric.shape import FabricNetwork


class Troubled:
    """A network that the channel orders, the home of its admin, and the files that may be wrong."""

    def __init__(self, channel: FabricNetwork, folder: Path) -> None:
        self.channel = channel
        self.folder = folder
        self.home = folder / "admin"
        self.url = ledger_url(channel, folder)
        self.identity = write_identity(channel, folder)
        words = ("create", "network", "sea", "--url", self.url, "--account", str(self.identity))
        done = ledger_cli(self.home, *words)
        assert done.returncode == 0, done.stderr
        done = ledger_cli(self.home, "sync")
        assert done.returncode == 0, done.stderr
        self._wallet = (Home(self.home).keys / "fabric.id").read_bytes()
        self._settings = Home(self.home).config.read_bytes()

    def status(self, **variables: str) -> dict[str, Any]:
        done = ledger_cli(self.home, "status", "-o", "json", **variables)
        assert done.returncode in (0, 4, 5), (done.returncode, done.stdout, done.stderr)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def sound(self) -> None:
        """Write the files as they were."""
        ledger_url(self.channel, self.folder)
        (Home(self.home).keys / "fabric.id").write_bytes(self._wallet)
        Home(self.home).config.write_bytes(self._settings)
