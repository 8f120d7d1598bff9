"""The demo with a chain beside the master: its log is mirrored there, and a reader needs nothing else."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from tests.demo.run import Demo
from tests.demo.stage import DemoError

if TYPE_CHECKING:
    from tests.demo.stage import Stage

FAR = "far-away"
MIRROR_SECONDS = 60


class MirroredDemo(Demo):
    """The story, on a chain that `prepare` makes ready.

    It sets `mirror`, the ledger URL there, and `reader`, the words that somebody needs besides it to read.
    """

    def __init__(self, stage: Stage, sites: int | None) -> None:
        super().__init__(stage, sites)
        self.mirror = ""
        self.reader: tuple[str, ...] = ()

    def publish(self) -> None:
        """Publish as always; the mirror has it soon after."""
        super().publish()
        stage = self.stage
        stage.step("The mirror has the same log, entry for entry")
        deadline = time.monotonic() + MIRROR_SECONDS
        while self._standing()["state"] != "current":
            if time.monotonic() > deadline:
                raise DemoError(f"the mirror does not come up with the log: {self._standing()}")
            time.sleep(0.5)
        stage.show(stage.cli("get", "mirrors", "--home", "master").stdout)
        found = stage.cli("audit", self.url, self.mirror, "-o", "json", "--home", "master").json
        stage.promise(found["same"] and found["compared"] == found["sizes"][0], f"{found['compared']:,} entries on the chain are the log's")

    def go_on_without_master(self) -> None:
        """Read the chain alone, with the master stopped."""
        super().go_on_without_master()
        stage = self.stage
        stage.step("A reader far away has only the chain")
        stage.cli("join", "--network", self._network(), "--ledger", self.mirror, *self.reader, "--home", FAR)
        near, far = stage.together(*[("verify", "ledger", "-o", "json", "--home", home) for home in ("node-1", FAR)])
        same = all(near.json[name] == far.json[name] for name in ("size", "root", "state_root"))
        stage.promise(same and far.json["verified"], f"the same log and the same state as node-1: {far.json['state_root'][:16]}…")

    def _network(self) -> str:
        return str(self.stage.unseen("verify", "ledger", "-o", "json", "--home", "node-1").json["network"])

    def _standing(self) -> dict[str, Any]:
        return dict(self.stage.unseen("get", "mirrors", "-o", "json", "--home", "master").json[0])
