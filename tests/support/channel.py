"""Ledgers on a channel, opened for a test: direct and mirrored, each over files of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import yaml

from blockchain_adapters.chainfile import ChainFile
from blockchain_adapters.directbackend import DirectBackend
from blockchain_adapters.hyperledger.backend import start_writing
from blockchain_adapters.hyperledger.bridge import Bridge
from blockchain_adapters.hyperledger.identity import Identity
from blockchain_adapters.hyperledger.source import FabricSource
from blockchain_adapters.hyperledger.writer import Patience, Writer
from blockchain_adapters.mirrorbackend import MirrorBackend
from blockchain_adapters.submit import Pace
from blockchain_adapters.transactions import Parcel
from ledger.client.embedded import SqliteBackend
from ledger.core.limits import LIMITS
from ledger.core.trust.good import parse_claim
from ledger.engine.genesis import create_log
from ledger.home.clock import SystemClock
from tests.contract.suite import Ledger
from tests.support.fabric.shape import MSP, WRITER
from tests.support.masters import MovableClock
from tests.support.small_network import Heard, SmallNetwork

if TYPE_CHECKING:
    from contextlib import AsyncExitStack
    from pathlib import Path

    from blockchain_adapters.hyperledger.peer import Profile
    from blockchain_adapters.opening import HomeWriting
    from ledger.core.backend import Backend
    from tests.support.fabric.shape import FabricNetwork

POLL_SECONDS = 0.1
PACE = Pace(first=0.005, most=0.1, rest=0.5, patience=30.0, kept=100)


class Bench:
    """Opens ledgers on the channel of a network, in files of one folder; closes what it opened."""

    def __init__(self, network: FabricNetwork, parts: tuple[Path, Path], folder: Path, stack: AsyncExitStack) -> None:
        """`parts` are the java command and the bridge's jar."""
        self.network = network
        self.bridge = Bridge(*parts)
        stack.push_async_callback(self.bridge.close)
        self.folder = folder
        self.stack = stack
        self.clock = MovableClock()
        self._opened = 0
        self._journals = 0

    async def source(self, *profiles: Profile, genesis: str | None = None, file: str | None = None) -> FabricSource:
        """Open the channel from all peers of the network, or as profiles say, into a new file or that named.

        It must begin with block `genesis`, if that is given.
        """
        self._opened += 1
        kept = await asyncio.to_thread(ChainFile.open, self.folder / (file or f"chain-{self._opened}.db"))
        reached = profiles or [self.network.profile(peer=number) for number in range(len(self.network.peers))]
        source = FabricSource(self.bridge, reached, kept, self.clock)
        self.stack.push_async_callback(source.close)
        await source.open(genesis)
        return source

    def writer(self, source: FabricSource, patience: Patience | None = None) -> Writer:
        """Return what writes through a source, without a journal."""
        writer = Writer(source, patience)
        self.stack.push_async_callback(writer.close)
        return writer

    async def writing(self, source: FabricSource, *, pace: Pace = PACE, patience: Patience | None = None) -> tuple[HomeWriting, Writer]:
        """Start what writes through a source, with a journal of its own."""
        self._journals += 1
        path = self.folder / f"journal-{self._journals}.db"
        writer = Writer(source, patience)
        writing = await start_writing(source, writer, path, (SystemClock(), Heard()), pace)
        self.stack.push_async_callback(writing.close)
        return writing, writer

    async def direct(self, network: SmallNetwork, source: FabricSource, *, pace: Pace = PACE) -> DirectBackend:
        async def writer() -> HomeWriting:
            return (await self.writing(source, pace=pace))[0]

        backend = DirectBackend(source, network.id, writer, poll_seconds=POLL_SECONDS)
        self.stack.push_async_callback(backend.close)
        return backend

    async def ordered(self) -> Ledger:
        """Return a network that the channel orders."""
        source = await self.source()
        network = SmallNetwork(order=source.here)
        backend = await self.direct(network, source)
        await backend.append([one.entry for one in network.first])
        return Ledger(backend, network, judges=False)

    async def mirrored(self) -> Ledger:
        """Return a network whose master's log is mirrored in the channel."""
        source, network = await self.source(), SmallNetwork()
        path = self.folder / "ledger.db"
        await create_log(path, network.first, network.keys, SystemClock())
        log = await asyncio.to_thread(SqliteBackend, path, network.keys, SystemClock())
        self.stack.push_async_callback(log.close)
        copying = Copying(log, source, (await self.writing(source))[0])
        await copying.copy()
        backend = MirrorBackend(source, network.id, poll_seconds=POLL_SECONDS)
        self.stack.push_async_callback(backend.close)
        return Ledger(backend, network, judges=True, writer=log, arrive=copying.copy)


class Copying:
    """Anchors what `log` took since the last time, up to its newest note."""

    def __init__(self, log: Backend, source: FabricSource, writing: HomeWriting) -> None:
        self._log = log
        self._source = source
        self._writing = writing
        self._turn = asyncio.Lock()
        self.size = 0

    async def copy(self) -> None:
        """Bring the channel up to the log."""
        async with self._turn:
            note = (await self._log.head()).checkpoint
            assert note is not None
            claim = parse_claim(note)
            entries = await self._log.read(self.size, min(claim.size, self.size + LIMITS.page))
            if entries:
                await self._source.poll()
                await self._writing.carry(Parcel(tuple(entries), start=self.size, size=claim.size, root=claim.root, note=note))
                self.size += len(entries)


def ledger_url(network: FabricNetwork, folder: Path, *, name: str = "connection.yaml", tls_ca: str | None = None, msp: str = MSP) -> str:
    """Write a connection profile that names the peers of a network (blocking); return the ledger URL."""
    peers: dict[str, object] = {}
    for number, address in enumerate(network.peers):
        profile = network.profile(peer=number)
        named = {} if profile.authority is None else {"grpcOptions": {"ssl-target-name-override": profile.authority}}
        peers[f"peer{number}"] = {"url": f"grpcs://{address}", "tlsCACerts": {"pem": tls_ca or profile.tls_ca}, **named}
    organisations = {"Org1": {"mspid": msp, "peers": ["peer0"]}}
    path = folder / name
    path.write_text(yaml.safe_dump({"client": {"organization": "Org1"}, "organizations": organisations, "peers": peers}))
    return f"hyperledger://{path}?channel={network.channel}&chaincode={network.chaincode}"


def write_identity(network: FabricNetwork, folder: Path, user: str = WRITER) -> Path:
    """Write a wallet file of a user (blocking)."""
    profile = network.profile(user)
    path = folder / f"{user}.id"
    path.write_bytes(Identity(profile.certificate, profile.key).to_wallet())
    path.chmod(0o600)
    return path
