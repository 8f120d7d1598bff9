"""The stand-in peer with the real chaincode, as processes on loopback: a network for tests where there is no Fabric."""

from __future__ import annotations

import asyncio
import json
import subprocess
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

from blockchain_adapters.hyperledger.peer import Profile
from tests.support.fabric.part import Part, Processes
from tests.support.fabric.shape import CHAINCODE, CHANNEL, MSP, POLICY, WRITER
from tests.support.go_tools import CHAINCODE as PROGRAM
from tests.support.go_tools import FABRIC_PEER, GoToolError, built, built_path
from tests.support.java_bridge import missing_bridge
from tests.support.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import timedelta
    from pathlib import Path

HOST = "127.0.0.1"
COMMAND_SECONDS = 60


def missing_standin() -> str | None:
    """Return why the stand-in cannot run here, None when it can."""
    try:
        absent = [one.name for one in (PROGRAM, FABRIC_PEER) if not built_path(one).exists()]
    except GoToolError as error:
        return str(error)
    return f"not built: {', '.join(absent)} (make chain-tools)" if absent else missing_bridge()


class StandIn(Processes):
    """One running stand-in peer and its chaincode. `start_all` it, `stop` it. The parts are `peer0` and `chaincode0`."""

    is_real = False
    channel = CHANNEL
    chaincode = CHAINCODE

    def __init__(self, folder: Path, *options: str) -> None:
        """Keep certificates and chain in `folder`; `options` are those of `fabric-peer serve`."""
        super().__init__()
        self._program = str(built(FABRIC_PEER))
        self._folder = folder
        self._material = folder / "material"
        self._options = options
        self._control = 0

    @property
    def peers(self) -> Sequence[str]:
        """Return the one peer's address."""
        return [f"{HOST}:{self.part('peer0').port}"]

    # -- what tests do -------------------------------------------------------------------------------------------

    def profile(self, user: str = WRITER, peer: int = 0) -> Profile:
        """Return how `user` reaches the peer."""
        own = self._material / "users" / user
        certificate, key = ((own / name).read_text() for name in ("cert.pem", "key.pem"))
        authority = (self._material / "tls-ca.pem").read_text()
        return Profile(self.peers[peer], MSP, certificate, key, authority, CHANNEL, CHAINCODE)

    def add_user(self, name: str, *, valid: timedelta | None = None, attributes: Mapping[str, str] | None = None) -> None:
        """Make a member; `valid` from now, below zero it has expired."""
        flags = [] if valid is None else [f"-valid={round(valid.total_seconds())}s"]
        carried = [f"-attribute={name}={value}" for name, value in (attributes or {}).items()]
        self._run("user", *flags, *carried, str(self._material), name)

    async def strike(self, kind: str, **fields: str | int) -> None:
        """Let one of the faults happen that fabric-peer/README.md lists."""
        await asyncio.to_thread(self._ask_control, "POST", json.dumps({"kind": kind, **fields}).encode())

    async def spare(self) -> None:
        """Forget the faults that wait."""
        await asyncio.to_thread(self._ask_control, "DELETE", None)

    # -- how it comes up -----------------------------------------------------------------------------------------

    async def start_all(self) -> None:
        """Make certificates, start both processes, set the chaincode's policy; of a folder that was copied, go on with what is there."""
        fresh = not (self._folder / "chain").exists()
        self._folder.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(self._run, "material", str(self._material))
        if fresh:
            self.add_user(WRITER)
        serves, port, self._control = free_ports(3)
        environment = {"CHAINCODE_ID": f"{CHAINCODE}:1", "CHAINCODE_SERVER_ADDRESS": f"{HOST}:{serves}"}
        self._add("chaincode0", [str(built(PROGRAM))], serves, environment)
        places = ["-dir", str(self._folder / "chain"), "-material", str(self._material), "-chaincode", f"{HOST}:{serves}"]
        listening = ["-port", str(port), "-control", str(self._control)]
        self._add("peer0", [self._program, "serve", *places, *listening, *self._options], port, {})
        await asyncio.gather(*(self.start(name) for name in self.parts))
        if fresh:
            await asyncio.to_thread(self._run, "invoke", "-port", str(port), str(self._material), WRITER, "Configure", POLICY.decode())

    def _add(self, name: str, command: list[str], port: int, environment: dict[str, str]) -> None:
        self.add(name, Part(command, port, self._folder / f"{name}.log", environment, self._folder))

    def _run(self, *arguments: str) -> None:
        done = subprocess.run([self._program, *arguments], capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
        assert done.returncode == 0, f"fabric-peer {arguments[0]}: {done.stderr[-800:]}"

    def _ask_control(self, method: str, body: bytes | None) -> None:
        with urlopen(Request(f"http://{HOST}:{self._control}/", body, method=method), timeout=COMMAND_SECONDS) as reply:
            assert reply.status < 300


@asynccontextmanager
async def running_standin(folder: Path, *options: str) -> AsyncIterator[StandIn]:
    """Run a stand-in peer and its chaincode for the time of the block."""
    network = StandIn(folder, *options)
    try:
        await network.start_all()
        yield network
    finally:
        await asyncio.to_thread(network.stop)


__all__ = ["StandIn", "missing_standin", "running_standin"]
