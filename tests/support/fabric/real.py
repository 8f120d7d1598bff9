"""A real Hyperledger Fabric network on loopback, from the programs in the folder that FABRIC_BIN names: certificates, a channel, orderers,
a peer an organisation, and the chaincode as a service, committed, with its policy set."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from blockchain_adapters.hyperledger.package import Chaincode
from blockchain_adapters.hyperledger.peer import Profile
from tests.support.fabric.certificates import make_member
from tests.support.fabric.configuration import HOST, Layout, Plan
from tests.support.fabric.part import Part, Processes
from tests.support.fabric.shape import CHAINCODE, CHANNEL, POLICY, WRITER
from tests.support.go_tools import CHAINCODE as PROGRAM
from tests.support.go_tools import GoProgram, built
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from datetime import timedelta

NEEDED = ("peer", "orderer", "osnadmin", "cryptogen", "configtxgen")
SETTLE_SECONDS = 60
COMMAND_SECONDS = 60


def missing_fabric() -> str | None:
    """Return why no real network can run here, None when one can."""
    place = os.environ.get("FABRIC_BIN")
    if not place:
        return "FABRIC_BIN names no folder with " + ", ".join(NEEDED)
    absent = [name for name in NEEDED if not os.access(Path(place) / name, os.X_OK)]
    return f"not in FABRIC_BIN: {', '.join(absent)}" if absent else None


class CommandError(AssertionError):
    """One of Fabric's programs says no."""


class RealNetwork(Processes):
    """One running network. `start_all` it, `stop` it."""

    is_real = True
    channel = CHANNEL
    chaincode = CHAINCODE

    def __init__(self, folder: Path, plan: Plan) -> None:
        """Prepare a network in `folder`, which is empty."""
        super().__init__()
        self._programs = Path(os.environ["FABRIC_BIN"])
        self.plan = plan
        self.folder = folder
        self.layout = Layout.make(folder, plan)
        self._users: dict[tuple[int, str], tuple[str, str]] = {}

    @property
    def peers(self) -> Sequence[str]:
        """Return the peers' addresses."""
        return [f"{HOST}:{one.serves}" for one in self.layout.peers]

    # -- what tests do -------------------------------------------------------------------------------------------

    def profile(self, user: str = WRITER, peer: int = 0) -> Profile:
        """Return how `user` of the peer's organisation reaches a peer."""
        certificate, key = self._users[peer, user]
        authority = (self._peer_tls(peer) / "ca.crt").read_text()
        return Profile(self.peers[peer], f"Org{peer + 1}MSP", certificate, key, authority, CHANNEL, CHAINCODE)

    def add_user(self, name: str, *, valid: timedelta | None = None, attributes: Mapping[str, str] | None = None) -> None:
        """Make a member of the first organisation; `valid` from now, below zero it has expired."""
        self._users[0, name] = make_member(self.layout.organisation(0), name, valid, attributes or {})

    async def run_chaincode(self, number: int, program: Path) -> None:
        """Let an organisation run another build of the chaincode: the package names an address, so nothing on the ledger shows it."""
        part = self.part(f"chaincode{number}")
        part.kill()
        part.replace(program)
        await self.start(f"chaincode{number}")

    # -- how it comes up -----------------------------------------------------------------------------------------

    async def start_all(self) -> None:
        """Bring up the channel, start the chaincode, commit it, set its policy."""
        await self.start_nodes()
        await asyncio.gather(*(self._install(number) for number in range(self.plan.organisations)))
        await self._commit()

    async def start_nodes(self) -> None:
        """Make certificates and channel, start orderers and peers, let them join; make a writer of each organisation."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.layout.write()
        await self._run("cryptogen", "generate", "--config", "crypto.json", "--output", "crypto")
        await self._run("configtxgen", "-profile", CHANNEL, "-channelID", CHANNEL, "-outputBlock", "channel.block")
        for number, one in enumerate(self.layout.orderers):
            self._add(f"orderer{number}", ["orderer"], one.serves, {"FABRIC_CFG_PATH": str(self.folder / f"orderer{number}")})
        for number, one in enumerate(self.layout.peers):
            self._add(f"peer{number}", ["peer", "node", "start"], one.serves, {"FABRIC_CFG_PATH": str(self.folder / f"peer{number}")})
        await asyncio.gather(*(self.start(name) for name in self.parts))
        await asyncio.gather(*(self._join_orderer(number) for number in range(self.plan.orderers)))
        for number in range(self.plan.organisations):
            await self._until("peer", "channel", "join", "-b", "channel.block", organisation=number)
            self._users[number, WRITER] = make_member(self.layout.organisation(number), WRITER, None, {})

    def _add(self, name: str, command: list[str], port: int, environment: dict[str, str]) -> None:
        program = [str(self._programs / command[0]), *command[1:]]
        self.add(name, Part(program, port, self.folder / f"{name}.log", {"FABRIC_LOGGING_SPEC": "warn", **environment}, self.folder))

    async def _join_orderer(self, number: int) -> None:
        address = f"{HOST}:{self.layout.orderers[number].second}"
        await self._until("osnadmin", "channel", "join", "-o", address, "--channelID", CHANNEL, "--config-block", "channel.block")

    async def _install(self, number: int) -> None:
        """Start an organisation's chaincode, install the package with its address, and approve it."""
        port = free_port()
        package = self.folder / f"chaincode{number}.tgz"
        chaincode = Chaincode(f"{HOST}:{port}", ())
        package.write_bytes(chaincode.package())
        await self._run("peer", "lifecycle", "chaincode", "install", str(package), organisation=number)
        identity = (await self._run("peer", "lifecycle", "chaincode", "calculatepackageid", str(package), organisation=number)).strip()
        assert identity == chaincode.package_id  # what `create chaincode` says
        program = str(await asyncio.to_thread(built, PROGRAM))
        environment = {"CHAINCODE_ID": identity, "CHAINCODE_SERVER_ADDRESS": f"{HOST}:{port}"}
        self.add(f"chaincode{number}", Part([program], port, self.folder / f"chaincode{number}.log", environment))
        await self.start(f"chaincode{number}")
        await self._until(
            *("peer", "lifecycle", "chaincode", "approveformyorg", *self._to_orderer(), *self._definition(), "--package-id", identity),
            organisation=number,
        )

    async def _commit(self) -> None:
        everyone = [flag for number in range(self.plan.organisations) for flag in self._to_peer(number)]
        await self._until("peer", "lifecycle", "chaincode", "commit", *self._to_orderer(), *self._definition(), *everyone)
        call = json.dumps({"Args": ["Configure", POLICY.decode()]})
        asked = ("-C", CHANNEL, "-n", CHAINCODE, "-c", call, *everyone, "--waitForEvent")
        await self._until("peer", "chaincode", "invoke", *self._to_orderer(), *asked)

    def _definition(self) -> list[str]:
        policy = ["--signature-policy", self.plan.endorsement] if self.plan.endorsement else []
        return ["--channelID", CHANNEL, "--name", CHAINCODE, "--version", "1", "--sequence", "1", *policy]

    def _to_orderer(self) -> list[str]:
        authority = str(self.layout.orderer_tls(0) / "ca.crt")
        return ["-o", f"{HOST}:{self.layout.orderers[0].serves}", "--tls", "--cafile", authority]

    def _to_peer(self, number: int) -> list[str]:
        return ["--peerAddresses", self.peers[number], "--tlsRootCertFiles", str(self._peer_tls(number) / "ca.crt")]

    async def _until(self, *command: str, organisation: int = 0) -> str:
        """Run a command again until what it needs is there."""
        loop = asyncio.get_running_loop()
        end = loop.time() + SETTLE_SECONDS
        while True:
            try:
                return await self._run(*command, organisation=organisation)
            except CommandError:
                if loop.time() > end:
                    raise
                await asyncio.sleep(0.1)

    def administration(self, organisation: int) -> dict[str, str]:
        """Return the environment in which an administrator of an organisation types Fabric's commands (docs/hyperledger.md)."""
        own = self.layout.organisation(organisation)
        peers = {
            f"PEER_{number + 1}{end}": value
            for number in range(self.plan.organisations)
            for end, value in (("", self.peers[number]), ("_CA", str(self._peer_tls(number) / "ca.crt")))
        }
        return {
            **os.environ,
            **peers,
            "PATH": f"{self._programs}:{os.environ['PATH']}",
            "FABRIC_LOGGING_SPEC": "error",
            "FABRIC_CFG_PATH": str(self.folder / f"peer{organisation}"),
            "CORE_PEER_MSPCONFIGPATH": str(own / "users" / f"Admin@org{organisation + 1}.test" / "msp"),
            "ORDERER": f"{HOST}:{self.layout.orderers[0].serves}",
            "ORDERER_CA": str(self.layout.orderer_tls(0) / "ca.crt"),
        }

    def _peer_tls(self, number: int) -> Path:
        return self.layout.organisation(number) / "peers" / f"peer0.org{number + 1}.test" / "tls"

    async def _run(self, *command: str, organisation: int = 0) -> str:
        """Run one of Fabric's programs as an administrator of an organisation; return what it prints."""
        environment = self.administration(organisation)
        if command[0] != "peer":
            environment["FABRIC_CFG_PATH"] = str(self.folder)
        program = str(self._programs / command[0])
        done = await asyncio.to_thread(
            subprocess.run,
            [program, *command[1:]],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if done.returncode:
            logs = "".join(f"\n{name}: {self.part(name).said()[-600:]}" for name in self.parts)
            raise CommandError(f"{' '.join(command[:4])}: {(done.stdout + done.stderr)[-800:]}{logs}")
        return done.stdout


def altered_chaincode(folder: Path, old: str, new: str) -> Path:
    """Return a build of the chaincode, made in `folder`, with one word of its source changed."""
    shutil.copytree(PROGRAM.module, folder)
    source = folder / "chaincode.go"
    text = source.read_text()
    assert text.count(old) == 1
    source.write_text(text.replace(old, new))
    return built(GoProgram("altered-chaincode", folder))


@asynccontextmanager
async def running_real_network(folder: Path, plan: Plan | None = None) -> AsyncIterator[RealNetwork]:
    """Run a network for the time of the block; its files, some hundred MB, go with it."""
    network = RealNetwork(folder, Plan() if plan is None else plan)
    try:
        await network.start_all()
        yield network
    finally:
        await asyncio.to_thread(network.stop)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


__all__ = ["CommandError", "RealNetwork", "altered_chaincode", "missing_fabric", "running_real_network"]
