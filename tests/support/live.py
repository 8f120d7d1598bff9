"""A live network for tests: a real master and real nodes, each a process of its own with a home of its own, over real TLS.

    network = create_live(folder)          a network; its master is a process on a free port of the loopback
    home = await network.join("node-1")    a home that joined by invite
    node = network.start_node(home)        the agent of that home, another process
    network.stop()                         every process that was started, by its number
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ledger.client.client import LedgerClient
from ledger.client.joining import join_home
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from master.create import NewNetwork, create_network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_SECONDS = 30.0
STOP_SECONDS = 30.0
LOOK_SECONDS = 0.02
ANYWHERE = "127.0.0.1:0"
COMMAND = (sys.executable, "-c", "import sys; from ledger.cli.main import main; sys.exit(main())")


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which no setting of ours comes from outside."""
    return {name: value for name, value in os.environ.items() if not name.startswith("METALEDGER_")} | more


def ledger_cli(home: Path, *words: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    command = [*COMMAND, *words, "--home", str(home)]
    return subprocess.run(command, input=text, env=environment(), capture_output=True, text=True, timeout=60, check=False)


class Server:
    """One server process on a home: `run master` or `run node`."""

    def __init__(self, role: str, home: Path, *options: str) -> None:
        self.role = role
        self.home = home
        self.log_file = home.with_name(f"{home.name}.log")
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    @property
    def pid(self) -> int:
        """Return the number of the process that runs."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, listen: str = ANYWHERE, *options: str) -> None:
        """Start the process and wait until it listens."""
        told = self.home / "listen.json"
        told.unlink(missing_ok=True)
        words = ("run", self.role, "--home", str(self.home), "--listen", listen, *self._options, *options)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen([*COMMAND, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment())
        deadline = time.monotonic() + START_SECONDS
        while not told.exists():
            assert self.running, f"{self.role} ended: {self.log_text()[-3000:]}"
            assert time.monotonic() < deadline, f"{self.role} does not listen: {self.log_text()[-3000:]}"
            time.sleep(LOOK_SECONDS)
        self.url = json.loads(told.read_bytes())["url"]

    def stop(self) -> int:
        """End the process as an operator does, and return its exit code."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.terminate()
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def kill(self) -> None:
        """End the process as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Start again where it listened before."""
        self.start(self.url.removeprefix("https://"))

    def log_text(self) -> str:
        """Return what the process wrote to stderr."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    def events(self, name: str) -> list[dict[str, object]]:
        """Return its log lines of one event."""
        found: list[dict[str, object]] = []
        for line in self.log_text().splitlines():
            with suppress(ValueError):
                said = json.loads(line)
                found += [said] if said.get("event") == name else []
        return found

    @property
    def api_token(self) -> str:
        """Return the read token for programs on this machine."""
        return (self.home / "api-token").read_text().strip()


@dataclass
class LiveNetwork:
    """A network with a running master. What the readers of other languages need stands in `url`, `ca_file`, `vkey` and `token`."""

    folder: Path
    home: Path
    network: str
    master: Server
    servers: list[Server] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.master.url

    @property
    def ca_file(self) -> Path:
        return Home(self.home).ca_file

    @property
    def vkey(self) -> str:
        """Return the verifier key of the log, as pinned in the master's home."""
        keys = Home(self.home).read_config()["log_vkeys"]
        assert isinstance(keys, list)
        return str(keys[0])

    @property
    def token(self) -> str:
        """Return an access token of the first admin, good for reading and for 15 minutes."""
        return asyncio.run(self.access_token())

    async def access_token(self, home: Path | None = None, *, scope: str = "read") -> str:
        async with self.client(home) as client:
            return await client.access_token(scope=scope)

    def client(self, home: Path | None = None) -> LedgerClient:
        """Return a client of a home, the first admin's when none is named."""
        return LedgerClient.open(home=home or self.home)

    async def join(self, name: str, member_type: str = "node") -> Path:
        """Invite a member and join with the token; return its home."""
        async with self.client() as admin:
            line = await admin.invite(name, member_type)
        home = self.folder / name
        await join_home(home, line)
        return home

    def start_node(self, home: Path, *options: str, **settings: object) -> Server:
        """Start the agent of a home; `settings` go into its config.toml first."""
        configure(home, **settings)
        node = Server("node", home, *options)
        self.servers.append(node)
        node.start()
        return node

    def stop(self) -> None:
        """Stop what runs, nodes first."""
        for server in [*self.servers, self.master]:
            server.kill() if server is not self.master else server.stop()


def configure(home: Path, **settings: object) -> None:
    """Change settings in the config.toml of a home."""
    if settings:
        place = Home(home)
        place.write_config({**place.read_config(), **settings})


def create_live(folder: Path, name: str = "live", *options: str, **settings: object) -> LiveNetwork:
    """Make a network in `folder` and start its master."""
    home = folder / "master"
    created = asyncio.run(create_network(home, NewNetwork(name), SystemClock()))
    configure(home, **settings)
    master = Server("master", home, *options)
    master.start()
    configure(home, ledger=master.url)
    return LiveNetwork(folder, home, created.network, master)


@contextmanager
def live(folder: Path, name: str = "live", *options: str, **settings: object) -> Iterator[LiveNetwork]:
    """Make a network, and stop all that ran when the block ends."""
    network = create_live(folder, name, *options, **settings)
    try:
        yield network
    finally:
        network.stop()


async def eventually(true: object, what: str, seconds: float = 20.0) -> None:
    """Wait until `true()` holds; it may be a coroutine function. AssertionError names `what` when it does not."""
    assert callable(true)
    deadline = time.monotonic() + seconds
    while True:
        found = true()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(LOOK_SECONDS)
