"""The demo with its log mirrored on Ethereum, for which anvil stands (`make demo LEDGER=ethereum`)."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from tests.demo.mirrored import MirroredDemo
from tests.demo.stage import DemoError, free_port
from tests.support.chain_tools import install_anvil

if TYPE_CHECKING:
    from tests.demo.stage import Stage

PHRASE = "a phrase for the demo"
START_SECONDS = 20
FUNDS = 10**18


class EthereumDemo(MirroredDemo):
    """The story, on anvil."""

    def __init__(self, stage: Stage, sites: int | None) -> None:
        super().__init__(stage, sites)
        self.rpc = f"http://127.0.0.1:{free_port()}"

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
        self.mirror = created.stdout.strip()
        stage.show(created.stdout)
        stage.cli("add", "mirror", self.mirror, "--every", "0", "--yes", "--home", "master")

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
