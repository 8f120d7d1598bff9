"""The demo with a chain beside the master: its log is mirrored there, and a reader needs nothing else (`make demo LEDGER=ethereum`)."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from tests.demo.run import Demo
from tests.demo.stage import DemoError, free_port
from tests.support.chain_tools import install_anvil

if TYPE_CHECKING:
    from tests.demo.stage import Stage

FAR = "far-away"
PHRASE = "a phrase for the demo"
START_SECONDS = 20
MIRROR_SECONDS = 60
FUNDS = 10**18


class ChainDemo(Demo):
    """The story, on anvil."""

    def __init__(self, stage: Stage, sites: int | None) -> None:
        super().__init__(stage, sites)
        self.rpc = f"http://127.0.0.1:{free_port()}"
        self.contract = ""

    def prepare(self) -> None:
        """Make a contract that holds a mirror of the log."""
        stage = self.stage
        stage.step("A chain beside it: an account that pays, a contract, and the mirror of the log on it")
        stage.start_program("anvil", str(install_anvil()), "--host", "127.0.0.1", "--port", self.rpc.rpartition(":")[2])
        self._await_chain()
        with (stage.place / "master" / "config.toml").open("a") as config:
            config.write(f"passphrase = {json.dumps(PHRASE)}\n")
        account = stage.cli("create", "account", "--home", "master").stdout.strip()
        self._ask("anvil_setBalance", account, hex(FUNDS))
        created = stage.cli("create", "contract", f"ethereum+{self.rpc}", "--yes", "--home", "master")
        self.contract = created.stdout.strip()
        stage.show(created.stdout)
        stage.cli("add", "mirror", self.contract, "--every", "0", "--yes", "--home", "master")

    def publish(self) -> None:
        """Publish as always; the mirror has it soon after."""
        super().publish()
        stage = self.stage
        stage.step("The mirror has the same log, entry for entry")
        deadline = time.monotonic() + MIRROR_SECONDS
        while self._mirror()["state"] != "current":
            if time.monotonic() > deadline:
                raise DemoError(f"the mirror does not come up with the log: {self._mirror()}")
            time.sleep(0.5)
        stage.show(stage.cli("get", "mirrors", "--home", "master").stdout)
        found = stage.cli("audit", self.url, self.contract, "-o", "json", "--home", "master").json
        stage.promise(found["same"] and found["compared"] == found["sizes"][0], f"{found['compared']:,} entries on the chain are the log's")

    def go_on_without_master(self) -> None:
        """Read the chain alone, with the master stopped."""
        super().go_on_without_master()
        stage = self.stage
        stage.step("A reader far away has only the chain")
        (stage.place / FAR).mkdir(mode=0o700)
        self._write(f"{FAR}/config.toml", f'role = "member"\nnetwork = "{self._network()}"\nledger = "{self.contract}"\n')
        stage.cli("sync", "--home", FAR)
        near, far = stage.together(*[("verify", "ledger", "-o", "json", "--home", home) for home in ("node-1", FAR)])
        same = all(near.json[name] == far.json[name] for name in ("size", "root", "state_root"))
        stage.promise(same and far.json["verified"], f"the same log and the same state as node-1: {far.json['state_root'][:16]}…")

    def _network(self) -> str:
        return str(self.stage.unseen("verify", "ledger", "-o", "json", "--home", "node-1").json["network"])

    def _mirror(self) -> dict[str, Any]:
        return dict(self.stage.unseen("get", "mirrors", "-o", "json", "--home", "master").json[0])

    def _await_chain(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._ask("eth_chainId")
            except URLError as error:
                if time.monotonic() > deadline:
                    raise DemoError("anvil did not start") from error
                time.sleep(0.05)
            else:
                return

    def _ask(self, method: str, *params: object) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        with urlopen(Request(self.rpc, data=body, headers={"Content-Type": "application/json"}), timeout=10) as answer:
            return json.load(answer)
