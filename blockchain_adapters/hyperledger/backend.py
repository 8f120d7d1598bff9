"""The plug-in for `hyperledger:` ledger URLs: a log in a chaincode, ordered by its channel or mirrored there.

`hyperledger:///abs/path/connection.yaml?channel=C&chaincode=N`. The file names the peers; the home holds the identity. Which of the two
logs it is follows from the network's roots, and from what the channel holds.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from blockchain_adapters.chainfile import ChainFile
from blockchain_adapters.directbackend import DirectBackend
from blockchain_adapters.hometarget import HomeTarget
from blockchain_adapters.hyperledger.bridge import Bridge
from blockchain_adapters.hyperledger.connection import read_connection
from blockchain_adapters.hyperledger.faults import NoChaincodeError
from blockchain_adapters.hyperledger.identity import KEY_FILE, adopt_identity, read_identity
from blockchain_adapters.hyperledger.java import find_jar, find_java
from blockchain_adapters.hyperledger.mirroring import block_of, look, survey
from blockchain_adapters.hyperledger.paying import describe_payer
from blockchain_adapters.hyperledger.peer import Profile
from blockchain_adapters.hyperledger.source import FabricSource
from blockchain_adapters.hyperledger.writer import Writer
from blockchain_adapters.mirrorbackend import MirrorBackend
from blockchain_adapters.mirroring import Terms
from blockchain_adapters.opening import HomeWriting, open_log, pinned_network, unsettled
from blockchain_adapters.submit import Pace
from ledger.core.errors import LedgerError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from blockchain_adapters.mirroring import Survey, Target
    from blockchain_adapters.transactions import Parcel
    from ledger.core.backend import Backend
    from ledger.core.canonical import JSON
    from ledger.core.ports import Clock, Observer
    from ledger.core.trust.roots import PlacedRoot
    from ledger.home.backends import BackendContext
    from ledger.home.home import Home
    from ledger.home.url import LedgerUrl

SCHEME: Final = "hyperledger"
# A commit is told, not polled for: looks in between only find what was never sent.
PACE: Final = Pace(first=0.02, most=2.0, rest=30.0)


def profiles_of(url: LedgerUrl, identity: Path) -> list[Profile]:
    """Return how the peers of a ledger URL are reached with the identity at a path, preferred ones first (blocking).

    UsageError for a URL that is not of this scheme; what `read_connection` and `read_identity` raise.
    """
    channel, chaincode = url.require_query("channel", "chaincode")
    connection = read_connection(url.file())
    who = read_identity(identity)
    msp = who.msp or connection.msp
    if msp is None:
        raise UsageError(f"neither {identity} nor {url.path} names an MSP id", advice="Name client.organization in the connection profile.")
    return [Profile(one.address, msp, who.certificate, who.key, one.tls_ca, channel, chaincode, one.authority) for one in connection.peers]


async def open_source(url: LedgerUrl, context: BackendContext, network: str) -> FabricSource:
    """Open the chaincode of a URL for reading, with the file and the identity of the context's home."""
    return await open_mirror_source(url, context, Terms(network, KEY_FILE))


async def open_mirror_source(url: LedgerUrl, context: BackendContext, terms: Terms) -> FabricSource:
    """Open the chaincode of a mirror. Its file names the channel's first block: two channels may have one name."""
    profiles = await asyncio.to_thread(profiles_of, url, context.home.keys / terms.key)
    genesis = terms.chain if isinstance(terms.chain, str) else None
    parts = (profiles[0].channel, profiles[0].chaincode, *(() if genesis is None else (genesis[:16],)), terms.network[:16])
    name = "-".join(parts) + ".db"
    bridge = Bridge(*await asyncio.to_thread(_parts, context))
    kept = await asyncio.to_thread(ChainFile.open, context.home.path / "chains" / name)
    source = FabricSource(bridge, profiles, kept, context.clock)
    try:
        await source.open(genesis)
    except BaseException:
        await source.close()
        raise
    return source


def _parts(context: BackendContext) -> tuple[Path, Path]:
    return find_java(context.settings.java_home), find_jar()


async def start_writing(source: FabricSource, writer: Writer, path: Path, world: tuple[Clock, Observer], pace: Pace = PACE) -> HomeWriting:
    """Start the loop that brings what stands in the journal at `path` to the chaincode through `writer`."""
    writing = await HomeWriting.start(path, (writer, source.target), world, writer.close, pace)
    writer.stirred = writing.wake
    return writing


async def open_writing(source: FabricSource, context: BackendContext) -> HomeWriting:
    """Open what writes to the chaincode for the context's home."""
    return await start_writing(source, Writer(source), context.home.journal, (context.clock, context.observer))


@dataclass(frozen=True, slots=True)
class HyperledgerScheme:
    """Opens a chaincode as a ledger."""

    schemes: tuple[str, ...] = (SCHEME,)
    key_file: str = KEY_FILE
    shares_key: bool = True

    async def open(self, url: LedgerUrl, context: BackendContext) -> Backend:
        """Return the log in the chaincode. Raises what keeps it from being read, NoChaincodeError for a name that the channel lacks."""
        network = pinned_network(context)
        source = await open_source(url, context, network)
        found = await open_log(source, context, network, partial(open_direct, source, network, context))
        try:
            if isinstance(found, MirrorBackend) and not await source.anchors():
                await _require_chaincode(source)
        except BaseException:
            await found.close()
            raise
        return found

    async def order(self, url: LedgerUrl, context: BackendContext) -> dict[str, JSON]:
        """See OrderingScheme. Asks the peers how their channel begins, and the chaincode whether anybody may append."""
        source = await open_source(url, context, "")
        try:
            await Writer(source).standing(configured=True)
            return source.here
        finally:
            await source.close()

    async def begin(self, url: LedgerUrl, context: BackendContext, network: str) -> Backend:
        """See OrderingScheme."""
        return open_direct(await open_source(url, context, network), network, context)

    async def survey(self, url: LedgerUrl, context: BackendContext, terms: Terms, parcel: Parcel) -> Survey:
        """See MirroringScheme."""
        source = await open_mirror_source(url, context, terms)
        writer = Writer(source)
        try:
            return await survey(source, writer, parcel)
        finally:
            await writer.close()
            await source.close()

    async def mirror(self, url: LedgerUrl, context: BackendContext, terms: Terms) -> Target:
        """See MirroringScheme."""
        source = await open_mirror_source(url, context, terms)
        path = context.home.path / "mirrors" / f"{source.channel}-{source.chaincode}-{str(source.here['genesis'])[:16]}.db"
        writer = Writer(source)
        try:
            writing = await start_writing(source, writer, path, (context.clock, context.observer))
        except BaseException:
            await source.close()
            raise
        return HomeTarget(source, writing, block_of, partial(look, source, writer), context.clock.monotonic)

    def adopt(self, account: Path, home: Home) -> None:
        """See OrderingScheme: an identity, as `read_identity` takes it."""
        adopt_identity(account, home.keys / KEY_FILE)


async def _require_chaincode(source: FabricSource) -> None:
    """Raise NoChaincodeError when there is none: blocks without its events look the same as blocks before its first."""
    try:
        await Writer(source).standing()
    except NoChaincodeError:
        raise
    except LedgerError:
        return  # reading needs no chaincode that runs


def open_direct(source: FabricSource, network: str, context: BackendContext, roots: Sequence[PlacedRoot] = ()) -> DirectBackend:
    """Return the log of `network` as ordered by the channel, whatever stands there yet."""
    found = DirectBackend(source, network, partial(open_writing, source, context), roots=roots)
    found.outstanding = partial(_count_underway, source, context)
    found.describe_payer = partial(describe_payer, source, context.home)
    return found


async def _count_underway(source: FabricSource, context: BackendContext) -> int:
    """Return how many transactions of a home are not final."""
    return len(await unsettled(context.home.journal, source.target, context.clock))


scheme = HyperledgerScheme()

__all__ = ["HyperledgerScheme", "open_direct", "open_source", "profiles_of", "scheme", "start_writing"]
