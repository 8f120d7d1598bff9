"""A live network for tests: a real master and real nodes, each a process of its own with a home of its own, over real TLS.

network = start_master(template, …)    a network; its master is a process on a free port of the loopback
home = await network.join("node-1")    a home that joined by invite
node = network.start_node(home)        the agent of that home, another process
network.stop()                         every process that was started, by its number
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import pytest

from ledger.client.client import LedgerClient
from ledger.client.joining import join_home
from ledger.client.place import Place
from ledger.home.clock import SystemClock
from ledger.home.home import Home
from master.create import NewNetwork, create_network

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
    from pathlib import Path

    from ledger.client.answers import Published
    from ledger.client.transport import Transport
    from ledger.core.canonical import JSONObject

START_SECONDS = 30.0
STOP_SECONDS = 30.0
LOOK_SECONDS = 0.02
ANYWHERE = "127.0.0.1:0"
COMMAND = (sys.executable, "-c", "from ledger.cli.program import main; main()")


def environment(**more: str) -> dict[str, str]:
    """Return an environment in which no setting of ours comes from outside."""
    return {name: value for name, value in os.environ.items() if not name.startswith("METALEDGER_")} | more


def ledger_cli(home: Path, *words: str, text: str | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    command = [*COMMAND, *words, "--home", str(home)]
    return subprocess.run(command, input=text, env=environment(**variables), capture_output=True, text=True, timeout=60, check=False)


class Process(Protocol):
    """What a server needs of its process, however that was started."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int, /) -> None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


class Server:
    """One server process on a home: `run master` or `run node`."""

    def __init__(self, role: str, home: Path, *options: str, command: Sequence[str] = COMMAND) -> None:
        self.role = role
        self._command = command
        self.home = home
        self.log_file = home.with_name(f"{home.name}.log")
        self._options = options
        self._process: Process | None = None
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
        self._process = self._launch(words)
        deadline = time.monotonic() + START_SECONDS
        while not told.exists():
            assert self.running, f"{self.role} ended: {self.log_text()[-3000:]}"
            assert time.monotonic() < deadline, f"{self.role} does not listen: {self.log_text()[-3000:]}"
            time.sleep(LOOK_SECONDS)
        self.url = json.loads(told.read_bytes())["url"]

    def _launch(self, words: tuple[str, ...]) -> Process:
        with self.log_file.open("ab") as log:
            return subprocess.Popen([*self._command, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment())

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

    def wait(self) -> int:
        """Wait until the process ends by itself, and return its exit code."""
        assert self._process is not None
        process, self._process = self._process, None
        return process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """End the process as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Let it take connections and say nothing while the block runs. It may be killed in there."""
        process = self._process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

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

    @asynccontextmanager
    async def transport(self, url: str | None = None, home: Path | None = None) -> AsyncIterator[Transport]:
        """Open a transport of a home's identity to the server at `url`, the master if none is named."""
        async with await asyncio.to_thread(lambda: Place.find(home or self.home).transport(url=url or self.url)) as transport:
            yield transport

    @asynccontextmanager
    async def client(self, home: Path | None = None) -> AsyncIterator[LedgerClient]:
        """Open a client of a home, the first admin's when none is named."""
        async with open_client(home or self.home) as client:
            yield client

    async def publish(self, *names: str, home: Path | None = None) -> list[Published]:
        """Publish one `site` a name, as the first admin or as the member of a home."""
        async with self.client(home) as author:
            results = [result async for result in author.publish([{"site": {"name": name}} for name in names])]
        assert [result.error for result in results] == [None] * len(names)
        return results

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

    def stop_nodes(self) -> None:
        """End every agent that was started."""
        while self.servers:
            self.servers.pop().kill()

    def stop(self) -> None:
        """End everything, agents first."""
        self.stop_nodes()
        self.master.kill()


def configure(home: Path, **settings: object) -> None:
    """Change settings in the config.toml of a home."""
    if settings:
        place = Home(home)
        place.write_config({**place.read_config(), **settings})


def found_network(home: Path) -> Path:
    """Make the home of a new network, to be copied."""
    asyncio.run(create_network(home, NewNetwork("live"), SystemClock()))
    return home


def start_master(template: Path, folder: Path, *options: str, make: Callable[..., Server] = Server, **settings: object) -> LiveNetwork:
    """Start the master of a network in a copy of its home, as `make` makes servers; `settings` go into its config.toml first."""
    home = folder / "master"
    shutil.copytree(template, home)
    configure(home, **settings)
    master = make("master", home, *options)
    master.start()
    configure(home, ledger=master.url)
    return LiveNetwork(folder, home, str(Home(home).read_config()["network"]), master)


@contextmanager
def live(template: Path, folder: Path, *options: str, make: Callable[..., Server] = Server, **settings: object) -> Iterator[LiveNetwork]:
    """Serve a copy of a network, and stop all that ran when the block ends."""
    network = start_master(template, folder, *options, make=make, **settings)
    try:
        yield network
    finally:
        network.stop()


def content_of(shown: JSONObject) -> JSONObject:
    """Return what stands under the one root key of a shown policy."""
    (content,) = shown.values()
    assert isinstance(content, dict)
    return content


@asynccontextmanager
async def open_client(home: Path) -> AsyncIterator[LedgerClient]:
    """Open a client of a home."""
    async with await asyncio.to_thread(lambda: LedgerClient.open(home=home)) as client:
        yield client


async def size_of(home: Path) -> int:
    """Return how many entries the replica in a home holds."""
    async with open_client(home) as client:
        return await client.copy.size()


async def state_root_of(home: Path) -> str:
    """Return the root of the state that a home holds."""
    async with open_client(home) as client:
        return await client.copy.store.read(lambda snapshot: snapshot.state().state_root())


async def reaches(home: Path, size: int) -> None:
    """Wait until the replica in a home holds `size` entries."""

    async def true() -> bool:
        return await size_of(home) >= size

    await eventually(true, f"{home.name} holds {size} entries")


async def eventually(true: Callable[[], bool] | Callable[[], Awaitable[bool]], what: str, seconds: float = 20.0) -> None:
    """Wait until `true()` holds; it may be a coroutine function. AssertionError names `what` when it does not."""
    deadline = time.monotonic() + seconds
    while True:
        found = true()
        if not isinstance(found, bool):
            found = await found
        if found:
            return
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        await asyncio.sleep(LOOK_SECONDS)


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a network that was created and never served."""
    return found_network(tmp_path_factory.mktemp("founded") / "home")


@pytest.fixture(scope="session")
def live_network(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNetwork]:
    """One network for all tests that neither stop its master nor change what lies in its home."""
    with live(founded, tmp_path_factory.mktemp("live")) as network:
        yield network


@pytest.fixture
def live_master(live_network: LiveNetwork) -> LiveNetwork:
    """The running master of `live_network`, as a reader of its log sees it."""
    return live_network


@pytest.fixture
def own_network(founded: Path, tmp_path: Path) -> Iterator[LiveNetwork]:
    """A network for one test, to do with as it likes."""
    with live(founded, tmp_path) as network:
        yield network
