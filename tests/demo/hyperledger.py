"""The demo with its log mirrored on a channel (`make demo LEDGER=hyperledger`).

It is that of a real Hyperledger Fabric network, made by the programs in the folder FABRIC_BIN, or of the stand-in peer, which is none.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from tests.demo.mirrored import MirroredDemo
from tests.demo.stage import DemoError
from tests.support.channel import ledger_url, write_identity
from tests.support.fabric.configuration import Plan
from tests.support.fabric.real import RealNetwork, missing_fabric
from tests.support.fabric.standin import StandIn
from tests.support.java_bridge import missing_bridge

if TYPE_CHECKING:
    from tests.demo.stage import Stage

CHANNEL = "channel"


class HyperledgerDemo(MirroredDemo):
    """The story, on a channel."""

    def __init__(self, stage: Stage, sites: int | None) -> None:
        """Raise DemoError when there is no Java, or FABRIC_BIN lacks a program."""
        super().__init__(stage, sites)
        self.is_real = bool(os.environ.get("FABRIC_BIN"))
        lacking = (missing_fabric() if self.is_real else None) or missing_bridge()
        if lacking is not None:
            raise DemoError(lacking)

    def opening(self) -> str:
        """Say first of all on what it plays."""
        if self.is_real:
            return f"On a Hyperledger Fabric network of the programs in FABRIC_BIN.\n{super().opening()}"
        return f"On a stand-in peer for tests, which is not Hyperledger Fabric (FABRIC_BIN names no folder).\n{super().opening()}"

    def prepare(self) -> None:
        """Run a network with the chaincode on its channel, and keep a mirror of the log there."""
        stage = self.stage
        stage.step("A channel beside it: a peer, the chaincode, an identity, and the mirror of the log on it")
        place = stage.place / CHANNEL
        network = RealNetwork(place, Plan()) if self.is_real else StandIn(place)
        stage.at_end(network.stop)
        asyncio.run(network.start_all())
        self.mirror = ledger_url(network, stage.place)
        identity = str(write_identity(network, stage.place).relative_to(stage.place))
        self.reader = ("--account", identity)
        stage.typed("cat connection.yaml")
        stage.show((stage.place / "connection.yaml").read_text())
        stage.cli("create", "account", "--identity", identity, "--home", "master")
        stage.show(stage.cli("add", "mirror", self.mirror, "--every", "0", "--yes", "--home", "master").stdout)
